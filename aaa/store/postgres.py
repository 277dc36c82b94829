"""
The PostgreSQL store: one statement per batch, optimistic account versions, a lock lane (DESIGN 5).

Three connections: one for loads and batches, one for the lock lane, one for what must not wait behind
them (subscribers, due sessions).  Start-up and provisioning go through SQLAlchemy with a connection pool of
its own, in whatever thread asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, create_engine, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from aaa.engine.ports import Subscriber, Tariffs
from aaa.errors import StoreUnavailable
from aaa.store import outbox, tables
from aaa.store.batch import Batch
from aaa.store.link import Done, Link
from aaa.store.port import Committed, Failed, Loaded, Pulse, Wanted
from aaa.store.postgres_rows import NUMBER, array, commit_values, load_values, loaded
from aaa.store.postgres_sql import SETTINGS, STATEMENTS, commit
from aaa.store.profiles import subscriber_from_row

CONNECT_OPTIONS = {
    "connect_timeout": "3",
    "application_name": "aaad",
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
}
STRETCH = 20_000  # live sessions looked at in one sweep, which goes by account and id
START = (0, 0)
_MAIN = ("load", "epoch")
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
        self._walked = START  # the last live session that was looked at
        self._engine = create_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True)
        conninfo = conninfo_of(url)
        lane_settings = SETTINGS.replace("200ms", "500ms")
        self._main = Link(conninfo, reactor, SETTINGS, _picked(*_MAIN), 1.5, on_error)
        self._lane = Link(conninfo, reactor, lane_settings, _picked("lock", *_MAIN), 1.5, on_error)
        self._aside = Link(conninfo, reactor, "SET statement_timeout='5s'", _picked(*_ASIDE), 6.0, on_error)

    def close(self) -> None:
        """End all connections."""
        for link in (self._main, self._lane, self._aside):
            link.close()
        self._engine.dispose()

    # -- requests ---------------------------------------------------------------------------------

    def load(self, wanted: list[Wanted], tariffs: Tariffs, done: Callable[[list[Loaded] | Failed], None]) -> None:
        """Read what requests need, in one snapshot."""
        self._main.run("load", load_values(wanted), _told(done, lambda rows: loaded(wanted, rows, tariffs)))

    def epoch(self, identity: str, done: Callable[[int | Failed], None]) -> None:
        """The epoch of one identity; on the connection of loads, because requests wait for it as for those."""
        self._main.run("epoch", [identity.replace("\0", "\ufffd")], _told(done, lambda rows: sum(_numbers(rows))))

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

        def ready(found: list[Loaded] | Failed) -> None:
            if isinstance(found, Failed):
                self._rollback(found, done)
            else:
                done(found)

        def locked(rows: list[Any] | Failed) -> None:
            if isinstance(rows, Failed):
                self._rollback(rows, done)
            else:
                self._lane.run("load", values, _told(ready, lambda rows: loaded(wanted, rows, tariffs)))

        def begun(rows: list[Any] | Failed) -> None:
            if isinstance(rows, Failed):
                done(rows)
            else:
                self._lane.run("lock", [array(sorted(account_ids), NUMBER)], locked)

        values = load_values(wanted)
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
        letters, values = commit_values(stages, now, outbox.rows(stages, self.consumers, now))
        name = f"commit_{letters}"
        if not link.has(name):
            link.prepare(name, commit(letters))
        link.run(name, values, _told(done, lambda rows: Committed(frozenset(_numbers(rows)))))

    def due(self, now: int, most: int, done: Callable[[list[int] | Failed], None]) -> None:
        """
        Live sessions whose deadline has passed, among the next `STRETCH` of all live ones.

        An index of deadlines would cost every report more than this walk costs once a second.
        """

        def walked(rows: list[Any]) -> list[int]:
            found = [(int(account_id), int(number)) for is_due, account_id, number in rows if is_due == b"t"]
            last = [(int(account_id), int(number)) for is_due, account_id, number in rows if is_due == b"f"]
            self._walked = max(found if len(found) == most else last, default=START)
            return [number for _, number in found]

        values = [str(now), str(most), *map(str, self._walked), str(STRETCH)]
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
            number, *texts, pool = rows[0]
            pool_id = None if pool is None else int(pool)
            return subscriber_from_row((int(number), *(text.decode() for text in texts), pool_id))

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
