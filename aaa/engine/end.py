"""
End: settle a session at what it used, or take the usage of one nobody announced (RFC 2866 Stop, CCR-T).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Ack, Outcome
from aaa.engine.begin import line_head, session_head
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision, Notice, Unrated
from aaa.engine.commands import Begin, Delta, End, LineRequest, Total, Update
from aaa.engine.identity import known
from aaa.engine.lines import opened, reported
from aaa.engine.model import Account, Line, Session, SessionHead
from aaa.engine.periods import placed
from aaa.engine.ports import Tariffs
from aaa.engine.settle import Reports, line_of, overspent, settled
from aaa.engine.sums import moved
from aaa.engine.terms import SECOND_US, Reason, State
from aaa.engine.update import ack, repeated, replaced, with_aliases

USED_MAX = 1 << 62  # what a record can hold
ORPHAN = "orphan"  # the cause of a session that was never announced


def end(accounts: Accounts, session: Session, command: End, tariffs: Tariffs, now: int) -> Decision:
    """
    Charge the final usage, release the rest (S3, S15, S19); on an expired session, the difference (S8).

    A second End with the same total repeats, with another one conflicts; neither moves anything.

    Money: one entry for the session, or one correction.
    """
    account = accounts[0]
    total = reported_total(command.lines)
    if session.state is State.CLOSED:
        if session.cause == ORPHAN and command.identity.order is not None:
            return NOTHING, Ack(Outcome.UNKNOWN, session.head.id)
        if total is None or session.reported is None or total == session.reported:
            return NOTHING, ack(account, session, Outcome.REPEAT)
        return Changes(notices=(Notice("conflict", "stop"),)), ack(account, session, Outcome.CONFLICT)
    if command.identity.order is not None:
        before = known(session, command.identity, now)
        if before is not None:  # an end under the number of a request that was answered: nothing moves twice (S7)
            return repeated(session, before.answer)
    is_late = session.state is State.EXPIRED
    event_us = command.event_us or now
    answered_us = command.answered_us or session.answered_us
    lines = session.lines
    notices: tuple[Notice, ...] = (Notice("late"),) if is_late else ()
    for request in placed(lines, _final_reports(session, command, event_us, answered_us), event_us, now):
        line = line_of(lines, request)
        if request.usage is None:
            continue
        if line is None:
            if not isinstance(request.usage, Delta) or not request.usage.units:
                continue
            head = line_head(account, request, tariffs, now)  # used without ever having asked for it
            if isinstance(head, Reason):
                notices += (Notice("unrated", head),)
                continue
            line = opened(head)
            lines = (*lines, line)
        report = reported(line, request.usage, event_us, answered_us, now, is_late)
        lines, notices = replaced(lines, line, report.line), notices + report.notices
    implausible = session.implausible or any([notice.kind == "implausible" for notice in notices])
    reports = Reports(lines, answered_us, implausible, total)
    result = settled(account, session, State.CLOSED, command.cause, now, reports)
    after, added = with_aliases(result.session, command.key, command.aliases)
    notices += overspent(account, result.account, "late" if is_late else "overrun")
    changes = Changes(
        (result.account, *accounts[1:]),
        after,
        entries=result.entries,
        units=result.units,
        settles=True,
        new_aliases=added,
        notices=notices,
    )
    return changes, ack(result.account, after, Outcome.DONE)


def reported_total(requests: tuple[LineRequest, ...]) -> int | None:
    """The total a RADIUS Stop reports, or None."""
    for request in requests:
        if isinstance(request.usage, Total):
            return request.usage.units
    return None


def _final_reports(session: Session, command: End, event_us: int, answered_us: int) -> tuple[LineRequest, ...]:
    """The reports of an End, with what a Stop without a time means, and an answered call of 0 s (S15, S19)."""
    last = session.lines[-1]
    if last.head.key.unit != "seconds" or session.head.protocol != "radius":
        return command.lines
    total = reported_total(command.lines)
    if total is None:
        since_us = answered_us or session.started_us
        if not since_us:
            return command.lines
        most = last.head.offset + last.granted
        total = min(most, max(0, event_us - since_us) // SECOND_US)
    elif total == 0 and answered_us:
        total = 1
    else:
        return command.lines
    return (LineRequest(last.head.key, Total(total), wants_quota=False),)


def orphan(
    accounts: Accounts, command: End | Update, begin: Begin | None, tariffs: Tariffs, session_id: int, now: int
) -> Decision:
    """
    Usage of a session that nobody announced: charged when it says who, where to and how long (S17, S19).

    Money: an End posts the charge; an Interim holds it until the End.  What cannot be rated is kept as
    an unrated record.
    """
    event_us = command.event_us or now
    if command.identity.order is not None:
        return _numbered_orphan(accounts, command, begin, tariffs, session_id, now)
    total = reported_total(command.lines) or 0
    unrated = Changes(
        unrated=Unrated(command.key, command.origin, total, event_us, "orphan"), notices=(Notice("unrated"),)
    )
    if begin is None or not accounts or total == 0:
        return unrated, Ack(Outcome.UNRATED)
    account = accounts[0]
    began_us = max(0, event_us - total * SECOND_US)
    head = line_head(account, begin.lines[0], tariffs, began_us)
    if isinstance(head, Reason):
        return unrated, Ack(Outcome.UNRATED)
    line = _used_line(opened(head), total, event_us, now)
    session = Session(
        SessionHead(
            session_id,
            account.profile.id,
            command.key,
            begin.origin,
            begin.protocol,
            begin.service_context,
            begin.subscriber,
            begin.caller,
            began_us,
            begin.policy,
        ),
        State.OPEN,
        now + begin.policy.grace_s * SECOND_US,
        (line,),
        command.aliases,
        started_us=began_us,
        cause=ORPHAN if isinstance(command, End) else "",
    )
    held = moved(account, (), session.lines, live=1)
    notices = (Notice("orphan"), *overspent(account, held, "late"))
    if isinstance(command, Update):
        deadline = now + (begin.policy.setup_s + begin.policy.grace_s) * SECOND_US
        session = replace(session, deadline_us=deadline)
        changes = Changes((held, *accounts[1:]), session, True, new_aliases=command.aliases, notices=notices)
        return changes, ack(held, session, Outcome.DONE)
    reports = Reports(session.lines, 0, False, total)
    result = settled(held, session, State.CLOSED, command.cause, now, reports)
    changes = Changes(
        (result.account, *accounts[1:]),
        result.session,
        True,
        result.entries,
        result.units,
        settles=True,
        new_aliases=command.aliases,
        notices=notices,
    )
    return changes, ack(result.account, result.session, Outcome.DONE)


def _numbered_orphan(
    accounts: Accounts, command: End | Update, begin: Begin | None, tariffs: Tariffs, session_id: int, now: int
) -> Decision:
    """
    Usage since the last report, of a session nobody knows: charged at its end, else kept as an unrated record.

    Either way the client is refused: it may not go on (RFC 8506 7).  A client may end a session that was
    refused to it; that uses nothing and leaves nothing.

    Money: an End posts the charge.
    """
    event_us = command.event_us or now
    used = min(USED_MAX, sum(request.usage.units for request in command.lines if request.usage is not None))
    if not used:
        return NOTHING, Ack(Outcome.UNKNOWN)
    if isinstance(command, End) and begin is not None and accounts:
        lines = _orphan_lines(accounts[0], command, tariffs, event_us, now)
        if lines:
            return _charged_orphan(accounts, command, begin, lines, session_id, event_us, now), Ack(Outcome.UNKNOWN)
    record = Unrated(command.key, command.origin, used, event_us, ORPHAN)
    return Changes(unrated=record, notices=(Notice("unrated"),)), Ack(Outcome.UNKNOWN)


def _orphan_lines(account: Account, command: End, tariffs: Tariffs, event_us: int, now: int) -> tuple[Line, ...]:
    """The lines of an orphan with what they used; none when one of them says too little to be priced (S19)."""
    lines = []
    for request in command.lines:
        if request.usage is None or not request.usage.units:
            continue
        key, units = request.key, request.usage.units
        is_timed = key.unit == "seconds"
        if key.service == "voice" and is_timed and not request.destination:
            return ()
        head = line_head(account, request, tariffs, max(0, event_us - units * SECOND_US) if is_timed else event_us)
        if isinstance(head, Reason):
            return ()
        lines.append(_used_line(opened(head), units, event_us, now))
    return tuple(lines)


def _charged_orphan(
    accounts: Accounts, command: End, begin: Begin, lines: tuple[Line, ...], session_id: int, event_us: int, now: int
) -> Changes:
    account = accounts[0]
    head = session_head(account, begin, session_id, min(line.head.anchor_auth_us for line in lines))
    session = Session(head, State.OPEN, now, lines, started_us=head.begun_us, cause=ORPHAN)
    held = moved(account, (), lines, live=1)
    result = settled(held, session, State.CLOSED, command.cause, now)
    return Changes(
        (result.account, *accounts[1:]),
        result.session,
        True,
        result.entries,
        result.units,
        settles=True,
        notices=(Notice(ORPHAN), *overspent(account, result.account, "late")),
    )


def _used_line(line: Line, total: int, event_us: int, now: int) -> Line:
    """A line that only ever used: nothing was granted, all of it is overrun."""
    return reported(line, Total(total), event_us, 0, max(now, event_us)).line
