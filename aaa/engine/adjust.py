"""
Adjust: money moved by an operator (opening balance, top-up, correction), exactly once by its key (S13).
"""

from __future__ import annotations

from aaa.engine.answers import Ack, Denial, Outcome
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision, Notice
from aaa.engine.commands import Adjust
from aaa.engine.settle import overspent
from aaa.engine.sums import posted
from aaa.engine.terms import Reason


def adjust(accounts: Accounts, command: Adjust, now: int) -> Decision:
    """
    Post one movement on an account.

    A correction downwards may take `available` below zero (reserved money stays reserved); that part is
    counted as overspend of cause `credit_cut`.

    Money: one entry of `amount_micro`, its `ref` the idempotency key.
    """
    if not accounts:
        return NOTHING, Denial(Reason.UNKNOWN_ACCOUNT)
    account = accounts[0]
    if command.amount_micro == 0:
        return NOTHING, Denial(Reason.INVALID, "an amount of 0 moves nothing")
    available = account.available_micro
    if command.only_available and available is not None and available + command.amount_micro < 0:
        return NOTHING, Denial(Reason.NO_CREDIT, "more than is available")
    after, entries = posted(account, command.amount_micro, command.cause, command.idempotency_key, now)
    notices = (Notice("adjusted", command.cause), *overspent(account, after, "credit_cut"))
    answer = Ack(Outcome.DONE, 0, 0, after.shown_micro, account.profile.currency)
    return Changes((after, *accounts[1:]), entries=entries, notices=notices), answer
