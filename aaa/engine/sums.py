"""
Sums of an account: the only place that builds the next one (S1, S10).
"""

from __future__ import annotations

from dataclasses import replace

from aaa.engine.changes import Entry
from aaa.engine.model import Account, Line, Session
from aaa.errors import InvariantBroken
from rating.funding import Bucket


def moved(account: Account, before: tuple[Line, ...], after: tuple[Line, ...], live: int = 0) -> Account:
    """
    The account after the lines of one of its sessions changed from `before` to `after`.

    Money: none; only `accrued`, `reserved` and the count of live sessions move.  An account that none of it
    moves is returned as it is.
    """
    accrued_before, reserved_before, buckets = account.accrued_micro, account.reserved_micro, account.buckets
    accrued, reserved = accrued_before, reserved_before
    for line in before:
        accrued -= line.accrued_micro
        reserved -= line.reserved_micro
    for line in after:
        accrued += line.accrued_micro
        reserved += line.reserved_micro
    if not live and accrued == accrued_before and reserved == reserved_before and not buckets:
        return account
    return Account(
        account.profile,
        account.balance_micro,
        accrued,
        reserved,
        account.live_sessions + live,
        account.entry_no,
        _moved_buckets(buckets, before, after) if buckets else (),
        account.windows,
    )


def taken_units(before: tuple[Line, ...], after: tuple[Line, ...]) -> dict[int, int]:
    """Units that a settlement took from each bucket between two states of the lines (negative: given back)."""
    taken: dict[int, int] = {}
    for lines, sign in ((before, -1), (after, 1)):
        for line in lines:
            for source, units in line.posted_parts:
                if source:
                    taken[int(source)] = taken.get(int(source), 0) + sign * units
    return {bucket: units for bucket, units in taken.items() if units}


def _moved_buckets(
    buckets: tuple[Bucket, ...], before: tuple[Line, ...], after: tuple[Line, ...]
) -> tuple[Bucket, ...]:
    """
    The buckets after lines changed: what is in a plan and not settled is held, what is settled is gone (S4, S16).

    Raises:
        InvariantBroken: A plan names a bucket the account does not have.
    """
    planned: dict[int, int] = {}
    for lines, sign in ((before, -1), (after, 1)):
        for line in lines:
            for source, units in line.parts:
                if source:
                    planned[int(source)] = planned.get(int(source), 0) + sign * units
    taken = taken_units(before, after)
    if not planned and not taken:
        return buckets
    if not {bucket.id for bucket in buckets} >= {*planned, *taken}:
        raise InvariantBroken(f"a funding plan names a bucket that is not the account's: {sorted({*planned, *taken})}")
    return tuple(
        replace(
            bucket,
            amount=bucket.amount - taken.get(bucket.id, 0),
            reserved=bucket.reserved + planned.get(bucket.id, 0) - taken.get(bucket.id, 0),
        )
        for bucket in buckets
    )


def posted(account: Account, amount_micro: int, cause: str, ref: str, now: int) -> tuple[Account, tuple[Entry, ...]]:
    """
    The account after one ledger entry, and the entry (S13); an amount of 0 posts nothing.

    Money: one entry of `amount_micro` (negative for a charge).
    """
    if amount_micro == 0:
        return account, ()
    balance = account.balance_micro + amount_micro
    number = account.entry_no + 1
    entry = Entry(account.profile.id, number, amount_micro, balance, cause, ref, now)
    after = Account(
        account.profile,
        balance,
        account.accrued_micro,
        account.reserved_micro,
        account.live_sessions,
        number,
        account.buckets,
        account.windows,
    )
    return after, (entry,)


def ref_of(session: Session) -> str:
    """How a ledger entry names the session that caused it."""
    return str(session.head.id)
