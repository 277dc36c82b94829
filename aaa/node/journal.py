"""
The journal of an outage: what was granted and reported while the store was down, in one local file (S11, S12).

One JSON array per line, appended and synced before anybody is answered.  A last line that a crash cut short was never
answered and is dropped; any other line that cannot be read stops the server, because money depends on it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aaa.engine.commands import Begin, End, Identity, LineRequest, Total, Update
from aaa.engine.terms import ChargeKey, Policy
from aaa.errors import ConfigError, StoreUnavailable
from aaa.store.codec import dumps, loads

Journalled = Begin | Update | End
_KINDS: dict[type, str] = {Begin: "begin", Update: "update", End: "end"}


class Record(NamedTuple):
    """
    One command as it was answered.

    `session_id`, `granted` (seconds), `exposure_micro` and `currency` are those of the grant; 0 and empty for reports.
    """

    now_us: int
    account_id: int
    command: Journalled
    session_id: int = 0
    granted: int = 0
    exposure_micro: int = 0
    currency: str = ""


class Journal:
    """
    An append-only file that this process alone writes.

    Raises:
        ConfigError: It cannot be opened, is in use, or holds what cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror}"]) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            raise ConfigError([f"{path} is in use by another process"]) from error
        self._length = 0

    def read(self) -> list[Record]:
        """What an earlier process left; a torn end is cut off."""
        *lines, _torn = self._path.read_bytes().split(b"\n")
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(_record(loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise ConfigError([f"{self._path}, line {number}: no record of an outage: {error}"]) from error
        self._length = sum(len(line) + 1 for line in lines)
        os.ftruncate(self._handle, self._length)
        return records

    def append(self, record: Record) -> None:
        """
        Write one record so that a crash cannot lose it.

        Raises:
            StoreUnavailable: The disk did not take it; nothing is left of it.
        """
        now_us, account_id, command, *grant = record
        data = dumps((now_us, account_id, _KINDS[type(command)], command, *grant)).encode() + b"\n"
        try:
            if os.write(self._handle, data) != len(data):
                raise OSError("written in part")
            os.fdatasync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._length)
            raise StoreUnavailable(f"{self._path}: {error}") from error
        self._length += len(data)

    def truncate(self) -> None:
        """Forget everything: it is in the store."""
        os.ftruncate(self._handle, 0)
        os.fdatasync(self._handle)
        self._length = 0

    def close(self) -> None:
        """Give the file back."""
        os.close(self._handle)


def _record(row: Sequence[Any]) -> Record:
    now_us, account_id, kind, command, *grant = row
    return Record(now_us, account_id, _READ[kind](command), *grant)


def _begin(row: Sequence[Any]) -> Begin:
    key, identity, policy, lines, origin, aliases, *rest = row
    return Begin(key, Identity(*identity), Policy(*policy), _lines(lines), origin, tuple(aliases), *rest)


def _update(row: Sequence[Any]) -> Update:
    key, identity, lines, origin, aliases, event_us, answered_us, is_start, orphan = row
    asked, found = _lines(lines), None if orphan is None else _begin(orphan)
    return Update(key, Identity(*identity), asked, origin, tuple(aliases), event_us, answered_us, is_start, found)


def _end(row: Sequence[Any]) -> End:
    key, identity, lines, origin, aliases, event_us, answered_us, cause, orphan = row
    asked, found = _lines(lines), None if orphan is None else _begin(orphan)
    return End(key, Identity(*identity), asked, origin, tuple(aliases), event_us, answered_us, cause, found)


_READ: dict[str, Callable[[Sequence[Any]], Journalled]] = {"begin": _begin, "update": _update, "end": _end}


def _lines(rows: Sequence[Any]) -> tuple[LineRequest, ...]:
    """Requests of RADIUS, whose usage is always a total."""
    found = []
    for key, usage, *rest in rows:
        service, rating_group, service_ids, unit, direction = key
        charge_key = ChargeKey(service, rating_group, tuple(service_ids), unit, direction)
        found.append(LineRequest(charge_key, None if usage is None else Total(*usage), *rest))
    return tuple(found)
