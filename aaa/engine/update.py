"""
Update: usage reported, more asked for, an answer or a transfer noted (RFC 2866 Start and Interim, CCR-U).

Also what a RADIUS Access-Request means on a session that is already there: the same request again, a
renewal (S6), or a transfer to another destination (S14).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Ack, Answer, Denial, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.begin import beyond, deadline_of, denial, first_reason, line_head
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision, EarlyStart, Notice
from aaa.engine.commands import Begin, Delta, LineRequest, Total, Update
from aaa.engine.identity import known, memory, remembered
from aaa.engine.limits import refused_account
from aaa.engine.lines import opened, refill, released, reported
from aaa.engine.model import Account, Line, Session
from aaa.engine.periods import change_us, has_periods, joined, opened_in, placed
from aaa.engine.ports import Tariffs
from aaa.engine.settle import correct, line_of, overspent
from aaa.engine.sums import moved
from aaa.engine.terms import SECOND_US, Policy, Reason, State, is_same
from aaa.errors import InvariantBroken

Told = tuple[LineGrant | LineDenial, ...]
NO_NEWS: Told = ()
NO_NOTICES: tuple[Notice, ...] = ()


def ask_again(accounts: Accounts, session: Session, command: Begin, tariffs: Tariffs, now: int) -> Decision:
    """
    An Access-Request on a live session: a repeat, a renewal, or a transfer (S6, S7, S14).

    Money: none posted; the hold follows the new grant.
    """
    account = accounts[0]
    before = known(session, command.identity, now)
    if before is not None:
        return repeated(session, before.answer)
    refusal = refused_account(account, now) if session.lines[0].head.plan is not None else None
    if session.cause:
        refusal = Reason.NOT_ALLOWED
    if refusal is not None:
        return NOTHING, denial(account, refusal, session.head.id)
    request = command.lines[0]
    line = line_of(session.lines, request)
    if line is not None and request.destination and request.destination != line.head.destination:
        return _transfer(accounts, session, command, line, tariffs, now)
    lines, told, notices = _updated(
        account, session, command.lines, command.policy, tariffs, command.event_us or now, 0, now
    )
    if not any([isinstance(line, LineGrant) for line in told]):
        return NOTHING, denial(account, first_reason(told), session.head.id)
    state = State.OPEN if command.early_start_us or any(line.used for line in lines) else session.state
    return _granted(accounts, session, lines, told, command, state, notices, now)


def update(accounts: Accounts, session: Session, command: Update, tariffs: Tariffs, now: int) -> Decision:
    """
    A Start, an Interim-Update or a CCR-U on a session that is known.

    Any Update opens the session (S5).  On an expired one a report charges the difference to what was
    assumed; RADIUS sessions then live again (S8).
    """
    account = accounts[0]
    before = known(session, command.identity, now)
    if before is not None:
        return repeated(session, before.answer)
    if session.state is State.CLOSED:
        return NOTHING, ack(account, session, Outcome.IGNORED)
    if session.state is State.EXPIRED:
        return _late(accounts, session, command, tariffs, now)
    event_us = command.event_us or now
    answered_us = command.answered_us or session.answered_us
    is_numbered = command.identity.order is not None
    requests = command.lines
    refused: Told = ()
    if session.cause and any([request.wants_quota for request in requests]):
        if not is_numbered:
            return NOTHING, denial(account, Reason.NOT_ALLOWED, session.head.id)
        # What such a client used since its last report is told only once: take it, but grant nothing more.
        refused = tuple(LineDenial(request.key, Reason.NOT_ALLOWED) for request in requests if request.wants_quota)
        requests = tuple(replace(request, wants_quota=False) for request in requests)
    lines, told, notices = session.lines, NO_NEWS, NO_NOTICES
    if requests:
        lines, told, notices = _updated(
            account, session, requests, session.head.policy, tariffs, event_us, answered_us, now
        )
        told += refused
    started_us = session.started_us or (event_us if command.is_start else 0)
    if told and (is_numbered or any([isinstance(line, LineGrant) for line in told])):
        if answered_us != session.answered_us or started_us != session.started_us:
            session = replace(session, answered_us=answered_us, started_us=started_us)
        return _granted(accounts, session, lines, told, command, State.OPEN, notices, now)
    deadline_us = deadline_of(lines, session.head.policy, State.OPEN, now)
    after = replace(
        session,
        state=State.OPEN,
        deadline_us=deadline_us,
        lines=lines,
        started_us=started_us,
        answered_us=answered_us,
    )
    after, added = with_aliases(after, command.key, command.aliases)
    moved_account = moved(account, session.lines, lines)
    notices += overspent(account, moved_account, "overrun")
    changes = Changes((moved_account, *accounts[1:]), after, new_aliases=added, notices=notices)
    if told:
        return changes, denial(moved_account, first_reason(told), session.head.id)
    done = ack(moved_account, after, Outcome.DONE)
    if is_numbered:  # its usage counts from the last report, so a repeat must be known
        changes = replace(changes, session=remembered(after, command.identity, done))
    return changes, done


def early_start(command: Update, now: int, hold_s: int) -> Decision:
    """A Start before its Access-Request: remembered, and it never charges (S5)."""
    keys = (command.key, *command.aliases)
    start = EarlyStart(keys, command.event_us or now, now + hold_s * SECOND_US)
    return Changes(early_start=start), Ack(Outcome.DONE)


def replaced(lines: tuple[Line, ...], old: Line, new: Line) -> tuple[Line, ...]:
    """The lines with one of them replaced."""
    if len(lines) == 1:
        return (new,) if lines[0] is old else lines
    return tuple(new if line is old else line for line in lines)


def with_aliases(session: Session, key: str, aliases: tuple[str, ...]) -> tuple[Session, tuple[str, ...]]:
    """The session known by these names as well, and those that are new."""
    known, added = _names(session, key, aliases)
    return (replace(session, aliases=known), added) if added else (session, ())


def _names(session: Session, key: str, aliases: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The aliases of a session once it is known by these names as well, and those that are new."""
    known = session.aliases
    if not aliases and key == session.head.key:
        return known, ()
    names = (session.head.key, *known)
    added = tuple(name for name in dict.fromkeys((key, *aliases)) if name not in names and not name.startswith("#"))
    return known + added, added


