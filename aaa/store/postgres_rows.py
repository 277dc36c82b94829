"""
What goes to PostgreSQL and comes back, as plain values: the arrays of a batch, the rows of a load.

Every column of a batch is one array in the binary format: the server takes the bodies of sessions, which are full of
quotes, without looking for them, and nobody writes or reads digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from aaa.engine.model import Account, Session
from aaa.engine.ports import Tariffs
from aaa.errors import RowUnreadable
from aaa.store.batch import (
    Row,
    Stage,
    account_update,
    cdr_row,
    session_insert,
    session_update,
    unrated_row,
    windows_text,
)
from aaa.store.codec import loads, session_from_row
from aaa.store.port import Loaded, Wanted
from aaa.store.postgres_sql import RARE, together
from aaa.store.profiles import ACCOUNT_COLUMNS, BUCKET_COLUMNS, account_from_row, bucket_from_row

_ACCOUNT = ACCOUNT_COLUMNS.split(", ")
_BUCKET = BUCKET_COLUMNS.split(", ")
_SESSION = ("id", "account_id", "key", "origin", "state", "deadline", "head", "body")

NUMBER, NULLABLE, TEXT = "n", "m", "t"  # kinds of columns: numbers, numbers or None, texts
_HEAD = Struct(">iiIii")  # dimensions, whether there are NULLs, type, length, first index
_SIZE = Struct(">i")
_INT8, _TEXT = 20, 25  # pg_type.dat
_EMPTY = {NUMBER: _INT8, NULLABLE: _INT8, TEXT: _TEXT}
_NULL = _SIZE.pack(-1)
_ONE = Struct(">iq")


def array(values: Sequence[Any], kind: str) -> bytes:
    """
    A column as a PostgreSQL array in the binary format (array_recv): neither side writes or reads digits and quotes.

    Raises:
        struct.error: A number beyond 64 bits.
        UnicodeEncodeError: A text that is none.
    """
    count = len(values)
    if not count:
        return _HEAD.pack(0, 0, _EMPTY[kind], 0, 0)[:12]
    if kind == TEXT:
        parts = [_HEAD.pack(1, 0, _TEXT, count, 1)]
        for value in values:
            text = value.encode()
            parts.append(_SIZE.pack(len(text)))
            parts.append(text)
        return b"".join(parts)
    if kind == NULLABLE and None in values:
        head = _HEAD.pack(1, 1, _INT8, count, 1)
        return head + b"".join([_NULL if value is None else _ONE.pack(8, value) for value in values])
    numbers = [8] * (2 * count)
    numbers[1::2] = values
    return _HEAD.pack(1, 0, _INT8, count, 1) + _pairs(count).pack(*numbers)


@lru_cache(maxsize=1024)
def _pairs(count: int) -> Struct:
    """What packs so many numbers, each behind its size."""
    return Struct(">" + "iq" * count)


def _columns(rows: Sequence[Row], kinds: str) -> list[bytes]:
    """Rows as one array per column."""
    if not rows:
        return [array((), kind) for kind in kinds]
    return [array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]


def commit_values(stages: list[Stage], now: int, events: list[Row]) -> tuple[str, list[bytes]]:
    """The parts of a batch by letter (`postgres_sql.PARTS`) and their values; the stages are sorted by account."""
    moved = [account_update(stage.account, stage.version) for stage in stages if stage.account is not None]
    windows = [(windows_text(stage),) for stage in stages if stage.account is not None]
    parts: list[tuple[str, Sequence[Row], str]] = [
        ("w", windows if any(text for (text,) in windows) else [], "t"),
        ("k", [(s.account_id, s.version) for s in stages if s.account is None and s.account_id], "nn"),
        ("n", [(stage.account_id, name) for stage in stages for name in stage.absent], "nt"),
        ("i", [session_insert(session) for stage in stages for session in stage.begun()], "nnttnnnntt"),
        ("u", [(*session_update(session), s.account_id) for s in stages for session in s.sessions.values()], "nnnntnn"),
        ("c", _cdrs(stages), "nmttnnnnnttnnmttm"),
        ("l", [entry for stage in stages for entry in stage.entries], "nnnnttn"),
        ("a", [(s.account_id, *row) for s in stages if s.rare is not None for row in s.rare.aliases], "ntn"),
        ("o", events, "nttnt"),
    ]
    rare = _rare(stages, now)
    is_rare = any(rows for rows, _ in rare)
    present = together({letter for letter, rows, _ in parts if rows}, is_rare)
    letters = "m"
    values: list[bytes] = [*_columns(moved, "nnnnnnn")]
    for letter, rows, kinds in parts:
        if letter in present:
            letters += letter
            values += _columns(rows, kinds)
    if is_rare:
        letters += RARE
        for rows, kinds in rare:
            values += _columns(rows, kinds)
    return letters, values


def _cdrs(stages: list[Stage]) -> list[Row]:
    rows: list[Row] = []
    for stage in stages:
        rows.extend(cdr_row(session, stage.account) for session in stage.charged())
        if stage.rare is not None:
            rows.extend(unrated_row(number, record) for number, record in stage.rare.unrated)
    return rows


def _rare(stages: list[Stage], now: int) -> list[tuple[list[Row], str]]:
    """What most batches do not have: movements, buckets, early starts, restarts; in the order of `RARE`."""
    rare = [(stage.account_id, stage.rare) for stage in stages if stage.rare is not None]
    movements = [(number, *row) for number, more in rare for row in more.movements]
    buckets = [
        (number, bucket.amount, bucket.reserved, bucket.id) for number, more in rare for bucket in more.buckets.values()
    ]
    units = [(number, *entry) for number, more in rare for entry in more.units]
    starts = [start for _, more in rare for start in more.early_starts]
    early = {key: (key, start.started_us, start.deadline_us) for start in starts for key in start.keys}
    restarts = [row for _, more in rare for row in more.restarts]
    return [
        (movements, "ntttn"),
        (buckets, "nnnn"),
        (units, "nnnnnn"),
        (list(early.values()), "tnn"),
        ([row[:3] for row in restarts], "tnn"),
        ([(now, row[3]) for row in restarts], "nt"),
    ]


def load_values(wanted: list[Wanted]) -> list[bytes]:
    """The values of a load: names, session ids, account ids, keys of movements."""
    names = [name for each in wanted for name in each.names]
    ids = [int(name[1:]) for name in names if name[0] == "#" and name[1:].isdigit() and len(name) < 20]
    accounts = [each.account_id for each in wanted if each.account_id is not None]
    movements = [each.movement for each in wanted if each.movement]
    texts = array([name.replace("\0", "\ufffd") for name in names], TEXT)
    return [texts, array(ids, NUMBER), array(accounts, NUMBER), array(movements, TEXT)]


def loaded(wanted: list[Wanted], rows: Iterable[Any], tariffs: Tariffs) -> list[Loaded]:
    """Sort what a load brought back to the requests that wanted it; to some it is that a row cannot be read."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in "snabem"}
    for kind, text in rows:
        found[kind.decode()].append(loads(text))
    sessions: dict[str | int, Session | RowUnreadable] = {}
    for row in found["s"]:
        try:
            session: Session | RowUnreadable = session_from_row([row[name] for name in _SESSION], tariffs)
        except RowUnreadable as error:
            session = error
        sessions[row["key"]] = sessions[row["id"]] = session
    for row in found["n"]:
        if row["session_id"] in sessions:
            sessions.setdefault(row["alias"], sessions[row["session_id"]])
    accounts = _accounts(found["a"], found["b"])
    early = {row["key"]: row["started_at"] for row in found["e"]}
    movements = {row["key"]: (row["digest"], row["result"]) for row in found["m"]}
    return [_one(each, sessions, accounts, early, movements) for each in wanted]


