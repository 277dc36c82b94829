"""
The courier: takes events of the outbox to their consumers, at least once each, in the order of their rows.

One thread per process that delivers, one turn after the other for every consumer.  Several nodes share an outbox:
who delivers for a consumer holds its lease, and another takes over when that one has been silent for half a minute.
A crash between delivery and mark delivers again.

What a sink does not take waits and is tried again with growing pauses, for as long as the outbox is kept
(`[retention] outbox`).  An event that is refused for good (HTTP 4xx) a few times is given up, so that it does not hold
up those behind it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, select, text, update

from aaa.engine.ports import Control
from aaa.errors import StoreUnavailable
from aaa.outbox.sinks import Event, Sink
from aaa.store import tables
from aaa.store.read import snapshot

IDLE_S = 0.5
BATCH_MOST = 200
LEASE_US = 30_000_000
REFUSALS_MAX = 5
PAUSE_FIRST_S = 1.0
PAUSE_MOST_S = 60.0
PRUNE_EVERY_S = 60.0
PRUNE_MOST = 20_000
STORE_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
PENDING, DELIVERED, GIVEN_UP = 0, 1, 2

_LEASE = text(
    "INSERT INTO outbox_lease (consumer, owner, until) VALUES (:consumer, :owner, :until) "
    "ON CONFLICT (consumer) DO UPDATE SET owner = excluded.owner, until = excluded.until "
    "WHERE outbox_lease.owner = excluded.owner OR outbox_lease.until < :now RETURNING consumer"
)


class Standing(NamedTuple):
    """How a consumer is doing in this process: when to try again, how long to wait after that, refusals in a row."""

    due_s: float = 0.0
    pause_s: float = PAUSE_FIRST_S
    refusals: int = 0


class Courier:
    """
    Delivers for all consumers.

    Args:
        control: Runs the few writes (leases, marks) in transactions of the node.
        engine: Reads what is pending.
        owner: This process's name among those that hold leases.
        clock: Integer microseconds since the epoch.
        retention_us: How long events are kept.
        on_problem: Told why a consumer does not take its events, each time it is tried.
    """

    def __init__(
        self,
        control: Control,
        engine: Engine,
        sinks: Mapping[str, Sink],
        *,
        owner: str,
        clock: Callable[[], int],
        retention_us: int,
        on_problem: Callable[[str], None],
    ) -> None:
        self.counters: Counter[tuple[str, str]] = Counter()
        self._control = control
        self._engine = engine
        self._sinks = dict(sinks)
        self._owner = owner
        self._clock = clock
        self._retention_us = retention_us
        self._on_problem = on_problem
        self._standing = {name: Standing() for name in sinks}
        self._prune_due_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """End after the delivery that runs; what is pending stays for the next start, or another node."""
        self._stopping.set()

    def turn(self) -> bool:
        """One round over all consumers; True when one of them has more than was taken at once."""
        has_more = False
        now_s = self._clock() / 1e6
        for name, sink in self._sinks.items():
            if now_s >= self._standing[name].due_s:
                has_more |= self._deliver(name, sink, now_s)
        if now_s >= self._prune_due_s:
            self._prune_due_s = now_s + PRUNE_EVERY_S
            self._write(self._prune)
        return has_more

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                has_more = self.turn()
            except (StoreUnavailable, FutureTimeout) as error:
                self._on_problem(f"outbox: {type(error).__name__}: {error}")
                has_more = False
            if not has_more:
                self._stopping.wait(IDLE_S)
        for sink in self._sinks.values():
            sink.close()
        self._engine.dispose()

    # -- one consumer -----------------------------------------------------------------------------

    def _deliver(self, name: str, sink: Sink, now_s: float) -> bool:
        if not self._pending(name, 1) or not self._write(lambda connection: self._lease(connection, name)):
            return False
        events = self._pending(name, BATCH_MOST)
        result = sink.deliver(events)
        gone = {event.number: DELIVERED for event in events[: result.taken]}
        standing = self._after(name, result.problem, result.is_refused, result.taken, now_s)
        if standing.refusals >= REFUSALS_MAX:
            gone[events[result.taken].number] = GIVEN_UP
            self.counters["given_up", name] += 1
            standing = Standing()
        self._standing[name] = standing
        if gone:
            self._write(lambda connection: self._mark(connection, gone))
        self.counters["delivered", name] += result.taken
        return len(events) == BATCH_MOST and not result.problem

    def _after(self, name: str, problem: str, is_refused: bool, count: int, now_s: float) -> Standing:
        """How a consumer stands after a delivery: untroubled, or to be tried again after a pause."""
        if not problem:
            return Standing()
        before = Standing() if count else self._standing[name]
        self.counters["failed", name] += 1
        self._on_problem(f"outbox {name}: {problem}; next try in {before.pause_s:g} s")
        pause_s = min(before.pause_s * 2, PAUSE_MOST_S)
        return Standing(now_s + before.pause_s, pause_s, before.refusals + 1 if is_refused else 0)

    # -- the store --------------------------------------------------------------------------------

    def _write(self, work: Callable[[Connection], Any]) -> Any:
        return self._control.provision(work, forgets=False).result(STORE_TIMEOUT_S)

    def _lease(self, connection: Connection, name: str) -> bool:
        """Whether this process is the one to deliver now; the lease is renewed with every delivery."""
        now = self._clock()
        values = {"consumer": name, "owner": self._owner, "until": now + LEASE_US, "now": now}
        return connection.execute(_LEASE, values).first() is not None

    def _pending(self, name: str, most: int) -> list[Event]:
        table = tables.outbox
        query = select(table.c.id, table.c.kind, table.c.at, table.c.body)
        query = query.where(table.c.consumer == name, table.c.state == PENDING).order_by(table.c.id).limit(most)
        with snapshot(self._engine) as connection:
            return [Event(*row) for row in connection.execute(query)]

    def _mark(self, connection: Connection, gone: Mapping[int, int]) -> None:
        table = tables.outbox
        for state in (DELIVERED, GIVEN_UP):
            numbers = [number for number, its in gone.items() if its == state]
            if numbers:
                connection.execute(update(table).where(table.c.id.in_(numbers)).values(state=state))

    def _prune(self, connection: Connection) -> None:
        """Forget what was kept long enough; what nobody took until then is counted."""
        table = tables.outbox
        old = select(table.c.id).where(table.c.at < self._clock() - self._retention_us).limit(PRUNE_MOST)
        gone = connection.execute(delete(table).where(table.c.id.in_(old)).returning(table.c.consumer, table.c.state))
        for row in gone.all():
            if row.state == PENDING:
                self.counters["expired", row.consumer] += 1
