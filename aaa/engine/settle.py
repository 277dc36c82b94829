"""
Settling: post what a session used, give the rest back, correct it when a late report arrives (S8, S11).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.changes import Entry, Notice, UnitEntry
from aaa.engine.commands import LineRequest
from aaa.engine.lines import closed, reported
from aaa.engine.model import Account, Line, Session
from aaa.engine.periods import is_in, placed
from aaa.engine.sums import moved, posted, ref_of, taken_units
from aaa.engine.terms import LIVE, State, is_same
from aaa.engine.windows import spent
from aaa.value import Value


class Settled(Value, frozen=True):
    """An account and a session after a settlement, with the entries that were posted."""

    account: Account
    session: Session
    entries: tuple[Entry, ...]
    units: tuple[UnitEntry, ...] = ()
    notices: tuple[Notice, ...] = ()


class Reports(Value, frozen=True):
    """What the last reports make of a session that is to be settled."""

    lines: tuple[Line, ...]
    answered_us: int
    implausible: bool
    reported: int | None  # the total of its End, as the client said it


def settled(
    account: Account, session: Session, state: State, cause: str, now: int, reports: Reports | None = None
) -> Settled:
    """
    Post the charge of every line and release its hold.

    Args:
        session: As the account's sums know it.
        state: `CLOSED` after an End, `EXPIRED` when the deadline passed; a client that reports only at the
            end and was heard to start is then charged its whole grant (S8).
        reports: The last reports, if there are any.

    Money: one entry of minus what was not posted yet, none when that is 0; one unit entry per bucket.
    """
    if reports is None:
        reports = Reports(session.lines, session.answered_us, session.implausible, session.reported)
    was_live = session.state in LIVE
    is_expired = state is State.EXPIRED
    assumes = is_expired and session.head.policy.assume_granted and session.state is State.OPEN
    due_micro = 0
    lines = []
    for line in reports.lines:
        ended, amount = closed(line, account.buckets, line.granted if assumes else line.used, was_live)
        lines.append(ended)
        due_micro += amount
    after = Session(
        session.head,
        state,
        now,
        tuple(lines),
        session.aliases,
        session.seen,
        session.highest,
        session.window,
        session.started_us,
        reports.answered_us,
        session.asked_us,
        now,
        session.grants,
        session.revision + 1,
        session.cause or cause,
        is_expired,
        reports.implausible,
        reports.reported,
    )
    kind = "assumed" if is_expired else "correction" if session.revision else "charge"
    return _posted(account, session, after, due_micro, kind, now, live=-1 if was_live else 0)


def correct(
    account: Account,
    session: Session,
    requests: tuple[LineRequest, ...],
    event_us: int,
    answered_us: int,
    now: int,
) -> Settled:
    """
    Charge the difference between what an expired session was settled at and what is reported now (S8).

    Money: one entry of the difference, a refund when less was used than assumed.
    """
    lines = session.lines
    notices: tuple[Notice, ...] = (Notice("late"),)
    for request in placed(lines, requests, event_us, now):
        line = line_of(lines, request)
        if request.usage is None or line is None:
            continue
        report = reported(line, request.usage, event_us, answered_us or session.answered_us, now, is_late=True)
        lines = tuple([report.line if candidate is line else candidate for candidate in lines])
        notices += report.notices
    results = [closed(line, account.buckets, line.used, is_live=False) for line in lines]
    after = replace(session, lines=tuple(line for line, _ in results), revision=session.revision + 1)
    result = _posted(account, session, after, sum([amount for _, amount in results]), "correction", now)
    return replace(result, notices=notices)


def _posted(
    account: Account, before: Session, after: Session, due_micro: int, kind: str, now: int, live: int = 0
) -> Settled:
    """Move the sums from one state of a session to the next, post the money, note the units."""
    number = after.head.id
    units: tuple[UnitEntry, ...] = ()
    if account.buckets:
        units = tuple(
            UnitEntry(bucket, number, after.revision, -taken, now)
            for bucket, taken in taken_units(before.lines, after.lines).items()
        )
    sums, entries = posted(moved(account, before.lines, after.lines, live), -due_micro, kind, ref_of(after), now)
    return Settled(spent(sums, due_micro, now, before.ended_us), after, entries, units)


def line_of(lines: tuple[Line, ...], request: LineRequest) -> Line | None:
    """
    The line a request is about: the latest leg with its key (S14).

    A client that reports at the command level need not repeat the rating group it began with
    (RFC 8506 5.2): what names no service means the one line there is.
    """
    key = request.key
    for line in reversed(lines):
        if is_same(line.head.key, key) and (not request.at_us or is_in(line, request.at_us)):
            return line
    if request.is_open:
        for line in reversed(lines):
            if line.head.key.unit != key.unit and is_same(replace(line.head.key, unit=key.unit), key):
                return line
    if key.service_ids and key.rating_group is not None and not request.wants_quota:
        # Services of a rating group may draw on a quota another of them was granted (RFC 8506 8.16, A.9).
        for line in reversed(lines):
            own = line.head.key
            if own.service_ids != key.service_ids and is_same(replace(own, service_ids=key.service_ids), key):
                return line
    for line in reversed(lines):  # which way a call goes need not be told in each of its requests
        own = line.head.key
        is_untold = own.direction != key.direction and not (own.direction and key.direction)
        if is_untold and is_same(replace(own, direction=key.direction), key):
            return line
    if request.is_bare and len(lines) == 1 and lines[0].head.key.unit == key.unit:
        return lines[0]
    return None


def overspent(before: Account, after: Account, cause: str) -> tuple[Notice, ...]:
    """The part of a decision that took `available` below zero, as something to count (S11)."""
    if before is after:
        return ()
    now_available = after.available_micro
    if now_available is None or now_available >= 0:
        return ()
    was = before.available_micro
    if was is None or now_available >= was:
        return ()
    return (Notice("overspend", cause, min(was, 0) - now_available),)
