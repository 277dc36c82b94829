"""
Settling: post what a session used, give the rest back, correct it when a late report arrives (S8, S11).
"""

from __future__ import annotations

from typing import NamedTuple

from aaa.engine.lines import assumed, closed, reported
from aaa.engine.model import Account, Entry, Line, LineRequest, Notice, Session, State
from aaa.engine.sums import moved, posted, ref_of


class Settled(NamedTuple):
    """An account and a session after a settlement, with the entries that were posted."""

    account: Account
    session: Session
    entries: tuple[Entry, ...]
    notices: tuple[Notice, ...] = ()


def settled(
    account: Account, session: Session, state: State, cause: str, now: int, assume_granted: bool = False
) -> Settled:
    """
    Post the charge of every line and release its hold.

    Args:
        state: `CLOSED` after an End, `EXPIRED` when the deadline passed.
        assume_granted: Charge the whole grant, because this client reports only at the end (S8).

    Money: one entry of minus what was not posted yet; none when that is 0.
    """
    results = [assumed(line) if assume_granted else closed(line) for line in session.lines]
    lines = tuple(line for line, _ in results)
    due = sum(amount for _, amount in results)
    was_live = session.state in (State.HELD, State.OPEN)
    after = moved(account, session.lines if was_live else (), lines if was_live else (), live=-1 if was_live else 0)
    kind = "assumed" if state is State.EXPIRED else "correction" if session.revision else "charge"
    after, entries = posted(after, -due, kind, ref_of(session), now)
    ended = session._replace(
        state=state,
        lines=lines,
        deadline_us=now,
        ended_us=now,
        cause=session.cause or cause,
        assumed=state is State.EXPIRED,
        revision=session.revision + 1,
    )
    return Settled(after, ended, entries)


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
    for request in requests:
        if request.usage is None:
            continue
        line = line_of(lines, request)
        if line is None:
            continue
        report = reported(line, request.usage, event_us, answered_us or session.answered_us, now, is_late=True)
        lines = tuple(report.line if candidate is line else candidate for candidate in lines)
        notices += report.notices
    due = sum(line.accrued_micro for line in lines)
    lines = tuple(line._replace(accrued_micro=0, posted_micro=line.posted_micro + line.accrued_micro) for line in lines)
    after, entries = posted(account, -due, "correction", ref_of(session), now)
    return Settled(after, session._replace(lines=lines, revision=session.revision + 1), entries, notices)


def line_of(lines: tuple[Line, ...], request: LineRequest) -> Line | None:
    """
    The line a request is about: the latest leg with its key (S14).

    A client that reports at the command level need not repeat the rating group it began with
    (RFC 8506 5.2): what names no service means the one line there is.
    """
    key = request.key
    for line in reversed(lines):
        if line.head.key == key:
            return line
    if request.is_bare and len(lines) == 1 and lines[0].head.key.unit == key.unit:
        return lines[0]
    return None


def overspent(before: Account, after: Account, cause: str) -> tuple[Notice, ...]:
    """The part of a decision that took `available` below zero, as something to count (S11)."""
    was, now_available = before.available_micro, after.available_micro
    if was is None or now_available is None or now_available >= 0 or now_available >= was:
        return ()
    return (Notice("overspend", cause, min(was, 0) - now_available),)
