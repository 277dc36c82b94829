"""
The one decide function: (accounts, session, command, tariffs, now) -> (changes, answer).

Theory.  The consistency boundary is one account, seen as sums, and the one session a command names (S10).
A session is in one of four states, or is not known at all; what a command means depends on nothing
else:

            | unknown            | held, open              | expired                   | closed
    --------+--------------------+-------------------------+---------------------------+-------------------
    Begin   | begin              | repeat, refill, transfer| reopen by report, refuse  | stored answer, refuse
    Update  | early start/orphan | open, note, refill      | charge difference, reopen | ignored
    End     | orphan             | settle, closed          | charge difference, closed | repeat, conflict
    Expire  | -                  | settle, expired         | -                         | -
    Kill    | -                  | no more quota           | -                         | -
    Capped  | opened as granted  | -                       | -                         | -
    Event   | debit, refund, ..  | repeat of a debit       | -                         | repeat of a debit

A CCR-I on a session that is known is a repeat, or its key is used again (S7): whoever asked expires the
old session with the cause `replaced` and begins the next under a key made of the old one's id.

Nothing is posted before End or Expire, so a session costs one ledger entry however many interims it had.
Changes are values: whoever calls applies them to its copy and commits them; a decision that is thrown
away has moved nothing.
"""

from __future__ import annotations

from aaa.engine.adjust import adjust
from aaa.engine.answers import Ack, Denial, Outcome
from aaa.engine.begin import begin, denial
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision, Notice
from aaa.engine.commands import Adjust, Begin, Capped, Command, End, Event, Expire, Kill, Update
from aaa.engine.end import end, orphan
from aaa.engine.event import event, refund
from aaa.engine.expire import expire, kill
from aaa.engine.identity import known, known_begin, same
from aaa.engine.model import Session
from aaa.engine.outage import admit
from aaa.engine.ports import Tariffs
from aaa.engine.terms import REPLACED, Reason, State
from aaa.engine.update import ask_again, early_start, update

EARLY_START_HOLD_S = 180


def decide(
    accounts: Accounts, session: Session | None, command: Command, tariffs: Tariffs, now: int, session_id: int = 0
) -> Decision:
    """
    Decide one command.

    Args:
        accounts: The accounts it touches, the payer first; empty when nobody is known to pay.
        session: The session it names, or None.
        now: Integer microseconds since the epoch, UTC.
        session_id: The number for a session that comes to be.

    Returns:
        What moves, and what to answer once that is durable.

    Raises:
        InvariantBroken: A law would have been broken: a bug.
    """
    if session is not None:
        if not isinstance(command, Adjust) and _is_foreign(accounts, session, command):
            return NOTHING, Denial(Reason.FOREIGN_SESSION)
        if session.cause == REPLACED and isinstance(command, (Begin, Update, End)):
            return NOTHING, Denial(Reason.SESSION_REPLACED, "", session.head.id)
    if isinstance(command, Begin):
        return _begin(accounts, session, command, tariffs, now, session_id)
    if isinstance(command, Update):
        if session is not None:
            return update(accounts, session, command, tariffs, now)
        if command.is_start:
            return early_start(command, now, EARLY_START_HOLD_S)
        return orphan(accounts, command, command.orphan, tariffs, session_id, now)
    if isinstance(command, End):
        if session is not None:
            return end(accounts, session, command, tariffs, now)
        return orphan(accounts, command, command.orphan, tariffs, session_id, now)
    if isinstance(command, Adjust):
        return adjust(accounts, command, now)
    if isinstance(command, Event):
        return _event(accounts, session, command, tariffs, now, session_id)
    if isinstance(command, Capped):
        return admit(accounts, session, command, tariffs, now)
    if session is None:
        return NOTHING, Ack(Outcome.UNKNOWN)
    if isinstance(command, Expire):
        return expire(accounts, session, command, now)
    return kill(accounts, session, command)


def _is_foreign(accounts: Accounts, session: Session, command: Command) -> bool:
    """Whether a client speaks for a session that another one began (S20, S23)."""
    if not accounts or accounts[0].profile.id != session.head.account_id:
        return True
    return not isinstance(command, (Expire, Kill, Adjust)) and command.origin != session.head.origin


def _begin(
    accounts: Accounts, session: Session | None, command: Begin, tariffs: Tariffs, now: int, session_id: int
) -> Decision:
    if session is None:
        return begin(accounts, command, tariffs, session_id, now)
    if session.head.protocol == "diameter":
        again = known_begin(session, command.identity)
        if again is None:
            return NOTHING, Denial(Reason.SESSION_REUSED, "", session.head.id)
        return NOTHING, again.answer or Denial(Reason.CONFLICT)
    if session.state in (State.HELD, State.OPEN):
        return ask_again(accounts, session, command, tariffs, now)
    before = same(session, command.identity)
    if before is not None:
        return NOTHING, before
    usage = command.lines[0].usage
    if session.state is State.EXPIRED and usage is not None and command.protocol == "radius":
        report = Update(command.key, command.identity, command.lines, command.origin, command.aliases, command.event_us)
        return update(accounts, session, report, tariffs, now)
    refused = Changes(notices=(Notice("conflict", "begin_after_end"),))
    return refused, denial(accounts[0], Reason.SESSION_CLOSED, session.head.id)


def _event(
    accounts: Accounts, session: Session | None, command: Event, tariffs: Tariffs, now: int, session_id: int
) -> Decision:
    if session is None and not command.refunds:
        return event(accounts, command, tariffs, session_id, now)
    if session is not None:
        before = known(session, command.identity, now)
        if before is not None:
            if before.answer is None:
                return Changes(notices=(Notice("conflict", "identity"),)), Denial(Reason.CONFLICT)
            return NOTHING, before.answer
    if command.refunds:
        return refund(accounts, session, command, now)
    return NOTHING, Denial(Reason.CONFLICT)
