"""
Sums of an account: the only place that builds the next one (S1, S10).
"""

from __future__ import annotations

from aaa.engine.model import Account, Entry, Line, Session


def accrued_of(lines: tuple[Line, ...]) -> int:
    """What the lines have used and not yet posted."""
    return sum(line.accrued_micro for line in lines)


def reserved_of(lines: tuple[Line, ...]) -> int:
    """What the lines hold, accrued included."""
    return sum(line.reserved_micro for line in lines)


def moved(account: Account, before: tuple[Line, ...], after: tuple[Line, ...], live: int = 0) -> Account:
    """
    The account after the lines of one of its sessions changed from `before` to `after`.

    Money: none; only `accrued`, `reserved` and the count of live sessions move.
    """
    return account._replace(
        accrued_micro=account.accrued_micro + accrued_of(after) - accrued_of(before),
        reserved_micro=account.reserved_micro + reserved_of(after) - reserved_of(before),
        live_sessions=account.live_sessions + live,
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
