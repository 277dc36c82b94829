"""
What accounts hold: identities, unit buckets, and the opening balances still to be posted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, tuple_, update

from aaa.config.locate import Path
from aaa.engine.commands import Adjust
from aaa.provision.credentials import merged, sealed, stored_value, unsealed, written_credential
from aaa.provision.tables import AccountTable, BucketTable
from aaa.provision.writer import ROWS_PER_STATEMENT, Writer, refuse
from aaa.store import tables as db


def write_subscriptions(writer: Writer, accounts: Sequence[AccountTable], first: int, ids: dict[str, int]) -> None:
    """Upsert identities; one that belongs to another account is refused."""
    wanted = [
        (("account", index, "subscription", position, "value"), account, subscription)
        for index, account in enumerate(accounts, start=first)
        for position, subscription in enumerate(account.subscription)
    ]
    rows: list[dict[str, Any]] = []
    for start in range(0, len(wanted), ROWS_PER_STATEMENT):
        part = wanted[start : start + ROWS_PER_STATEMENT]
        identities = [(subscription.type, stored_value(subscription, writer.keys)) for _, _, subscription in part]
        column = tuple_(db.subscription.c.type, db.subscription.c.value)
        found = writer.connection.execute(select(db.subscription).where(column.in_(identities)))
        stored = {(row.type, row.value): row for row in found}
        problems: list[tuple[Path, str]] = []
        for (path, account, subscription), identity in zip(part, identities, strict=True):
            shown = "pin" if subscription.type == "pin" else f"{subscription.type} {subscription.value}"
            row = stored.get(identity)
            written = written_credential(subscription)
            if row is None:
                credential = json.dumps(sealed(written, writer.keys))
                owner = {"type": identity[0], "value": identity[1], "account_id": ids.get(account.id)}
                rows.append(owner | {"credential": credential, "created_at": writer.now_us})
                writer.result.note("created", f"subscription {shown}")
            elif row.account_id != ids.get(account.id):
                problems.append((path, f"{shown} belongs to another account"))
            else:
                _change_credential(writer, row, written, shown)
        refuse(problems)
    writer.insert(db.subscription, rows)


def _change_credential(writer: Writer, row: Any, written: dict[str, Any], shown: str) -> None:
    before = unsealed(json.loads(row.credential), writer.keys)
    after = merged(before, written)
    if after == before:
        writer.result.note("unchanged", f"subscription {shown}")
        return
    same = (db.subscription.c.type == row.type) & (db.subscription.c.value == row.value)
    writer.execute(update(db.subscription).where(same).values(credential=json.dumps(sealed(after, writer.keys))))
    writer.result.note("changed", f"subscription {shown} (credential)")


def write_buckets(writer: Writer, accounts: Sequence[AccountTable], first: int, ids: dict[str, int]) -> None:
    """Create buckets with their units; of one that exists everything but the units may change."""
    owners = [ids[account.id] for account in accounts if account.bucket and account.id in ids]
    stored: dict[tuple[int | None, str], Any] = {}
    if owners:
        found = writer.connection.execute(select(db.bucket).where(db.bucket.c.account_id.in_(owners)))
        stored = {(row.account_id, row.name): row for row in found}
    rows: list[dict[str, Any]] = []
    touched: set[int] = set()
    for index, account in enumerate(accounts, start=first):
        owner = ids.get(account.id)
        for position, (name, bucket) in enumerate(account.named_buckets()):
            row = stored.get((owner, name))
            shown = f"bucket {name} of {account.id}"
            if row is None:
                rows.append(_new_bucket(owner, name, bucket, writer.now_us))
                writer.result.note("created", shown)
                changes = True
            else:
                if row.unit != bucket.unit:
                    path = ("account", index, "bucket", position, "unit")
                    refuse([(path, f"{shown} counts {row.unit}, its unit cannot change")])
                changes = _change_bucket(writer, row, bucket, shown)
            if changes and owner is not None:
                touched.add(owner)
    writer.insert(db.bucket, rows)
    if touched:
        # A node that decided on the old buckets must lose the version check.
        bump = {"version": db.account.c.version + 1}
        writer.execute(update(db.account).where(db.account.c.id.in_(touched)).values(bump))


def _bucket_columns(bucket: BucketTable) -> dict[str, Any]:
    """The columns of the keys that were written, the units left out."""
    values = {
        "priority": bucket.priority,
        "scope": json.dumps(sorted(set(bucket.scope))),
        "service": bucket.service,
        "pulse": f"{bucket.pulse[0]}/{bucket.pulse[1]}",
        "valid_from": bucket.valid_from,
        "valid_until": bucket.valid_until,
    }
    return {column: value for column, value in values.items() if column in bucket.model_fields_set}


def _new_bucket(owner: int | None, name: str, bucket: BucketTable, now_us: int) -> dict[str, Any]:
    defaults = {"priority": 0, "scope": "[]", "service": "", "pulse": "1/1", "valid_from": None, "valid_until": None}
    new = {
        "account_id": owner,
        "name": name,
        "unit": bucket.unit,
        "amount": bucket.amount,
        "reserved": 0,
        "initial": bucket.amount,
    }
    return defaults | _bucket_columns(bucket) | new | {"created_at": now_us}


def _change_bucket(writer: Writer, row: Any, bucket: BucketTable, shown: str) -> bool:
    written = {column: value for column, value in _bucket_columns(bucket).items() if getattr(row, column) != value}
    if written:
        writer.execute(update(db.bucket).where(db.bucket.c.id == row.id).values(written))
    writer.result.note("changed" if written else "unchanged", shown)
    return bool(written)


def collect_openings(
    writer: Writer, accounts: Sequence[AccountTable], first: int, stored: dict[str, Any], ids: dict[str, int]
) -> None:
    """Opening balances that are not in the ledger yet; one that is there with another amount is refused."""
    opened = [(index, account) for index, account in enumerate(accounts, start=first) if account.opening_balance]
    posted = _posted_openings(writer, [ids[a.id] for _, a in opened if a.id in stored and stored[a.id].entry_no])
    problems: list[tuple[Path, str]] = []
    for index, account in opened:
        key, amount = f"opening:{account.id}", account.opening_balance or 0
        if key not in posted:
            command = Adjust(amount, "opening", key, reason="opening balance")
            writer.result.openings.append((ids.get(account.id, 0), command))
        elif posted[key] != amount:
            path = ("account", index, "opening_balance")
            problems.append((path, f"account {account.id} was opened with another amount; use aaactl balance adjust"))
    refuse(problems)


def _posted_openings(writer: Writer, ids: Sequence[int]) -> dict[str, int]:
    """Amounts of the opening entries of accounts that have a ledger; nearly always its first entry."""
    entry = db.ledger_entry
    query = select(entry.c.account_id, entry.c.ref, entry.c.amount).where(entry.c.cause == "opening")
    firsts = writer.connection.execute(query.where(entry.c.account_id.in_(ids), entry.c.entry_no == 1)).all()
    later = set(ids) - {row.account_id for row in firsts}
    others = writer.connection.execute(query.where(entry.c.account_id.in_(later))).all() if later else []
    return {row.ref: row.amount for row in [*firsts, *others]}