def _accounts(
    rows: list[dict[str, Any]], buckets: list[dict[str, Any]]
) -> dict[int, tuple[Account, int] | RowUnreadable]:
    held: dict[int, list[list[Any]]] = {}
    for row in buckets:
        held.setdefault(row["account_id"], []).append([row[name] for name in _BUCKET])
    accounts: dict[int, tuple[Account, int] | RowUnreadable] = {}
    for row in rows:
        number = row["id"]
        try:
            own = tuple([bucket_from_row(bucket) for bucket in held.get(number, ())])
            accounts[number] = account_from_row([row[name] for name in _ACCOUNT], own)
        except RowUnreadable as error:
            accounts[number] = error
    return accounts


def _one(
    wanted: Wanted,
    sessions: dict[str | int, Session | RowUnreadable],
    accounts: dict[int, tuple[Account, int] | RowUnreadable],
    early: dict[str, int],
    movements: dict[str, tuple[str, str]],
) -> Loaded:
    session = None
    for name in wanted.names:
        session = sessions.get(int(name[1:]) if name[0] == "#" and name[1:].isdigit() else name)
        if session is not None:
            break
    if isinstance(session, RowUnreadable):
        return Loaded(problem=str(session))
    account_id = session.head.account_id if session is not None else wanted.account_id
    known = accounts.get(account_id) if account_id is not None else None
    if isinstance(known, RowUnreadable):
        return Loaded(problem=str(known))
    account, version = known or (None, 0)
    started = next((early[name] for name in wanted.names if name in early), 0)
    shared = None if account is None or account.profile.pool_id is None else accounts[account.profile.pool_id]
    if isinstance(shared, RowUnreadable):
        return Loaded(problem=str(shared))
    pool, pool_version = shared or (None, 0)
    return Loaded(session, account, version, started, movements.get(wanted.movement), pool, pool_version)
