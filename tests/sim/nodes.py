"""
The nodes of a simulation: one on a store of its own, or several racing on one database.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from aaa.engine.ports import Tariffs
from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.store.batch import Batch
from aaa.store.port import Committed, Failed, Loaded, Wanted
from aaa.store.sqlite import SqliteStore
from tests.sim.outages import Outages
from tests.sim.racing import Database, RacingStore
from tests.support.stores import Clock

FAILURE_RATE = 0.01


class Flaky:
    """Wraps an embedded store: refuses a commit, or claims that it failed after it; does nothing while it is down."""

    def __init__(self, store: SqliteStore, rng: random.Random, is_down: Callable[[], bool]) -> None:
        self._commit = store.commit
        self._load = store.load
        self._rng = rng
        self._is_down = is_down
        store.commit = self  # type: ignore[method-assign]
        store.load = self.load  # type: ignore[method-assign]

    def load(self, wanted: list[Wanted], tariffs: Tariffs, done: Callable[[list[Loaded] | Failed], None]) -> None:
        if self._is_down():
            done(Failed("simulated: down"))
        else:
            self._load(wanted, tariffs, done)

    def __call__(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        roll = self._rng.random()
        if self._is_down():
            done(Failed("simulated: down"))
        elif roll < FAILURE_RATE / 2:
            done(Failed("simulated: refused"))
        elif roll < FAILURE_RATE:
            self._commit(batch, now, _ignore)
            done(Failed("simulated: outcome unknown", is_unknown=self._rng.random() < 0.5))
        else:
            self._commit(batch, now, done)


def _ignore(_outcome: Committed | Failed) -> None:
    """Nobody hears of this commit."""


class Nodes:
    """
    Args:
        mutate: Changes each node after its start, to plant a bug that the laws must notice.
        outages: When the store is away; None: never.
        on_error: Told of what a receiver of an answer raises.
    """

    def __init__(
        self,
        url: str,
        count: int,
        clock: Clock,
        rng: random.Random,
        on_error: Callable[[Exception], None],
        mutate: Callable[[ChargingNode], None] | None = None,
        outages: Outages | None = None,
    ) -> None:
        self.clock = clock
        self.overspent = 0
        self.conflicts = 0
        self.decided_most = 0
        self._url = url
        self._rng = rng
        self._on_error = on_error
        self._mutate = mutate
        self._outages = outages
        self._database = Database(url) if count > 1 else None
        self._stores: list[Any] = [None] * count
        self.nodes: list[ChargingNode] = [self._start(place) for place in range(count)]

    def _start(self, place: int) -> ChargingNode:
        if self._database is None:
            self._stores[place] = store = SqliteStore(self._url)
            Flaky(store, self._rng, self._is_down)
        else:
            self._stores[place] = store = RacingStore(
                self._database, lambda: self._rng.random() < FAILURE_RATE, self._is_down
            )
        node = ChargingNode(store, TariffBook(store), self.clock, store.new_node("sim", 0), self._on_error)
        if self._outages is not None:
            self._outages.survive(node, place)
        if self._mutate is not None:
            self._mutate(node)
        return node

    def _is_down(self) -> bool:
        return self._outages is not None and self._outages.is_down

    def crash(self, place: int) -> None:
        """Throw a node away with all it knows, and start another in its place."""
        self._end(place)
        self.nodes[place] = self._start(place)

    def overspend(self) -> int:
        """What all nodes have counted as overspend, gone ones included, in micro."""
        return self.overspent + sum(_overspend(node) for node in self.nodes)

    def flush(self) -> None:
        """Let every node work; several take their steps in any order, and may be left in the middle."""
        for node in self.nodes:
            node.flush()
        if self._database is not None:
            while any(store.is_busy for store in self._stores) and self._rng.random() > 0.01:
                self._rng.choice(self._stores).step(self._rng)

    def finish(self) -> None:
        """Let everything under way come to its end."""
        for node in self.nodes:
            node.flush()
        while self._database is not None and any(store.is_busy for store in self._stores):
            self._rng.choice(self._stores).step(self._rng)

    def stop(self) -> None:
        """End them all."""
        for place in range(len(self.nodes)):
            self._end(place)
        if self._database is not None:
            self._database.close()

    def _end(self, place: int) -> None:
        node = self.nodes[place]
        self._stores[place].close()
        if node.outage is not None:
            node.outage.close()
        self.overspent += _overspend(node)
        self.conflicts += node.counters["conflicts", ""]


def _overspend(node: ChargingNode) -> int:
    return sum(amount for (kind, _), amount in node.counters.items() if kind == "overspend")
