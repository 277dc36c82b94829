"""
The nodes of a simulation: one on a store of its own, or several racing on one database.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.store.batch import Batch
from aaa.store.port import Committed, Failed
from aaa.store.sqlite import SqliteStore
from tests.sim.racing import Database, RacingStore
from tests.support.stores import Clock

FAILURE_RATE = 0.01


class Flaky:
    """Wraps the commit of an embedded store: refuses before it, or claims to have failed after it."""

    def __init__(self, store: SqliteStore, rng: random.Random) -> None:
        self._commit = store.commit
        self._rng = rng
        store.commit = self  # type: ignore[method-assign]

    def __call__(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        roll = self._rng.random()
        if roll < FAILURE_RATE / 2:
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
    ) -> None:
        self.clock = clock
        self.overspent = 0
        self.conflicts = 0
        self.decided_most = 0
        self._url = url
        self._rng = rng
        self._on_error = on_error
        self._mutate = mutate
        self._database = Database(url) if count > 1 else None
        self._stores: list[Any] = [None] * count
        self.nodes: list[ChargingNode] = [self._start(place) for place in range(count)]

    def _start(self, place: int) -> ChargingNode:
        if self._database is None:
            self._stores[place] = store = SqliteStore(self._url)
            Flaky(store, self._rng)
        else:
            self._stores[place] = store = RacingStore(self._database, lambda: self._rng.random() < FAILURE_RATE)
        node = ChargingNode(store, TariffBook(store), self.clock, store.new_node("sim", 0), self._on_error)
        if self._mutate is not None:
            self._mutate(node)
        return node

    def crash(self, place: int) -> None:
        """Throw a node away with all it knows, and start another in its place."""
        self._count(self.nodes[place])
        self._stores[place].close()
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
        for place, node in enumerate(self.nodes):
            self._count(node)
            self._stores[place].close()
        if self._database is not None:
            self._database.close()

    def _count(self, node: ChargingNode) -> None:
        self.overspent += _overspend(node)
        self.conflicts += node.counters["conflicts", ""]


def _overspend(node: ChargingNode) -> int:
    return sum(amount for (kind, _), amount in node.counters.items() if kind == "overspend")
