"""
The PostgreSQL store: one statement per batch, optimistic account versions, a lock lane (DESIGN 5).

Three connections: one for loads and batches, one for the lock lane, one for what must not wait behind
them (subscribers, due sessions).  Start-up and provisioning go through SQLAlchemy with a connection pool of
its own, in whatever thread asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, create_engine, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from aaa.engine.model import Account, Session
from aaa.engine.ports import Subscriber, Tariffs
from aaa.errors import StoreUnavailable
from aaa.store import outbox, tables
from aaa.store.batch import (
    Batch,
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
from aaa.store.link import Done, Link, array
from aaa.store.port import Committed, Failed, Loaded, Pulse, Wanted
from aaa.store.postgres_sql import SETTINGS, STATEMENTS
from aaa.store.profiles import ACCOUNT_COLUMNS, BUCKET_COLUMNS, account_from_row, bucket_from_row, subscriber_from_row

CONNECT_OPTIONS = {
    "connect_timeout": "3",
    "application_name": "aaad",
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
}
_ACCOUNT = ACCOUNT_COLUMNS.split(", ")
_BUCKET = BUCKET_COLUMNS.split(", ")
_SESSION = ("id", "account_id", "key", "origin", "state", "deadline", "head", "body")
STRETCH = 20_000  # live sessions looked at in one sweep
_MAIN = ("commit", "commit_rare", "load")
_ASIDE = ("due", "live", "purge", "subscriber", "pulse")


class PostgresStore:
    """
    One database, shared by any number of nodes.

    Args:
        reactor: Runs the connections.
        on_error: Told about callbacks that raise.

    Raises:
        StoreUnavailable: The database cannot be reached.
    """

    is_single_writer = False
    names = None  # another node may have stored any name at any time

    def __init__(self, url: str, reactor: Any, on_error: Callable[[Exception], None]) -> None:
        self.consumers: tuple[outbox.Consumer, ...] = ()
        self._walked = 0  # the last live session that was looked at
        self._engine = create_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True)
        conninfo = conninfo_of(url)
        lane_settings = SETTINGS.replace("200ms", "500ms")
        self._main = Link(conninfo, reactor, SETTINGS, _picked(*_MAIN), 1.5, on_error)
        self._lane = Link(conninfo, reactor, lane_settings, _picked("lock", *_MAIN), 4.0, on_error)
        self._aside = Link(conninfo, reactor, "SET statement_timeout='5s'", _picked(*_ASIDE), 6.0, on_error)

    def close(self) -> None:
        """End all connections."""
        for link in (self._main, self._lane, self._aside):
            link.close()
        self._engine.dispose()

    # -- requests ---------------------------------------------------------------------------------

    def load(self, wanted: list[Wanted], tariffs: Tariffs, done: Callable[[list[Loaded] | Failed], None]) -> None:
        """Read what requests need, in one snapshot."""
        self._main.run("load", _load_values(wanted), _told(done, lambda rows: _loaded(wanted, rows, tariffs)))

    def commit(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        """Write a batch in one statement; what another node moved is left out whole."""
        self._commit(self._main, batch, now, done)

    def load_locked(
        self,
        account_ids: list[int],
        wanted: list[Wanted],
        tariffs: Tariffs,
        done: Callable[[list[Loaded] | Failed], None],
    ) -> None:
        """Lock the accounts in id order, then read in a second statement, whose snapshot is newer than the locks."""

        def ready(loaded: list[Loaded] | Failed) -> None:
            if isinstance(loaded, Failed):
                self._rollback(loaded, done)
            else:
                done(loaded)

        def locked(rows: list[Any] | Failed) -> None:
            if isinstance(rows, Failed):
                self._rollback(rows, done)
            else:
                self._lane.run("load", values, _told(ready, lambda rows: _loaded(wanted, rows, tariffs)))

        def begun(rows: list[Any] | Failed) -> None:
            if isinstance(rows, Failed):
                done(rows)
            else:
                self._lane.run("lock", [array(sorted(account_ids))], locked)

        values = _load_values(wanted)
        self._lane.execute("BEGIN", [], begun)

    def commit_locked(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        """Write under the locks and end the transaction."""

        def written(outcome: Committed | Failed) -> None:
            if isinstance(outcome, Failed) or outcome.losers:
                failure = outcome if isinstance(outcome, Failed) else Failed("lost under lock", is_conflict=True)
                self._rollback(failure, done)
            else:
                self._lane.execute("COMMIT", [], lambda rows: done(rows if isinstance(rows, Failed) else outcome))

        try:
            self._commit(self._lane, batch, now, written)
        except Exception:
            self._lane.execute("ROLLBACK", [], _nothing)  # the locks must not stay behind
            raise

    def _rollback(self, failure: Failed, done: Callable[[Any], None]) -> None:
        self._lane.execute("ROLLBACK", [], lambda _rows: done(failure))

    def _commit(self, link: Link, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        stages = [batch[number] for number in sorted(batch)]
        checked = {stage.account_id for stage in stages if stage.account_id}
        name, values = _commit_values(stages, now, outbox.rows(stages, self.consumers, now))
        link.run(
            name,
            values,
            _told(done, lambda rows: Committed(frozenset(checked.difference(int(row[0]) for row in rows)))),
        )

    def due(self, now: int, most: int, done: Callable[[list[int] | Failed], None]) -> None:
        """
        Live sessions whose deadline has passed, among the next `STRETCH` of all live ones.

        An index of deadlines would cost every report more than this walk costs once a second.
        """

        def walked(rows: list[Any]) -> list[int]:
            self._walked = next(int(number) for is_due, number in rows if is_due == b"f")
            return [int(number) for is_due, number in rows if is_due == b"t"]

        values = [str(now), str(most), str(self._walked), str(STRETCH)]
        self._aside.run("due", values, _told(done, walked))

    def live_sessions(self, done: Callable[[int | Failed], None]) -> None:
        """How many sessions are held or open."""
        self._aside.run("live", [], _told(done, lambda rows: _numbers(rows)[0]))

    def pulse(self, done: Callable[[Pulse | Failed], None]) -> None:
        """What tells whether other nodes changed anything, and the store's clock."""
        self._aside.run("pulse", [], _told(done, lambda rows: Pulse(*(int(value) for value in rows[0]))))

    def purge(self, closed_before: int, now: int, most: int, done: Callable[[int | Failed], None]) -> None:
        """Forget closed sessions and early starts whose time is over, a bounded number at once."""
        values = [str(closed_before), str(now), str(most)]
        self._aside.run("purge", values, _told(done, lambda rows: _numbers(rows)[0]))

    def subscriber(self, identity: tuple[str, str], done: Callable[[Subscriber | Failed | None], None]) -> None:
        """The subscriber of one identity."""

        def read(rows: list[Any]) -> Subscriber | None:
            if not rows:
                return None
            number, *texts = rows[0]
            return subscriber_from_row((int(number), *(text.decode() for text in texts)))

        if "\0" in identity[1]:
            done(None)  # PostgreSQL has no such text, so nobody is called that
        else:
            self._aside.run("subscriber", identity, _told(done, read))

    # -- start-up and provisioning, in any thread -------------------------------------------------

    def provision(self, work: Callable[[Connection], Any]) -> Any:
        """Run `work` with a SQLAlchemy connection in one transaction."""
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise StoreUnavailable(str(error.__cause__ or error)) from error

    def _rows(self, statement: Any) -> list[Any]:
        return list(self.provision(lambda connection: connection.execute(statement).all()))

    def new_node(self, name: str, now: int) -> int:
        """Register one more start of a node; its number is part of every session id it makes."""
        statement = insert(tables.node).values(name=name, started_at=now).returning(tables.node.c.number)
        return int(self._rows(statement)[0][0])

    def account_id(self, name: str) -> int | None:
        """The number of an account by its public id."""
        rows = self._rows(select(tables.account.c.id).where(tables.account.c.name == name))
        return rows[0][0] if rows else None

    def early_starts(self, now: int) -> dict[str, tuple[int, int]]:
        """None are kept: another node may have seen them, so every load asks."""
        return {}

    def epochs(self) -> dict[str, tuple[int, int]]:
        """Epoch and time of the last restart of every NAS identity that ever restarted (S20)."""
        return {row.identity: (row.epoch, row.restarted_at) for row in self._rows(select(tables.nas_identity))}

    def tariff_documents(self) -> list[tuple[int, str]]:
        """Every tariff version that was ever activated: number and document."""
        version, activation = tables.tariff_version, tables.tariff_activation
        wanted = select(activation.c.version_id)
        statement = select(version.c.id, version.c.document).where(version.c.id.in_(wanted)).order_by(version.c.id)
        return [tuple(row) for row in self._rows(statement)]

    def activations(self) -> list[tuple[str, int, int]]:
        """Every activation: tariff, from when, which version."""
        table = tables.tariff_activation
        statement = select(table.c.tariff, table.c.active_from, table.c.version_id)
        return [tuple(row) for row in self._rows(statement.order_by(table.c.tariff, table.c.active_from))]

    def nas_documents(self) -> list[str]:
        """The RADIUS clients that were provisioned, as stored."""
        return [row[0] for row in self._rows(select(tables.nas.c.document).order_by(tables.nas.c.name))]

    def peer_documents(self) -> list[str]:
        """The Diameter peers that were provisioned, as stored."""
        table = tables.peer
        return [row[0] for row in self._rows(select(table.c.document).order_by(table.c.origin_host, table.c.realm))]