def ack(account: Account, session: Session, outcome: Outcome) -> Ack:
    """An answer that moves on without units: the charge so far and the balance."""
    cost = 0
    for line in session.lines:
        cost += line.accrued_micro + line.posted_micro
    return Ack(outcome, session.head.id, cost, account.shown_micro, account.profile.currency)


def repeated(session: Session, answer: Answer | None) -> Decision:
    """The decision for a request that was made before: its answer again, or a conflict with it (S7)."""
    if answer is None:
        return Changes(notices=(Notice("conflict", "identity"),)), Denial(Reason.CONFLICT, "", session.head.id)
    return NOTHING, answer


def _updated(
    account: Account,
    session: Session,
    requests: tuple[LineRequest, ...],
    policy: Policy,
    tariffs: Tariffs,
    event_us: int,
    answered_us: int,
    now: int,
) -> tuple[tuple[Line, ...], Told, tuple[Notice, ...]]:
    """Report and refill the lines of a request, in its order, each on what the ones before left (S2)."""
    lines = session.lines
    if len(lines) == 1 == len(requests) and not account.buckets:
        head = lines[0].head
        if is_same(head.key, requests[0].key) and not has_periods(head):
            fresh, answer, notices = _updated_line(
                account, session, lines, lines[0], requests[0], policy, event_us, answered_us, now
            )
            return (fresh,), () if answer is None else (answer,), notices
    told: list[LineGrant | LineDenial] = []
    notices = NO_NOTICES
    for request in placed(lines, requests, event_us, now):
        line = line_of(lines, request)
        if line is None:
            found = line_head(account, request, tariffs, now)
            if isinstance(found, Reason):
                told.append(LineDenial(request.key, found))
                continue
            line = opened_in(found, request.at_us or now) if has_periods(found) else opened(found)
            lines = (*lines, line)
        fresh, line_told, noticed = _updated_line(
            account, session, lines, line, request, policy, event_us, answered_us, now
        )
        notices += noticed
        if line_told is not None:
            told.append(line_told)
        lines = replaced(lines, line, fresh)
        if isinstance(line_told, LineGrant):
            switch_us = change_us(fresh, policy, now) if policy.tells_validity else 0
            if switch_us:
                left = moved(account, session.lines, lines)
                lines, after = beyond(left, lines, fresh, request, policy, switch_us, now)
                told[-1:] = joined(line_told, after, switch_us, now)
    return lines, tuple(told), notices


def _updated_line(
    account: Account,
    session: Session,
    lines: tuple[Line, ...],
    line: Line,
    request: LineRequest,
    policy: Policy,
    event_us: int,
    answered_us: int,
    now: int,
) -> tuple[Line, LineGrant | LineDenial | None, tuple[Notice, ...]]:
    """
    Report and refill one line.

    Args:
        lines: Those of the session as the requests before this one left them; the account's sums hold the
            session's own.
    """
    fresh = line
    notices = NO_NOTICES
    usage = request.usage
    if usage is not None:
        report = reported(line, usage, event_us, answered_us, now)
        fresh, notices = report.line, report.notices
        if isinstance(usage, Delta):
            fresh = released(fresh, account.buckets)
    if not request.wants_quota:
        return fresh, None, notices
    left, freed_micro = account, line.reserved_micro - fresh.reserved_micro
    if account.buckets or len(lines) > 1:
        left, freed_micro = moved(account, session.lines, replaced(lines, line, fresh)), 0
    bound = 0 if usage is not None else _used_bound(fresh, now)
    fresh, told = refill(left, fresh, request, policy, max(1, account.live_sessions), bound, now, freed_micro)
    return fresh, told, notices


