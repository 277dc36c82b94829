"""
Stores of both kinds, each new and empty, with a reactor that is turned by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor

from aaa.engine.answers import Answer
from aaa.engine.commands import Command
from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.store import schema
from aaa.store.open import open_store
from aaa.store.port import Store
from tests.support.postgres import Postgres
from tests.support.stores import Clock, fill
from tests.support.tariffs import flat

TURNS_MAX = 2000


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the whole run."""
    server = Postgres()
    yield server
    server.stop()


class Bench:
    """Nodes on one database, each with its own connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reactor: Any = EPollReactor()
        self.reactor.startRunning(installSignalHandlers=False)  # threads start with it
        self.clock = Clock()
        self.stores: list[Store] = []
        self.errors: list[Exception] = []

    def prepare(self, balances: dict[str, str]) -> None:
        """Schema, tariff, accounts."""
        schema.upgrade(self.url)
        store = open_store(self.url, self.reactor, self.errors.append)
        store.provision(lambda connection: fill(connection, balances, flat("0.60")))
        store.close()

    def node(self) -> ChargingNode:
        """One more node."""
        store = open_store(self.url, self.reactor, self.errors.append)
        self.stores.append(store)
        number = store.new_node("test", self.clock())
        return ChargingNode(store, TariffBook(store), self.clock, number, self.errors.append)

    def run(self, node: ChargingNode, *commands: tuple[Command, int | None]) -> list[Answer]:
        """Submit commands as one burst and turn the reactor until all are answered."""
        return self.wait(self.send(node, *commands))

    def send(self, node: ChargingNode, *commands: tuple[Command, int | None]) -> list[Answer | None]:
        """Submit commands without waiting; the answers appear in the list."""
        answers: list[Answer | None] = [None] * len(commands)
        for position, (command, account_id) in enumerate(commands):
            node.submit(command, account_id, lambda answer, at=position: answers.__setitem__(at, answer))
        node.flush()
        return answers

    def wait(self, answers: list[Answer | None]) -> list[Answer]:
        """Turn the reactor until every answer is there."""
        self.turn(lambda: None not in answers)
        return answers  # type: ignore[return-value]

    def turn(self, is_done: Callable[[], bool]) -> None:
        """Turn the reactor until something is so."""
        for _ in range(TURNS_MAX):
            if is_done():
                return
            self.reactor.iterate(0.01)
        raise AssertionError(f"nothing happened: {self.errors}")

    def rows(self, sql: str) -> list[Any]:
        """What the database holds."""
        return list(self.stores[0].provision(lambda connection: connection.exec_driver_sql(sql).fetchall()))

    def close(self) -> None:
        for store in self.stores:
            store.close()
        self.reactor.fireSystemEvent("shutdown")
        for _ in range(3):
            self.reactor.iterate(0)


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A database of each kind."""
    if request.param == "sqlite":
        made = Bench(f"sqlite:///{tmp_path}/aaa.db")
    else:
        made = Bench(request.getfixturevalue("postgres").create(f"t{abs(hash(str(tmp_path)))}"))
    yield made
    made.close()


@pytest.fixture
def shared(postgres: Postgres, tmp_path: Path) -> Iterator[Bench]:
    """A database that several nodes may share."""
    made = Bench(postgres.create(f"s{abs(hash(str(tmp_path)))}"))
    yield made
    made.close()
