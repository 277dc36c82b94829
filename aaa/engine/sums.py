"""
Sums of an account: the only place that builds the next one (S1, S10).
"""

from __future__ import annotations

from aaa.engine.model import Account, Entry, Line, Session


def moved(account: Account, before: tuple[Line, ...], after: tuple[Line, ...], live: int = 0) -> Account:
    """
    The account after the lines of one of its sessions changed from `before` to `after`.

    Money: none; only `accrued`, `reserved` and the count of live sessions move.
    """
    accrued, reserved = account.accrued_micro, account.reserved_micro
    for line in before:
        accrued -= line.accrued_micro
        reserved -= line.reserved_micro
    for line in after:
        accrued += line.accrued_micro
        reserved += line.reserved_micro
    return Account(
        account.profile,
        account.balance_micro,
        accrued,
        reserved,
        account.live_sessions + live,
        account.entry_no,
        account.buckets,
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
    return account._replace(balance_micro=balance, entry_no=number), (entry,)


def ref_of(session: Session) -> str:
    """How a ledger entry names the session that caused it."""
    return str(session.head.id)
