"""
Expire and Kill: ends that no client asked for (SEMANTICS S5, S8, S20; law L7).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Outcome
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision, Notice
from aaa.engine.commands import Expire, Kill
from aaa.engine.model import Session
from aaa.engine.settle import overspent, settled
from aaa.engine.terms import LIVE, REPLACED, State
from aaa.engine.update import ack


def expire(accounts: Accounts, session: Session, command: Expire, now: int) -> Decision:
    """
    Settle a live session without its End: at the last report, or at the grant for clients that report
    only at the end and were heard to start (S8).

    Money: one entry, marked assumed; a later Stop corrects it by the difference.
    """
    account = accounts[0]
    if session.state not in LIVE:
        if command.cause == REPLACED and session.cause != REPLACED:
            marked = replace(session, cause=REPLACED)
            return Changes(tuple(accounts), marked), ack(account, marked, Outcome.DONE)
        return NOTHING, ack(account, session, Outcome.IGNORED)
    if command.due_us is not None and session.deadline_us > command.due_us:
        return NOTHING, ack(account, session, Outcome.IGNORED)
    result = settled(account, session, State.EXPIRED, command.cause, now)
    notices = (Notice("expired", command.cause), *overspent(account, result.account, "late"))
    after = replace(result.session, cause=REPLACED) if command.cause == REPLACED else result.session
    changes = Changes(
        (result.account, *accounts[1:]),
        after,
        entries=result.entries,
        units=result.units,
        settles=True,
        notices=notices,
    )
    return changes, ack(result.account, after, Outcome.DONE)


def kill(accounts: Accounts, session: Session, command: Kill) -> Decision:
    """
    Let a session end: it gets no more quota, and its Stop or its deadline settles it.

    Money: none.
    """
    account = accounts[0]
    if session.state not in LIVE:
        return NOTHING, ack(account, session, Outcome.IGNORED)
    marked = replace(session, cause=command.cause)
    return Changes(accounts=tuple(accounts), session=marked), ack(account, marked, Outcome.DONE)
