"""
Accounts of an `apply` file on their way into the store.

Rows that change get a new `version`, so that every node's next decision sees the change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from aaa.config.locate import Path
from aaa.provision.holdings import collect_openings, write_buckets, write_subscriptions
from aaa.provision.tables import AccountTable
from aaa.provision.writer import Writer, refuse
from aaa.store import tables as db


def write_accounts(writer: Writer, accounts: Sequence[AccountTable], first: int, currencies: dict[str, str]) -> None:
    """Upsert one slice of accounts with what is inside them."""
    stored = _stored_accounts(writer.connection, [account.id for account in accounts])
    _load_currencies(writer.connection, accounts, stored, currencies)
    refuse(_account_problems(accounts, first, stored, currencies))
    pools = _pool_names(writer.connection, stored)
    new = [account for account in accounts if account.id not in stored]
    writer.insert(db.account, [_new_account(account, writer.now_us) for account in new])
    for account in accounts:
        if account.id not in stored:
            writer.result.note("created", f"account {account.id}")
            writer.result.accounts.append(account.id)
        else:
            _change_account(writer, account, stored[account.id], pools)
    ids = {name: row.id for name, row in stored.items()}
    if new and not writer.dry_run:
        ids |= {name: row.id for name, row in _stored_accounts(writer.connection, [a.id for a in new]).items()}
    write_subscriptions(writer, accounts, first, ids)
    write_buckets(writer, accounts, first, ids)
    collect_openings(writer, accounts, first, stored, ids)


def _stored_accounts(connection: Connection, names: Sequence[str]) -> dict[str, Any]:
    return {row.name: row for row in connection.execute(select(db.account).where(db.account.c.name.in_(names)))}


def _load_currencies(
    connection: Connection, accounts: Sequence[AccountTable], stored: dict[str, Any], currencies: dict[str, str]
) -> None:
    """Learn the currencies of tariffs that accounts name and the file does not define."""
    named = {account.tariff or (stored[account.id].tariff if account.id in stored else None) for account in accounts}
    for name in named - currencies.keys() - {None}:
        document = connection.execute(
            select(db.tariff_version.c.document)
            .where(db.tariff_version.c.tariff == name)
            .order_by(db.tariff_version.c.id.desc())
            .limit(1)
        ).scalar()
        if name is not None and document is not None:
            currencies[name] = json.loads(document)["currency"]


def _account_problems(
    accounts: Sequence[AccountTable], first: int, stored: dict[str, Any], currencies: dict[str, str]
) -> Iterator[tuple[Path, str]]:
    for index, account in enumerate(accounts, start=first):
        row = stored.get(account.id)
        tariff = account.tariff or (row.tariff if row else None)
        currency = account.currency or (row.currency if row else None)
        if tariff is None:
            yield ("account", index, "tariff"), f"is required for the new account {account.id}"
        elif tariff not in currencies:
            yield ("account", index, "tariff"), f"unknown tariff {tariff}"
        elif currency is not None and currency != currencies[tariff]:
            reason = f"account {account.id} is in {currency}, tariff {tariff} in {currencies[tariff]}"
            yield ("account", index, "currency"), reason
        if currency is None:
            yield ("account", index, "currency"), f"is required for the new account {account.id}"
        if row and currency != row.currency and (row.entry_no or row.live_sessions):
            yield (
                ("account", index, "currency"),
                f"account {account.id} holds {row.currency}, its currency cannot change",
            )


def _new_account(account: AccountTable, now_us: int) -> dict[str, Any]:
    defaults = {"status": "active", "credit_limit": 0, "valid_from": None, "valid_until": None}
    limits = json.dumps({limit: value for limit, value in account.limits().items() if value is not None})
    return {"name": account.id, **defaults, **account.columns(), "limits": limits, "created_at": now_us}


def _pool_names(connection: Connection, stored: dict[str, Any]) -> dict[int | None, str]:
    numbers = {row.pool_id for row in stored.values()} - {None}
    query = select(db.account.c.id, db.account.c.name).where(db.account.c.id.in_(numbers))
    return {row.id: row.name for row in connection.execute(query)} if numbers else {}


def _change_account(writer: Writer, account: AccountTable, row: Any, pools: dict[int | None, str]) -> None:
    written = {column: value for column, value in account.columns().items() if getattr(row, column) != value}
    stored_limits = json.loads(row.limits)
    limits = {limit: value for limit, value in (stored_limits | account.limits()).items() if value is not None}
    if limits != stored_limits:
        written["limits"] = json.dumps(limits)
    if not written:
        if "pool" not in account.model_fields_set or account.pool == pools.get(row.pool_id):
            writer.result.note("unchanged", f"account {account.id}")
        return  # another pool is written when all accounts are
    changed = written | {"version": db.account.c.version + 1}
    writer.execute(update(db.account).where(db.account.c.id == row.id).values(changed))
    writer.result.note("changed", f"account {account.id} ({', '.join(sorted(written))})")
    writer.result.accounts.append(account.id)
