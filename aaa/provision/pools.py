"""
Accounts that spend from a pool, on their way into the store (`pool = "family"`).

What would leave money where nobody spends it is refused: a member has no money, units or credit of its own, and joins
or leaves only when no session of its own can move money any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import select, update

from aaa.config.locate import Path
from aaa.engine.terms import EMERGENCY_ACCOUNT, State
from aaa.provision.tables import AccountTable
from aaa.provision.writer import ROWS_PER_STATEMENT, Writer, refuse
from aaa.store import tables as db
from aaa.store.codec import STATE_NUMBER

# Limits that are counted in windows of the account itself, by the keys of the file.
OWN_LIMITS = {
    "spend_per_hour_micro": "spend_per_hour",
    "spend_per_day_micro": "spend_per_day",
    "calls_per_second": "calls_per_second",
    "valid_after_use_s": "valid_after_use",
}


class _Party(NamedTuple):
    """A member or a pool as it is now; without a number one that a dry run would make."""

    id: int | None
    currency: str | None
    pool_id: int | None = None
    balance: int = 0
    credit_limit: int | None = 0
    limits: str = "{}"


class _Known(NamedTuple):
    """What the store says about the accounts of a slice and their pools."""

    parties: dict[str, _Party]
    names: dict[int, str]  # of pools that accounts of the slice have
    shared: dict[int, str]  # accounts with members, and the members' currency
    holding: set[int]  # accounts with units
    busy: set[int]  # accounts with sessions that may still move money


def write_pools(writer: Writer, accounts: Sequence[AccountTable], first: int) -> None:
    """Have accounts spend from the pools they name; all accounts of the file are written already."""
    wanted = {account.id: account.pool for account in accounts if "pool" in account.model_fields_set}
    any_member = select(db.account.c.id).where(db.account.c.pool_id.is_not(None)).limit(1)
    if not wanted and writer.connection.execute(any_member).first() is None:
        return
    told = set(writer.result.accounts)
    new = {account.id: account for account in accounts} if writer.dry_run else {}
    for start in range(0, len(accounts), ROWS_PER_STATEMENT):
        part = accounts[start : start + ROWS_PER_STATEMENT]
        known = _known(writer, part, wanted, new)
        refuse(_problems(part, first + start, known, wanted))
        for account in part:
            party = known.parties[account.id]
            pool_id = None if account.pool is None else known.parties[account.pool].id
            if account.id not in wanted or party.pool_id == pool_id:
                continue
            values = {"pool_id": pool_id, "version": db.account.c.version + 1}
            writer.execute(update(db.account).where(db.account.c.id == party.id).values(values))
            if account.id not in told:
                writer.result.note("changed", f"account {account.id} (pool)")
                writer.result.accounts.append(account.id)


def _known(
    writer: Writer, part: Sequence[AccountTable], wanted: dict[str, str | None], new: dict[str, AccountTable]
) -> _Known:
    """
    Read the accounts of a slice and the pools they name.

    Those that change are locked, and their pools as far as they may not become members themselves; nothing else is,
    because calls go on meanwhile.
    """
    account, bucket, session, run = db.account, db.bucket, db.session, writer.connection.execute
    columns = (account.c.name, account.c.id, account.c.currency, account.c.pool_id, account.c.balance)
    query = select(*columns, account.c.credit_limit, account.c.limits).order_by(account.c.id)
    rows = {row.name: row for row in run(query.where(account.c.name.in_([one.id for one in part])))}
    pools = {row.id: row for row in run(query.where(account.c.id.in_({row.pool_id for row in rows.values()} - {None})))}
    names = {number: row.name for number, row in pools.items()}
    changing = [name for name in rows if name in wanted and wanted[name] != names.get(rows[name].pool_id)]
    rows |= {row.name: row for row in run(query.where(account.c.name.in_(changing)).with_for_update())}
    named = query.where(account.c.name.in_({wanted.get(one.id) for one in part} - {None}))
    parties = {name: _of_file(new[name]) for one in part for name in (one.id, wanted.get(one.id)) if name in new}
    parties |= {row.name: _Party(*row[1:]) for row in (*pools.values(), *rows.values())}
    parties |= {row.name: _Party(*row[1:]) for row in run(named.with_for_update(read=True, key_share=True))}
    ids = [row.id for row in rows.values()]
    members = select(account.c.pool_id, account.c.currency).where(account.c.pool_id.in_(ids)).distinct()
    holding = select(bucket.c.account_id).where(bucket.c.account_id.in_(ids)).distinct()
    # A closed session moves money only when it was a debit, which may be refunded; its cause stands in its body.
    may_move = (session.c.state != STATE_NUMBER[State.CLOSED]) | session.c.body.like('%"debit"%')
    movable = [rows[name].id for name in changing]
    # There is no index of ended sessions by account: they are looked at only where an account really moves.
    busy = select(session.c.account_id).where(session.c.account_id.in_(movable), may_move).distinct()
    return _Known(
        parties,
        names,
        {number: currency for number, currency in run(members)},
        {number for (number,) in run(holding)},
        {number for (number,) in run(busy)} if movable else set(),
    )


def _of_file(account: AccountTable) -> _Party:
    limits = json.dumps({limit: value for limit, value in account.limits().items() if value is not None})
    return _Party(None, account.currency, None, 0, account.credit_limit, limits)


def _problems(
    part: Sequence[AccountTable], first: int, known: _Known, wanted: dict[str, str | None]
) -> Iterator[tuple[Path, str]]:
    for index, account in enumerate(part, start=first):
        party = known.parties[account.id]
        stored = None if party.pool_id is None else known.names.get(party.pool_id)
        pool = wanted.get(account.id, stored)
        if pool != stored and party.id in known.busy:
            reason = f"account {account.id} has sessions that run, or ended and may still be corrected or refunded"
            yield ("account", index, "pool"), f"{reason}; change its pool when they are forgotten"
        if pool is not None:
            yield from _member_problems(account, index, pool, pool != stored, known, wanted)
        elif party.id in known.shared:
            for key in _own_limits(party):
                yield ("account", index, key), f"account {account.id} is a pool: {key} would not count its members"
            if known.shared[party.id] != party.currency:
                reason = f"account {account.id} is a pool, its members are in {known.shared[party.id]}"
                yield ("account", index, "currency"), reason


def _member_problems(
    account: AccountTable, index: int, name: str, joins: bool, known: _Known, wanted: dict[str, str | None]
) -> Iterator[tuple[Path, str]]:
    party, pool = known.parties[account.id], known.parties.get(name)
    path = ("account", index, "pool")
    if pool is None:
        if joins:
            yield path, f"unknown account {name}; in a large file a pool stands before its members"
        return
    if EMERGENCY_ACCOUNT in (account.id, name):
        yield path, f"account {EMERGENCY_ACCOUNT} has no pool and is none"
    elif account.id == name:
        yield path, "is the account itself"
    elif wanted.get(name, pool.pool_id) is not None:
        yield path, f"account {name} spends from a pool itself"
    elif party.id in known.shared or account.id in wanted.values():
        yield path, f"account {account.id} is a pool of others itself"
    if party.currency != pool.currency:
        yield path, f"account {account.id} is in {party.currency}, its pool {name} in {pool.currency}"
    for key in _own_limits(pool):
        yield path, f"account {name} has {key}, which would not count its members: give it to them"
    if party.credit_limit != 0:
        yield ("account", index, "credit_limit"), f"account {account.id} has a pool, whose credit limit counts"
    if account.opening_balance or (joins and party.balance):
        key = "opening_balance" if account.opening_balance else "pool"
        yield ("account", index, key), f"account {account.id} has money of its own, which nothing would spend"
    if account.bucket or (party.id is not None and party.id in known.holding):
        key = "bucket" if account.bucket else "pool"
        yield ("account", index, key), f"account {account.id} has units of its own, which nothing would spend"


def _own_limits(party: _Party) -> list[str]:
    limits = json.loads(party.limits)
    return [key for limit, key in OWN_LIMITS.items() if limits.get(limit) is not None]
