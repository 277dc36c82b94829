"""
What a decision moves: the new values of accounts and session, ledger entries, and what is to be remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aaa.engine.answers import Answer
from aaa.engine.model import Account, Session
from aaa.value import Value


class Entry(NamedTuple):
    """One ledger entry (S13): append-only, numbered without gaps within its account."""

    account_id: int
    entry_no: int
    amount_micro: int
    balance_after_micro: int
    cause: str  # charge | assumed | correction | debit | refund | opening | topup | adjust
    ref: str
    at_us: int


class UnitEntry(NamedTuple):
    """Units that a settlement took from a bucket, or gave back to it (S4)."""

    bucket_id: int
    session_id: int
    revision: int
    units: int  # negative: taken
    at_us: int


class Notice(Value, frozen=True):
    """Something to count and perhaps alert on: overrun, overspend, conflict, implausible, late."""

    kind: str
    cause: str = ""
    amount: int = 1


class EarlyStart(Value, frozen=True):
    """A Start that came before its Begin: remembered under each of its keys until `deadline_us` (S5)."""

    keys: tuple[str, ...]
    started_us: int
    deadline_us: int


class Unrated(Value, frozen=True):
    """Usage nobody is known to pay for: kept as an unrated CDR (S19)."""

    key: str
    origin: str
    used: int
    at_us: int
    cause: str


class Changes(Value, frozen=True):
    """
    What a decision moves.  Empty changes move nothing and still take part in the version check (S10).

    `accounts` are the new values of the accounts the decision was given, in the same order, empty when
    none changed; `session` is the session as it is now, `is_new` when it had no row before.
    """

    accounts: tuple[Account, ...] = ()
    session: Session | None = None
    is_new: bool = False
    entries: tuple[Entry, ...] = ()
    units: tuple[UnitEntry, ...] = ()
    settles: bool = False  # a CDR is to be written or revised
    new_aliases: tuple[str, ...] = ()
    early_start: EarlyStart | None = None
    unrated: Unrated | None = None
    notices: tuple[Notice, ...] = ()


NOTHING = Changes()


Decision = tuple[Changes, Answer]


Accounts = Sequence[Account]
