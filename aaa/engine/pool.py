"""
Pools: accounts whose money and units other accounts, their members, spend (S10, S16).

Theory.  A member keeps its profile: status, tariff, limits, windows.  The pool keeps the balance, the ledger, the
buckets and the credit limit.  What running sessions hold stands in both rows: a member's sums are those of its own
sessions, a pool's those of its own and of all its members'.  A decision knows nothing of this: it is made on the
two `joined` into one account, and what it moved is `parted` again.
"""

from __future__ import annotations

from aaa.engine.changes import Entry
from aaa.engine.model import Account, Profile
from aaa.engine.terms import NO_LIMITS, Limits


def joined(own: Account, pool: Account) -> Account:
    """
    A member as an account that decisions can be made on: its profile, with the money and sums of its pool.

    Limits of the member that are compared with sums are raised by what of the sums is not its own, so that the
    comparison comes out as on its own sums; where both have a limit, the narrower one counts.
    """
    profile, payer = own.profile, pool.profile
    return Account(
        Profile(
            profile.id,
            profile.name,
            payer.currency,
            profile.tariff,
            profile.status if profile.status != "active" else payer.status,
            payer.credit_limit_micro,
            _latest(profile.valid_from_us, payer.valid_from_us),
            _least(profile.valid_until_us, payer.valid_until_us),
            _limits(own, pool),
            profile.pool_id,
        ),
        pool.balance_micro,
        pool.accrued_micro,
        pool.reserved_micro,
        pool.live_sessions,
        pool.entry_no,
        pool.buckets,
        own.windows,
    )


def parted(
    own: Account, pool: Account, after: Account, entries: tuple[Entry, ...]
) -> tuple[Account, Account, tuple[Entry, ...]]:
    """
    The member, its pool and the entries, after a decision made `after` of the two joined.

    Money: all of it moves in the pool; what is held and used moves in both by the same differences.
    """
    payer_id = pool.profile.id
    member = Account(
        own.profile,
        own.balance_micro,
        own.accrued_micro + after.accrued_micro - pool.accrued_micro,
        own.reserved_micro + after.reserved_micro - pool.reserved_micro,
        own.live_sessions + after.live_sessions - pool.live_sessions,
        own.entry_no,
        own.buckets,
        after.windows,
    )
    payer = Account(
        pool.profile,
        after.balance_micro,
        after.accrued_micro,
        after.reserved_micro,
        after.live_sessions,
        after.entry_no,
        after.buckets,
        pool.windows,
    )
    paid = tuple(
        Entry(payer_id, one.entry_no, one.amount_micro, one.balance_after_micro, one.cause, one.ref, one.at_us)
        for one in entries
    )
    return member, payer, paid


def _limits(own: Account, pool: Account) -> Limits:
    limits, shared = own.profile.limits, pool.profile.limits
    if limits is NO_LIMITS and shared is NO_LIMITS:
        return NO_LIMITS
    held_micro = pool.reserved_micro - own.reserved_micro
    sessions = pool.live_sessions - own.live_sessions
    allowed = limits.allowed_classes
    if shared.allowed_classes is not None:
        allowed = shared.allowed_classes if allowed is None else allowed & shared.allowed_classes
    return Limits(
        max_sessions=_least(_raised(limits.max_sessions, sessions), shared.max_sessions),
        call_amount_micro=_least(limits.call_amount_micro, shared.call_amount_micro),
        call_seconds=_least(limits.call_seconds, shared.call_seconds),
        denied_classes=limits.denied_classes | shared.denied_classes,
        allowed_classes=allowed,
        valid_after_use_s=limits.valid_after_use_s,
        spend_per_hour_micro=_raised(limits.spend_per_hour_micro, held_micro),
        spend_per_day_micro=_raised(limits.spend_per_day_micro, held_micro),
        calls_per_second=limits.calls_per_second,
    )


def _raised(limit: int | None, by: int) -> int | None:
    return None if limit is None else limit + by


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _latest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
