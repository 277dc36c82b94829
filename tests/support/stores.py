"""
A real store in a temporary directory, with accounts and a tariff, and a node on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from aaa.engine.answers import Answer
from aaa.engine.commands import Command
from aaa.engine.terms import SECOND_US
from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.store import schema, tables
from aaa.store.sqlite import SqliteStore
from rating import parse_money
from tests.support.tariffs import document, flat

START_US = 1_800_000_000 * SECOND_US


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START_US

    def __call__(self) -> int:
        return self.now

    def at(self, seconds: float) -> None:
        self.now = START_US + round(seconds * SECOND_US)


def prepared(directory: Path, balances: dict[str, str], tariff: str | None = None, **columns: Any) -> str:
    """The URL of a new SQLite store that holds these accounts and the tariff `t`."""
    url = f"sqlite:///{directory}/aaa.db"
    schema.upgrade(url)
    store = SqliteStore(url)
    store.provision(lambda connection: fill(connection, balances, tariff or flat("0.60"), **columns))
    store.close()
    return url


def fill(connection: Connection, balances: dict[str, str], tariff: str, **columns: Any) -> None:
    """Write accounts with an opening entry each, username subscriptions, and a tariff in force."""
    doc = document(tariff)
    version = connection.execute(
        insert(tables.tariff_version).values(tariff="t", document=doc.to_json(), digest="-", created_at=0)
    ).inserted_primary_key[0]
    connection.execute(
        insert(tables.tariff_activation).values(tariff="t", active_from=0, version_id=version, created_at=0)
    )
    for number, (name, balance) in enumerate(balances.items(), 1):
        amount = parse_money(balance)
        values = {"id": number, "name": name, "currency": "EUR", "tariff": "t", "credit_limit": 0, "created_at": 0}
        connection.execute(insert(tables.account).values(**{**values, "balance": amount, "entry_no": 1, **columns}))
        connection.execute(
            insert(tables.ledger_entry).values(
                account_id=number, entry_no=1, amount=amount, balance_after=amount, cause="opening", ref="test", at=0
            )
        )
        connection.execute(
            insert(tables.subscription).values(type="username", value=name, account_id=number, created_at=0)
        )


class Server:
    """A node on a store, with requests answered into a list."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.store = SqliteStore(url)
        self.clock = clock
        self.errors: list[Exception] = []
        number = self.store.new_node("test", clock())
        self.node = ChargingNode(self.store, TariffBook(self.store), clock, number, self.errors.append)

    def run(self, command: Command, account_id: int | None = None) -> Answer:
        """Submit one command, commit, and return its answer."""
        return self.run_all([(command, account_id)])[0]

    def run_all(self, commands: list[tuple[Command, int | None]]) -> list[Answer]:
        """Submit commands as one batch and return their answers in order."""
        answers: list[Answer | None] = [None] * len(commands)

        def put(position: int) -> Any:
            return lambda answer: answers.__setitem__(position, answer)

        for position, (command, account_id) in enumerate(commands):
            self.node.submit(command, account_id, put(position))
        self.node.flush()
        assert None not in answers
        return answers  # type: ignore[return-value]

    def stop(self) -> None:
        """End as a process does: nothing is written any more."""
        self.store.close()
