"""
Read an `apply` file: the whole of it is checked before anything is written.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from aaa.config.clients import NasTable, PeerTable, Table, as_document, check_secrets
from aaa.config.locate import Path, line_of, locate, syntax_problem
from aaa.config.problems import PROBLEMS_MAX, Problem, problem_at, reasons
from aaa.errors import ConfigError
from aaa.provision.tables import AccountTable
from aaa.provision.tariffs import TariffTable, parse_tariffs

CheckNas = Callable[[dict[str, Any]], object]

OBJECTS_PER_TRANSACTION = 10_000
OBJECTS_PER_PART = 1_000


class _Rest(Table):
    """The file without its tariffs, which the rating core's loader reads."""

    account: tuple[AccountTable, ...] = ()
    nas: tuple[NasTable, ...] = ()
    peer: tuple[PeerTable, ...] = ()


@dataclass(frozen=True)
class ApplyFile:
    """A sound `apply` file, or a part of one whose first account has the number `offset` in the file."""

    tariffs: tuple[TariffTable, ...] = ()
    accounts: tuple[AccountTable, ...] = ()
    nas: tuple[NasTable, ...] = ()
    peers: tuple[PeerTable, ...] = ()
    offset: int = 0

    def batches(self) -> Iterator[ApplyFile]:
        """
        The transactions to write the file in: one up to 10,000 objects, else small ones.

        A larger file holds up the server for a moment with each; tariffs come first, because accounts name them.
        """
        if self.objects <= OBJECTS_PER_TRANSACTION:
            yield self
            return
        yield ApplyFile(tariffs=self.tariffs, nas=self.nas, peers=self.peers)
        yield from self.slices(OBJECTS_PER_PART)

    def slices(self, most: int) -> Iterator[ApplyFile]:
        """The accounts in parts of at most so many objects, each at least one account."""
        part: list[AccountTable] = []
        size, first = 0, self.offset
        for account in self.accounts:
            weight = 1 + len(account.subscription) + len(account.bucket)
            if part and size + weight > most:
                yield ApplyFile(accounts=tuple(part), offset=first)
                first += len(part)
                part, size = [], 0
            part.append(account)
            size += weight
        if part:
            yield ApplyFile(accounts=tuple(part), offset=first)

    @property
    def objects(self) -> int:
        """How many objects the file names, those inside accounts included."""
        inside = sum(len(account.subscription) + len(account.bucket) for account in self.accounts)
        return len(self.tariffs) + len(self.accounts) + len(self.nas) + len(self.peers) + inside


