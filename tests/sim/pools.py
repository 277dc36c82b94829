"""
Accounts of a simulation that spend from pools: two share much money, two with limits share little.
"""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, insert, update

from aaa.store import tables

POOLS = {3: 13, 4: 13, 5: 14, 6: 14}  # members, by their accounts
PURSES = {13: 400_000_000, 14: 3_000_000}
SESSIONS_MAX = {5: 2}
LIMITS: dict[int, dict[str, int]] = {
    4: {"spend_per_hour_micro": 2_500_000},
    5: {"max_sessions": SESSIONS_MAX[5]},
}
PAYERS = sorted({*range(1, 15)} - POOLS.keys())


def share(connection: Connection) -> None:
    """Make the members of accounts that have nothing yet but their opening balance, and fill their pools."""
    account, ledger, subscription = tables.account, tables.ledger_entry, tables.subscription
    connection.execute(delete(ledger).where(ledger.c.account_id.in_(POOLS)))
    for number, amount in PURSES.items():
        row = {"id": number, "name": f"p{number}", "currency": "EUR", "tariff": "t", "credit_limit": 0, "created_at": 0}
        connection.execute(insert(account).values(row | {"balance": amount, "entry_no": 1}))
        entry = {"account_id": number, "entry_no": 1, "amount": amount, "balance_after": amount, "cause": "opening"}
        connection.execute(insert(ledger).values(entry | {"ref": "sim", "at": 0}))
        connection.execute(
            insert(subscription).values(type="username", value=f"p{number}", account_id=number, created_at=0)
        )
    for number, pool in POOLS.items():
        row = {"pool_id": pool, "balance": 0, "entry_no": 0, "limits": json.dumps(LIMITS.get(number, {}))}
        connection.execute(update(account).where(account.c.id == number).values(row))
