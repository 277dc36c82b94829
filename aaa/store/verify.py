"""
Prove conservation from the rows themselves (law L6, SEMANTICS S13), online and in ranges of accounts.

For every account: the balance is the sum of its entries; entry numbers have no gap and each
`balance_after` continues the one before; `reserved`, `accrued` and `live_sessions` are those of its live
sessions, and for a pool those of its members' too; bucket units held are those that live sessions hold, and those
that are gone are those that settlements took; every CDR's amount is what the ledger
charged for its session.  A range is read in one snapshot, so a running server cannot look inconsistent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, FromClause, cast, func, select

from aaa.store import cdrs
from aaa.store import tables as db
from aaa.store.read import LIVE_STATES

MISMATCHES_MAX = 1_000
SESSION_CAUSES = ("charge", "assumed", "correction", "debit", "refund")
_PARTS_OF_LINE = 13  # position of the funding plan in a line of `session.body` (aaa.store.codec.line_row)
_SETTLED_OF_LINE = 15  # and of the part of it that was settled


class Mismatch(NamedTuple):
    """One broken law: the account, what was checked, what the rows add up to, what is stored."""

    account: str
    check: str
    expected: int
    found: int


@dataclass
class Sums:
    """What one currency adds up to over a range."""

    accounts: int = 0
    entries_micro: int = 0
    balances_micro: int = 0
    reserved_micro: int = 0
    sessions_reserved_micro: int = 0
    mismatches: int = 0


@dataclass
class Verified:
    """A range of accounts that was checked; `next_id` is where the next range begins, None at the end."""

    next_id: int | None
    accounts: int = 0
    sums: dict[str, Sums] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)


def verify_range(connection: Connection, after_id: int, limit: int) -> Verified:
    """
    Check up to `limit` accounts whose number is above `after_id`.

    Args:
        connection: In a snapshot (`aaa.store.read.snapshot`).
    """
    if connection.dialect.name == "postgresql":
        # Of tables it has not analyzed yet it expects a row or two, and would compare every CDR with every entry.
        connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
    query = select(db.account).where(db.account.c.id > after_id).order_by(db.account.c.id).limit(limit)
    accounts = connection.execute(query).all()
    if not accounts:
        return Verified(None)
    low, high = accounts[0].id, accounts[-1].id
    entries = _by_account(connection, _entries(low, high))
    broken = _by_account(connection, _broken_chains(low, high))
    live = _by_account(connection, _live_sessions(low, high))
    shared = {row.pool_id: row for row in connection.execute(_members(low, high))}
    uncharged = _by_account(connection, _cdrs_without_entries(connection, low, high))
    paid = _by_account(connection, _cdrs_without_entries_of_pools(connection, low, high))
    units = _wrong_buckets(connection, low, high)
    verified = Verified(high if len(accounts) == limit else None, accounts=len(accounts))
    for row in accounts:
        members = shared.get(row.id)
        found = list(_check(row, entries.get(row.id), live.get(row.id), members))
        found += [Mismatch(row.name, "entry_chain", 0, broken[row.id].count)] if row.id in broken else []
        wrong_cdrs = sum(each[row.id].count for each in (uncharged, paid) if row.id in each)
        found += [Mismatch(row.name, "cdr_entries", 0, wrong_cdrs)] if wrong_cdrs else []
        found += [Mismatch(row.name, *wrong) for wrong in units.get(row.id, ())]
        sums = verified.sums.setdefault(row.currency, Sums())
        sums.accounts += 1
        sums.entries_micro += int(entries[row.id].amount) if row.id in entries else 0
        sums.balances_micro += row.balance
        sums.reserved_micro += row.reserved - (int(members.reserved) if members else 0)
        sums.sessions_reserved_micro += int(live[row.id].reserved) if row.id in live else 0
        sums.mismatches += len(found)
        verified.mismatches += found[: MISMATCHES_MAX - len(verified.mismatches)]
    return verified


def _check(row: Any, entries: Any, live: Any, members: Any) -> list[Mismatch]:
    """The laws that compare the account row with sums: of its own sessions, and of the rows of its members."""
    held = [each for each in (live, members) if each]
    pairs = {
        "balance": (int(entries.amount) if entries else 0, row.balance),
        "entry_no": (entries.count if entries else 0, row.entry_no),
        "entry_no_last": (entries.last if entries else 0, row.entry_no),
        "reserved": (sum(int(each.reserved) for each in held), row.reserved),
        "accrued": (sum(int(each.accrued) for each in held), row.accrued),
        "live_sessions": (sum(int(each.sessions) for each in held), row.live_sessions),
    }
    return [Mismatch(row.name, check, *pair) for check, pair in pairs.items() if pair[0] != pair[1]]


def _by_account(connection: Connection, query: Any) -> dict[int, Any]:
    return {row.account_id: row for row in connection.execute(query)}


def _entries(low: int, high: int) -> Any:
    table = db.ledger_entry
    columns = (
        table.c.account_id,
        func.count().label("count"),
        func.max(table.c.entry_no).label("last"),
        func.sum(table.c.amount).label("amount"),
    )
    return select(*columns).where(table.c.account_id.between(low, high)).group_by(table.c.account_id)


def _broken_chains(low: int, high: int) -> Any:
    """Entries whose `balance_after` is not the sum of the entries up to them."""
    table = db.ledger_entry
    running = func.sum(table.c.amount).over(partition_by=table.c.account_id, order_by=table.c.entry_no)
    chain = (
        select(table.c.account_id, (table.c.balance_after - running).label("off"))
        .where(table.c.account_id.between(low, high))
        .subquery()
    )
    return select(chain.c.account_id, func.count().label("count")).where(chain.c.off != 0).group_by(chain.c.account_id)


def _live_sessions(low: int, high: int) -> Any:
    table = db.session
    columns = (
        table.c.account_id,
        func.count().label("sessions"),
        func.sum(table.c.reserved).label("reserved"),
        func.sum(table.c.accrued).label("accrued"),
    )
    is_live = table.c.account_id.between(low, high) & db.IS_LIVE & table.c.state.in_(LIVE_STATES)
    query = select(*columns).where(is_live).group_by(table.c.account_id)
    return query.with_hint(table, f"INDEXED BY {db.LIVE_INDEX}", "sqlite")  # it would look at all live ones


def _members(low: int, high: int) -> Any:
    """What the members of each pool hold, by their own rows."""
    table = db.account
    columns = (
        table.c.pool_id,
        func.sum(table.c.live_sessions).label("sessions"),
        func.sum(table.c.reserved).label("reserved"),
        func.sum(table.c.accrued).label("accrued"),
    )
    return select(*columns).where(table.c.pool_id.between(low, high)).group_by(table.c.pool_id)


def _cdrs_without_entries(connection: Connection, low: int, high: int) -> Any:
    """CDRs whose amount is not what the ledger charged for their session, to the account itself."""
    cdr = cdrs.of(connection, db.cdr.c.account_id.between(low, high) & db.cdr.c.pool_id.is_(None))
    return _uncharged(cdr, db.ledger_entry.c.account_id.between(low, high), cdr.c.account_id)


def _cdrs_without_entries_of_pools(connection: Connection, low: int, high: int) -> Any:
    """The same for those that a pool paid, wherever in the ledger that is."""
    cdr = cdrs.of(connection, db.cdr.c.account_id.between(low, high) & db.cdr.c.pool_id.is_not(None))
    return _uncharged(cdr, db.ledger_entry.c.account_id.in_(select(cdr.c.pool_id).distinct()), cdr.c.pool_id)


def _uncharged(cdr: FromClause, is_asked: Any, payer: Any) -> Any:
    entry = db.ledger_entry
    charged = (
        select(
            entry.c.account_id, cast(entry.c.ref, BigInteger).label("cdr_id"), func.sum(entry.c.amount).label("amount")
        )
        .where(is_asked, entry.c.cause.in_(SESSION_CAUSES))
        .group_by(entry.c.account_id, entry.c.ref)
        .subquery()
    )
    same = (charged.c.account_id == payer) & (charged.c.cdr_id == cdr.c.id)
    return (
        select(cdr.c.account_id, func.count().label("count"))
        .select_from(cdr.outerjoin(charged, same))
        .where(cdr.c.amount + func.coalesce(charged.c.amount, 0) != 0)
        .group_by(cdr.c.account_id)
    )


def _wrong_buckets(connection: Connection, low: int, high: int) -> dict[int, list[tuple[str, int, int]]]:
    """Buckets that hold or have lost other units than their sessions say: check, expected, found, by account."""
    table = db.bucket
    buckets: list[Any] = list(connection.execute(select(table).where(table.c.account_id.between(low, high))))
    if not buckets:
        return {}
    held = _held_units(connection, low, high)
    entry = db.unit_entry
    is_here = entry.c.bucket_id.in_(select(table.c.id).where(table.c.account_id.between(low, high)))
    sums = select(entry.c.bucket_id, func.sum(entry.c.units)).where(is_here).group_by(entry.c.bucket_id)
    moved = {number: int(units) for number, units in connection.execute(sums)}
    wrong: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for row in buckets:
        pairs = {
            "bucket_reserved": (held[str(row.id)], row.reserved),
            "bucket_amount": (row.initial + moved.get(row.id, 0), row.amount),
        }
        wrong[row.account_id] += [(f"{check}:{row.name}", *pair) for check, pair in pairs.items() if pair[0] != pair[1]]
    return wrong


def _held_units(connection: Connection, low: int, high: int) -> dict[str, int]:
    """Units of each bucket in the funding plans of live sessions that are not settled yet, members' included."""
    session, account, bucket = db.session, db.account, db.bucket
    owners = select(bucket.c.account_id).where(bucket.c.account_id.between(low, high))
    members = select(account.c.id).where(account.c.pool_id.in_(owners))
    is_theirs = session.c.account_id.in_(owners) | session.c.account_id.in_(members)
    held: dict[str, int] = defaultdict(int)
    for (body,) in connection.execute(
        select(session.c.body).where(is_theirs, db.IS_LIVE, session.c.state.in_(LIVE_STATES))
    ):
        for line in json.loads(body)[0]:
            for source, units in line[_PARTS_OF_LINE]:
                held[source] += units
            for source, units in line[_SETTLED_OF_LINE] if len(line) > _SETTLED_OF_LINE else ():
                held[source] -= units
    return held