def parse_apply(
    text: str, files: Mapping[str, str], where: str = "apply", check_nas: CheckNas | None = None
) -> ApplyFile | list[Problem]:
    """
    Check a whole `apply` file.

    Args:
        files: Contents of the files it names (`rates_file`, `secret_file`), by the name it uses.
        where: What to call the file in messages.
        check_nas: Raises ConfigError (lines `[[nas]] name: key: reason`) for a client the RADIUS face cannot use.

    Returns:
        The sound file, or every problem found with table, key and line.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, reason = syntax_problem(error)
        return [Problem(where, line, "", "", reason)]
    tariffs, in_tariffs = parse_tariffs(tables.pop("tariff", []), files)
    found = in_tariffs.in_file
    rest: _Rest | None = None
    try:
        rest = _Rest.model_validate(tables)
    except ValidationError as error:
        found += reasons(error, _Rest)
    if rest is not None:
        rest, missing = _with_secret_files(rest, files)
        found += missing
        found += _unusable(rest.nas, check_nas)
        found += _repeated(tariffs, rest)
        found += _buckets(rest.account)
    if found or in_tariffs.in_rates or rest is None:
        return [*placed(found, text, where), *in_tariffs.in_rates][:PROBLEMS_MAX]
    return ApplyFile(tuple(tariffs), rest.account, rest.nas, rest.peer)


def placed(found: Iterable[tuple[Path, str]], text: str, where: str) -> list[Problem]:
    """Problems of keys with the lines on which they stand in the file."""
    lines = locate(text)
    return [problem_at(path, reason, where, line_of(lines, path)) for path, reason in found]


def _with_secret_files(rest: _Rest, files: Mapping[str, str]) -> tuple[_Rest, list[tuple[Path, str]]]:
    found: list[tuple[Path, str]] = []
    resolved: list[NasTable] = []
    for index, nas in enumerate(rest.nas):
        try:
            resolved.append(_with_secret(nas, files))
        except ValueError as error:
            found.append((("nas", index, "secret_file" if nas.secret_file else "secret_env"), str(error)))
    return rest.model_copy(update={"nas": tuple(resolved)}), found


def _with_secret(nas: NasTable, files: Mapping[str, str]) -> NasTable:
    if nas.secret_env is not None:
        raise ValueError("an apply file cannot take a secret from the server's environment; use secret_file or secret")
    if nas.event_socket_password_file is not None:
        raise ValueError("an apply file takes event_socket_password itself, not a file of the server")
    if nas.secret_file is None:
        return nas
    secret = files.get(nas.secret_file, "").rstrip("\r\n")
    if not secret:
        raise ValueError(f"{nas.secret_file}: not handed in, or empty")
    check_secrets([secret], nas.address)
    return nas.model_copy(update={"secret": [secret], "secret_file": None})


def _unusable(clients: Iterable[NasTable], check_nas: CheckNas | None) -> Iterator[tuple[Path, str]]:
    """What the RADIUS face finds wrong with a client: its profile, identities, a quantum it cannot refill."""
    for index, nas in enumerate(clients):
        try:
            if check_nas is not None:
                check_nas(as_document(nas))
        except ConfigError as error:
            for line in error.problems:
                _, key, reason = line.split(": ", 2)
                yield ("nas", index, key), reason


def _repeated(tariffs: Iterable[TariffTable], rest: _Rest) -> Iterator[tuple[Path, str]]:
    """Names that stand in the file twice: which of the two would count?"""
    kinds: list[tuple[str, str, list[Any]]] = [
        ("tariff", "name", [tariff.name for tariff in tariffs]),
        ("account", "id", [account.id for account in rest.account]),
        ("nas", "name", [nas.name for nas in rest.nas]),
        ("nas", "address", [nas.address for nas in rest.nas]),
        ("peer", "origin_host", [(peer.origin_host, peer.realm) for peer in rest.peer]),
    ]
    for table, key, names in kinds:
        counts = Counter(names)
        seen: set[Any] = set()
        for index, name in enumerate(names):
            if counts[name] > 1 and name in seen:
                shown = " of realm ".join(name) if isinstance(name, tuple) else name
                yield (table, index, key), f"{shown} stands in the file twice"
            seen.add(name)
    owners: set[tuple[str, str]] = set()
    for index, account in enumerate(rest.account):
        for position, subscription in enumerate(account.subscription):
            identity = (subscription.type, subscription.value)
            if identity in owners:
                shown = "this pin" if subscription.type == "pin" else f"{subscription.type} {subscription.value}"
                yield ("account", index, "subscription", position, "value"), f"{shown} stands in the file twice"
            owners.add(identity)


def _buckets(accounts: Iterable[AccountTable]) -> Iterator[tuple[Path, str]]:
    for index, account in enumerate(accounts):
        names: set[str] = set()
        for position, (name, bucket) in enumerate(account.named_buckets()):
            if name in names:
                yield ("account", index, "bucket", position, "name"), f"{name} stands in the account twice"
            names.add(name)
            if (
                bucket.valid_from is not None
                and bucket.valid_until is not None
                and bucket.valid_from >= bucket.valid_until
            ):
                yield ("account", index, "bucket", position, "valid_until"), "is not after valid_from"
