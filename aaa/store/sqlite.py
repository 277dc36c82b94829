"""
The embedded store: SQLite in WAL mode, one writer, one fdatasync per batch (DESIGN 5, PERFORMANCE).

Every batch is one transaction of a constant number of set-based statements; account rows are compared
and set by version.  With one process the versions always match, and a mismatch is a broken invariant:
somebody else wrote to the file.  A second process on the same file is refused by a lock.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from aaa.engine.model import Account, Session
from aaa.engine.ports import Subscriber, Tariffs
from aaa.errors import ConfigError, InvariantBroken, RowUnreadable, StoreUnavailable
from aaa.store import outbox
from aaa.store.batch import Batch
from aaa.store.codec import SESSION_COLUMNS, session_from_row
from aaa.store.names import NameFilter
from aaa.store.port import Committed, Failed, Loaded, Pulse, Wanted
from aaa.store.profiles import (
    ACCOUNT_COLUMNS,
    BUCKET_COLUMNS,
    SUBSCRIBER_SELECT,
    account_from_row,
    bucket_from_row,
    subscriber_from_row,
)
from aaa.store.sqlite_rows import rows_of
from aaa.store.sqlite_sql import (
    DUE,
    PRAGMAS,
    STRETCH_END,
    UPDATE_ACCOUNT,
)

STRETCH = 5_000  # live sessions looked at in one sweep, which goes by account and id
START, END = (0, 0), ((1 << 63) - 1, (1 << 63) - 1)


class SqliteStore:
    """
    One SQLite file, opened for writing by this process alone.

    Raises:
        ConfigError: Another process has it open.
        StoreUnavailable: It cannot be opened.
    """

    is_single_writer = True

    def __init__(self, url: str) -> None:
        self.consumers: tuple[outbox.Consumer, ...] = ()
        self._walked = START  # the last live session that was looked at
        self.path = make_url(url).database or ""
        self._lock = lock(self.path + ".lock")
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
            for pragma in PRAGMAS:
                self._db.execute(pragma).fetchall()
        except sqlite3.Error as error:
            os.close(self._lock)
            raise StoreUnavailable(f"{self.path}: {error}") from error
        self.names = NameFilter()
        self._read_names()

    def _read_names(self) -> None:
        """Note the names that sessions are stored under; a database without the tables has none yet."""
        try:
            for (name,) in self._db.execute("SELECT key FROM session UNION ALL SELECT alias FROM session_alias"):
                self.names.add(name)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise StoreUnavailable(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
        os.close(self._lock)

    # -- reading ----------------------------------------------------------------------------------

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            if "decode to UTF-8" in str(error):
                raise RowUnreadable(f"the row of {values[0] if values else sql!r} is not UTF-8") from error
            raise StoreUnavailable(str(error)) from error

    def account(self, account_id: int) -> tuple[Account, int] | None:
        """An account and its version, or None."""
        rows = self._all(f"SELECT {ACCOUNT_COLUMNS} FROM account WHERE id=?", (account_id,))  # noqa: S608
        if not rows:
            return None
        buckets = self._all(f"SELECT {BUCKET_COLUMNS} FROM bucket WHERE account_id=?", (account_id,))  # noqa: S608
        return account_from_row(rows[0], tuple(bucket_from_row(row) for row in buckets))

    def account_id(self, name: str) -> int | None:
        """The number of an account by its public id."""
        rows = self._all("SELECT id FROM account WHERE name=?", (name,))
        return rows[0][0] if rows else None

    def session(self, keys: Iterable[str], tariffs: Tariffs) -> Session | None:
        """The session that the first known of these keys names: `#id`, a key or an alias."""
        for key in keys:
            if key.startswith("#"):
                if not key[1:].isascii() or not key[1:].isdigit() or len(key) > 20:
                    continue
                rows = self._session("id=?", int(key[1:]))
            else:
                rows = self._session("key=?1 OR id=(SELECT session_id FROM session_alias WHERE alias=?1)", key)
            if rows:
                return session_from_row(rows[0], tariffs)
        return None

    def _session(self, where: str, value: str | int) -> list[Any]:
        return self._all(f"SELECT {SESSION_COLUMNS} FROM session WHERE {where}", (value,))  # noqa: S608

    def early_starts(self, now: int) -> dict[str, tuple[int, int]]:
        """The early starts that still wait for their Begin: instant and deadline by key (S5)."""
        rows = self._all("SELECT key, started_at, deadline FROM early_start WHERE deadline>?", (now,))
        return {key: (started_at, deadline) for key, started_at, deadline in rows}

    def subscriber(self, identity: tuple[str, str], done: Callable[[Subscriber | Failed | None], None]) -> None:
        """The subscriber of one identity."""
        try:
            rows = self._all(SUBSCRIBER_SELECT, identity)
        except StoreUnavailable as error:
            done(Failed(str(error)))
            return
        done(subscriber_from_row(rows[0]) if rows else None)

    def movement(self, key: str) -> tuple[str, str] | None:
        """Digest and result of a movement of money by its idempotency key."""
        rows = self._all("SELECT digest, result FROM idempotency WHERE key=?", (key,))
        return rows[0] if rows else None

    def epochs(self) -> dict[str, tuple[int, int]]:
        """Epoch and time of the last restart of every NAS identity that ever restarted (S20)."""
        return {row[0]: (row[1], row[2]) for row in self._all("SELECT identity, epoch, restarted_at FROM nas_identity")}

    def epoch(self, identity: str, done: Callable[[int | Failed], None]) -> None:
        """The epoch of one identity; 0 when it never restarted."""
        try:
            rows = self._all("SELECT epoch FROM nas_identity WHERE identity=?", (identity,))
        except StoreUnavailable as error:
            done(Failed(str(error)))
            return
        done(rows[0][0] if rows else 0)

    def due(self, now: int, most: int, done: Callable[[list[int] | Failed], None]) -> None:
        """
        Live sessions whose deadline has passed, among the next `STRETCH` of all live ones.

        An index of deadlines would cost every report more than this walk costs once a second.
        """
        try:
            last = self._all(STRETCH_END, (*self._walked, STRETCH - 1))
            rows = self._all(DUE, (*self._walked, *(last[0] if last else END), now, most))
        except StoreUnavailable as error:
            done(Failed(str(error)))
            return
        if len(rows) == most:
            self._walked = rows[-1]
        else:
            self._walked = last[0] if last else START
        done([number for _, number in rows])

    def tariff_documents(self) -> list[tuple[int, str]]:
        """Every tariff version that was ever activated: number and document."""
        return self._all(
            "SELECT id, document FROM tariff_version WHERE id IN (SELECT version_id FROM tariff_activation) ORDER BY id"
        )

    def activations(self) -> list[tuple[str, int, int]]:
        """Every activation: tariff, from when, which version."""
        return self._all("SELECT tariff, active_from, version_id FROM tariff_activation ORDER BY tariff, active_from")

    def nas_documents(self) -> list[str]:
        """The RADIUS clients that were provisioned, as stored."""
        return [row[0] for row in self._all("SELECT document FROM nas ORDER BY name")]

    def live_sessions(self, done: Callable[[int | Failed], None]) -> None:
        """How many sessions are held or open."""
        try:
            done(int(self._all("SELECT count(*) FROM session WHERE ended_at IS NULL")[0][0]))
        except StoreUnavailable as error:
            done(Failed(str(error)))

    def peer_documents(self) -> list[str]:
        """The Diameter peers that were provisioned, as stored."""
        return [row[0] for row in self._all("SELECT document FROM peer ORDER BY origin_host, realm")]

    # -- writing ----------------------------------------------------------------------------------

    def new_node(self, name: str, now: int) -> int:
        """Register one more start of a node; its number is part of every session id it makes."""
        with self._transaction() as run:
            return run("INSERT INTO node (name, started_at) VALUES (?,?)", (name, now)).lastrowid or 0

    def load(self, wanted: list[Wanted], tariffs: Tariffs, done: Callable[[list[Loaded] | Failed], None]) -> None:
        """Read what requests need; the answer comes before this returns."""
        try:
            loaded: list[Loaded] | Failed = [self._loaded_or_why_not(each, tariffs) for each in wanted]
        except StoreUnavailable as error:
            loaded = Failed(str(error))
        done(loaded)

    def _loaded(self, wanted: Wanted, tariffs: Tariffs) -> Loaded:
        session = self.session(wanted.names, tariffs)
        account_id = session.head.account_id if session is not None else wanted.account_id
        account, version = None, 0
        if account_id is not None and not (wanted.is_cached and account_id == wanted.account_id):
            account, version = self.account(account_id) or (None, 0)
        movement = self.movement(wanted.movement) if wanted.movement else None
        pool, pool_version = None, 0
        if account is not None and account.profile.pool_id is not None:
            pool, pool_version = self.account(account.profile.pool_id) or (None, 0)
        return Loaded(session, account, version, 0, movement, pool, pool_version)

    def _loaded_or_why_not(self, wanted: Wanted, tariffs: Tariffs) -> Loaded:
        try:
            return self._loaded(wanted, tariffs)
        except RowUnreadable as error:
            return Loaded(problem=str(error))

    def commit(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        """Write a batch durably, whole or not at all (L5); the answer comes before this returns."""
        try:
            self._write(batch, now)
        except StoreUnavailable as error:
            done(Failed(str(error)))
        else:
            done(Committed())

    def _write(self, batch: Batch, now: int) -> None:
        accounts, parts = rows_of(batch, self.names, self.consumers, now)
        if not accounts and not any(rows for _, rows in parts):
            return
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            if accounts and db.executemany(UPDATE_ACCOUNT, accounts).rowcount != len(accounts):
                raise StoreUnavailable("account rows were changed by another writer")
            for sql, rows in parts:
                if rows:
                    db.executemany(sql, rows)
            db.execute("COMMIT")
        except Exception as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if isinstance(error, (sqlite3.Error, StoreUnavailable, OverflowError)):
                raise StoreUnavailable(str(error)) from error
            raise

    def load_locked(
        self,
        account_ids: list[int],
        wanted: list[Wanted],
        tariffs: Tariffs,
        done: Callable[[list[Loaded] | Failed], None],
    ) -> None:
        """One writer never loses a race, so nothing is ever locked."""
        raise InvariantBroken("the embedded store has one writer and no lock lane")

    def commit_locked(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        """See `load_locked`."""
        raise InvariantBroken("the embedded store has one writer and no lock lane")

    def pulse(self, done: Callable[[Pulse | Failed], None]) -> None:
        """Nobody else writes the file, so nobody asks."""
        raise InvariantBroken("the embedded store has one writer and nothing to watch")

    def purge(self, closed_before: int, now: int, most: int, done: Callable[[int | Failed], None]) -> None:
        """Forget closed sessions and early starts whose time is over, a bounded number at once."""
        try:
            done(self._purged(closed_before, now, most))
        except StoreUnavailable as error:
            done(Failed(str(error)))

    def _purged(self, closed_before: int, now: int, most: int) -> int:
        with self._transaction() as run:
            run("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)", ())
            run("DELETE FROM gone", ())
            run(
                "INSERT INTO gone SELECT id FROM session WHERE ended_at<? LIMIT ?",
                (closed_before, most),
            )
            run("DELETE FROM session_alias WHERE session_id IN (SELECT id FROM gone)", ())
            count: int = run("DELETE FROM session WHERE id IN (SELECT id FROM gone)", ()).rowcount
            run("DELETE FROM early_start WHERE deadline<?", (now,))
            return count

    def provision(self, work: Callable[[Connection], Any]) -> Any:
        """
        Run `work` with a SQLAlchemy connection in one transaction of the writing connection.

        Raises:
            StoreUnavailable: The database refused; nothing was written.
        """
        engine = create_engine("sqlite://", creator=lambda: self._db, poolclass=StaticPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                result = work(connection)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            return result

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """A write transaction around a few statements; sqlite3's errors become ours."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> Callable[[str, Sequence[Any]], sqlite3.Cursor]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error
        return self._db.execute

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
            return
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailable(str(error)) from error


def lock(path: str) -> int:
    """Hold the lock that says this process writes the file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError([f"[store] url: {path[:-5]} is in use by another process"]) from error
    return handle