def conninfo_of(url: str) -> str:
    """The libpq connection string of a SQLAlchemy URL."""
    parsed = make_url(url)
    given = {
        "host": parsed.host,
        "port": parsed.port,
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
    }
    options = {**CONNECT_OPTIONS, **{key: str(value) for key, value in parsed.query.items()}}
    options.update({key: str(value) for key, value in given.items() if value is not None})
    return " ".join(f"{key}='{_escaped(value)}'" for key, value in options.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _picked(*names: str) -> dict[str, str]:
    return {name: STATEMENTS[name] for name in names}


def _told(done: Callable[[Any], None], made: Callable[[list[Any]], Any]) -> Done:
    """A callback for a link: `done` gets what is made of the rows, or that it failed or could not be read."""

    def answered(rows: list[Any] | Failed) -> None:
        outcome: Any = rows
        if not isinstance(rows, Failed):
            try:
                outcome = made(rows)
            except Exception as error:
                outcome = Failed(f"what the database answered cannot be read: {error!r}")
        done(outcome)

    return answered


def _nothing(_rows: list[Any] | Failed) -> None:
    """Nobody waits for this one."""


def _numbers(rows: list[Any]) -> list[int]:
    return [int(row[0]) for row in rows]


# -- values of a batch ----------------------------------------------------------------------------


def _columns(rows: list[Row], width: int) -> list[str]:
    """Rows as one array literal per column."""
    return [array(column) for column in zip(*rows, strict=True)] if rows else ["{}"] * width


def _commit_values(stages: list[Stage], now: int, events: list[Row]) -> tuple[str, list[str | None]]:
    """The statement for a batch and its values, everything sorted by account."""
    moved = [account_update(stage.account, stage.version) for stage in stages if stage.account is not None]
    kept = [(s.account_id, s.version) for s in stages if s.account is None and s.account_id]
    inserts = [session_insert(session) for stage in stages for session in stage.new_sessions.values()]
    updates = [(*session_update(session), stage.account_id) for stage in stages for session in stage.sessions.values()]
    entries = [tuple(entry) for stage in stages for entry in stage.entries]
    absent = [(stage.account_id, name) for stage in stages for name in stage.absent]
    values: list[str | None] = [
        *_columns(moved, 7),
        *_columns(kept, 2),
        *_columns(inserts, 10),
        *_columns(updates, 7),
        *_columns(_cdrs(stages), 16),
        *_columns(entries, 7),
        *_columns(absent, 2),
    ]
    windows = [(windows_text(stage),) for stage in stages if stage.account is not None]
    is_windowed = any(text for (text,) in windows)
    rare = [*_rare(stages, now), (events, 5), (windows, 1)]
    if not is_windowed and not any(rows for rows, _ in rare[:-1]):
        return "commit", values
    for rows, width in rare:
        values += _columns(rows, width)
    return "commit_rare", values


def _cdrs(stages: list[Stage]) -> list[Row]:
    rows: list[Row] = []
    for stage in stages:
        currency = stage.account.profile.currency if stage.account is not None else ""
        rows.extend(cdr_row(session, currency) for session in stage.settled.values())
        if stage.rare is not None:
            rows.extend(unrated_row(number, record) for number, record in stage.rare.unrated)
    return rows


def _rare(stages: list[Stage], now: int) -> list[tuple[list[Row], int]]:
    """What most batches do not have: aliases, movements, buckets, early starts, restarts."""
    rare = [(stage.account_id, stage.rare) for stage in stages if stage.rare is not None]
    aliases = [(number, *row) for number, more in rare for row in more.aliases]
    movements = [(number, *row) for number, more in rare for row in more.movements]
    buckets = [
        (number, bucket.amount, bucket.reserved, bucket.id) for number, more in rare for bucket in more.buckets.values()
    ]
    units = [(number, *entry) for number, more in rare for entry in more.units]
    starts = [start for _, more in rare for start in more.early_starts]
    early = {key: (key, start.started_us, start.deadline_us) for start in starts for key in start.keys}
    restarts = [row for _, more in rare for row in more.restarts]
    return [
        (aliases, 3),
        (movements, 5),
        (buckets, 4),
        (units, 6),
        (list(early.values()), 3),
        ([row[:3] for row in restarts], 3),
        ([(now, row[3]) for row in restarts], 2),
    ]


# -- values of a load -----------------------------------------------------------------------------


def _load_values(wanted: list[Wanted]) -> list[str | None]:
    names = [name for each in wanted for name in each.names]
    ids = [int(name[1:]) for name in names if name[0] == "#" and name[1:].isdigit() and len(name) < 20]
    accounts = [each.account_id for each in wanted if each.account_id is not None]
    movements = [each.movement for each in wanted if each.movement]
    return [array([name.replace("\0", "\ufffd") for name in names]), array(ids), array(accounts), array(movements)]


def _loaded(wanted: list[Wanted], rows: Iterable[Any], tariffs: Tariffs) -> list[Loaded]:
    """Sort what came back to the requests that wanted it."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in "snabem"}
    for kind, text in rows:
        found[kind.decode()].append(loads(text))
    sessions: dict[str | int, Session] = {}
    for row in found["s"]:
        session = session_from_row([row[name] for name in _SESSION], tariffs)
        sessions[session.head.key] = sessions[session.head.id] = session
    for row in found["n"]:
        if row["session_id"] in sessions:
            sessions.setdefault(row["alias"], sessions[row["session_id"]])
    accounts = _accounts(found["a"], found["b"])
    early = {row["key"]: row["started_at"] for row in found["e"]}
    movements = {row["key"]: (row["digest"], row["result"]) for row in found["m"]}
    return [_one(each, sessions, accounts, early, movements) for each in wanted]


def _accounts(rows: list[dict[str, Any]], buckets: list[dict[str, Any]]) -> dict[int, tuple[Account, int]]:
    held: dict[int, list[Any]] = {}
    for row in buckets:
        held.setdefault(row["account_id"], []).append(bucket_from_row([row[name] for name in _BUCKET]))
    return {
        row["id"]: account_from_row([row[name] for name in _ACCOUNT], tuple(held.get(row["id"], ()))) for row in rows
    }


def _one(
    wanted: Wanted,
    sessions: dict[str | int, Session],
    accounts: dict[int, tuple[Account, int]],
    early: dict[str, int],
    movements: dict[str, tuple[str, str]],
) -> Loaded:
    session = None
    for name in wanted.names:
        session = sessions.get(int(name[1:]) if name[0] == "#" and name[1:].isdigit() else name)
        if session is not None:
            break
    account_id = session.head.account_id if session is not None else wanted.account_id
    account, version = (account_id is not None and accounts.get(account_id)) or (None, 0)
    started = next((early[name] for name in wanted.names if name in early), 0)
    return Loaded(session, account, version, started, movements.get(wanted.movement))