def _used_bound(line: Line, now: int) -> int:
    """How far unreported usage can have come: sizes a refill, never charges (S6)."""
    if line.head.key.unit != "seconds":
        return line.used
    elapsed_s = max(0, now - line.head.anchor_auth_us) // SECOND_US
    return min(line.granted, elapsed_s)


def _granted(
    accounts: Accounts,
    session: Session,
    lines: tuple[Line, ...],
    told: Told,
    command: Begin | Update,
    state: State,
    notices: tuple[Notice, ...],
    now: int,
) -> Decision:
    """The decision for a request that asked for quota on a live session."""
    account = accounts[0]
    moved_account = moved(account, session.lines, lines)
    number = session.grants + 1
    head = session.head
    answer = Grant(head.id, told, moved_account.shown_micro, account.profile.currency, number)
    policy, started_us = head.policy, session.started_us
    if isinstance(command, Begin):
        policy, started_us = command.policy, started_us or command.early_start_us
    aliases, added = _names(session, command.key, command.aliases)
    seen, highest, window = memory(session, command.identity, answer)
    after = Session(
        head,
        state,
        deadline_of(lines, policy, state, now),
        lines,
        aliases,
        seen,
        highest,
        window,
        started_us,
        session.answered_us,
        now,
        session.ended_us,
        number,
        session.revision,
        session.cause,
        session.assumed,
        session.implausible,
        session.reported,
    )
    notices += overspent(account, moved_account, "overrun")
    return Changes((moved_account, *accounts[1:]), after, new_aliases=added, notices=notices), answer


def _transfer(accounts: Accounts, session: Session, command: Begin, line: Line, tariffs: Tariffs, now: int) -> Decision:
    """
    The call goes on to another destination: end the leg at what it used, append the next (S14).

    A denial leaves the first leg as it was, final.
    """
    account = accounts[0]
    request = command.lines[0]
    event_us = command.event_us or now
    usage = request.usage or Total(line.head.offset + _switch_units(session, line, event_us))
    report = reported(line, usage, event_us, session.answered_us, now)
    ended = released(report.line, account.buckets)
    lines = replaced(session.lines, line, ended)
    left = moved(account, session.lines, lines)
    head = line_head(account, request, tariffs, now, offset=line.head.offset + ended.used)
    if isinstance(head, Reason):
        return NOTHING, denial(account, head, session.head.id)
    leg, told = refill(left, opened(head), request, command.policy, max(1, account.live_sessions), 0, now)
    if isinstance(told, LineDenial):
        return NOTHING, denial(account, told.reason, session.head.id)
    return _granted(accounts, session, (*lines, leg), (told,), command, session.state, report.notices, now)


def _switch_units(session: Session, line: Line, event_us: int) -> int:
    """Usage of a leg at its end when nobody told it: the time since its answer, as far as it was granted."""
    since_us = line.anchor_use_us or session.answered_us or session.started_us or line.head.anchor_auth_us
    since_us = max(since_us, line.head.anchor_auth_us)
    return max(line.used, min(line.granted, max(0, event_us - since_us) // SECOND_US))


def _late(accounts: Accounts, session: Session, command: Update, tariffs: Tariffs, now: int) -> Decision:
    """A report after the deadline settled the session: charge the difference; a RADIUS session lives again (S8)."""
    is_radius = session.head.protocol == "radius"
    if not any(request.usage for request in command.lines):
        outcome = Outcome.IGNORED if is_radius else Outcome.UNKNOWN
        return NOTHING, ack(accounts[0], session, outcome)
    corrected = correct(accounts[0], session, command.lines, command.event_us or now, command.answered_us, now)
    account, after = corrected.account, corrected.session
    if is_radius:
        account = moved(account, (), (), live=1)
        after = replace(
            after,
            state=State.OPEN,
            lines=tuple(
                replace(released(line, account.buckets), is_final=False) for line in after.lines
            ),  # the hold is gone
            assumed=False,
            ended_us=0,
            cause="",
            deadline_us=deadline_of(after.lines, session.head.policy, State.OPEN, now),
        )
    notices = (*corrected.notices, *overspent(accounts[0], account, "late"))
    changes = Changes(
        (account, *accounts[1:]),
        after,
        entries=corrected.entries,
        units=corrected.units,
        settles=True,
        notices=notices,
    )
    if not is_radius:
        late = ack(account, after, Outcome.UNKNOWN)
        return replace(changes, session=remembered(after, command.identity, late)), late
    if any(request.wants_quota for request in command.lines):
        return _late_refill(changes, command, tariffs, now)
    return changes, ack(account, after, Outcome.DONE)


def _late_refill(changes: Changes, command: Update, tariffs: Tariffs, now: int) -> Decision:
    """Grant more to a session that lives again; a denial still keeps the correction."""
    if changes.session is None:
        raise InvariantBroken("a correction without its session")
    requests = tuple(replace(request, usage=None) for request in command.lines)
    grown, answer = update(changes.accounts, changes.session, replace(command, lines=requests), tariffs, now)
    if grown.session is None:
        return changes, answer
    return replace(
        grown, entries=changes.entries, units=changes.units, settles=True, notices=changes.notices + grown.notices
    ), answer
