"""
The account emergency calls are recorded on, at price 0 (SEMANTICS S21).
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from aaa.engine.terms import EMERGENCY_ACCOUNT
from aaa.store import tables
from aaa.store.port import Store


def ensure_emergency_account(store: Store, now: int) -> None:
    """Create the account once; it has no money, no tariff, and nobody can be its subscriber."""

    def create(connection: Connection) -> None:
        table = tables.account
        if connection.execute(select(table.c.id).where(table.c.name == EMERGENCY_ACCOUNT)).first() is None:
            connection.execute(
                insert(table).values(name=EMERGENCY_ACCOUNT, currency="XXX", tariff="", credit_limit=0, created_at=now)
            )

    store.provision(create)
