"""
Recognize a request that was made before (SEMANTICS S7, law L4).

A session remembers the last four requests that got an answer worth repeating, and for clients that
number their requests a window of 64 numbers.  Three outcomes: new, repeat (same number, same content:
the stored answer goes out again and nothing moves), conflict (same number, other content: counted,
nothing moves).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Ack, Answer, Grant, Outcome
from aaa.engine.commands import Identity
from aaa.engine.memory import again, kept
from aaa.engine.model import Seen, Session
from aaa.engine.terms import SECOND_US
from aaa.value import Value

REMEMBERED = 4
WINDOW_BITS = 64
SAME_REQUEST_US = 5 * SECOND_US


class Known(Value, frozen=True):
    """A request that is not new, and the answer it gets (None: conflict)."""

    answer: Answer | None


def known(session: Session, identity: Identity, now: int) -> Known | None:
    """
    The outcome for a request of a known session, or None when it is new.

    A RADIUS Access-Request that says neither what it has used nor which grant it follows (`b`) is the
    same request again when its authenticator is, or within 5 s.
    """
    if identity.order is not None:
        return _numbered(session, identity)
    for seen in session.seen:
        if seen.number == identity.number and seen.digest == identity.digest:
            return Known(_again(session, seen))
    if identity.number == "b":
        last = _last_bare(session)
        if last is not None and now - session.asked_us < SAME_REQUEST_US:
            return Known(_again(session, last))
        return None
    for seen in session.seen:
        if seen.number == identity.number:
            return Known(None)
    return None


def same(session: Session, identity: Identity) -> Answer | None:
    """
    The answer to the very same request of a session that has ended, or None.

    One that only looks alike gets nothing: what the old answer granted is no longer held.
    """
    for seen in session.seen:
        if seen.number == identity.number and seen.digest == identity.digest:
            return _again(session, seen)
    return None


def known_begin(session: Session, identity: Identity) -> Known | None:
    """
    The outcome for a CCR-I of a known session, or None when it begins another one (S7).

    The digest of a CCR-I ends in its End-to-End Identifier, behind a colon: the same content is the same
    request only with the same identifier or the T flag, because a client that restarted may begin again
    with ids it used before.
    """
    content = identity.digest.partition(":")[0]
    for seen in session.seen:
        if seen.number == identity.number:
            is_same = seen.digest == identity.digest
            if is_same or (identity.retransmitted and seen.digest.partition(":")[0] == content):
                return Known(_again(session, seen))
            return None
    return Known(_forgotten(session)) if identity.retransmitted else None


def _last_bare(session: Session) -> Seen | None:
    for seen in reversed(session.seen):
        if seen.number == "b":
            return seen
    return None


def _numbered(session: Session, identity: Identity) -> Known | None:
    order = identity.order or 0
    behind = session.highest - order
    if behind < 0:
        return None
    if behind > 0 and (behind > WINDOW_BITS or not session.window >> (behind - 1) & 1):
        # A number older than the window cannot be told from a repeat: nothing may move twice.
        return Known(_forgotten(session)) if behind > WINDOW_BITS else None
    for seen in session.seen:
        if seen.number == identity.number:
            return Known(_again(session, seen) if seen.digest == identity.digest else None)
    return Known(_forgotten(session))


def _again(session: Session, seen: Seen) -> Grant | Ack:
    return again(seen, session.head.id, session.lines)


def _forgotten(session: Session) -> Ack:
    """Success without quota, for a repeat whose answer is no longer stored."""
    return Ack(Outcome.REPEAT, session.head.id)


def is_other_call(session: Session, names: tuple[str, ...]) -> bool:
    """
    Whether a request that names its own session only shares a weaker name with this one.

    A SIP Call-ID is the caller's choice: a second call that reuses it must not ride on the hold of the
    first, so two different session ids (`..|s:id`) of one NAS are never the same session.
    """
    own = names[0]
    prefix, is_strong, _ = own.partition("|s:")
    if not is_strong:
        return False
    known = [name for name in (session.head.key, *session.aliases) if name.startswith(f"{prefix}|s:")]
    return bool(known) and own not in known


def memory(session: Session, identity: Identity, answer: Grant | Ack) -> tuple[tuple[Seen, ...], int, int]:
    """What a session remembers after this request and its answer: the requests, the highest number, the window."""
    highest, window = session.highest, session.window
    if identity.order is not None:
        order = identity.order
        if order > highest:
            shift = order - highest
            window = ((window << shift) | (1 << (shift - 1))) & ((1 << WINDOW_BITS) - 1) if highest >= 0 else 0
            highest = order
        elif order < highest:
            window |= 1 << (highest - order - 1)
    return (*session.seen[1 - REMEMBERED :], kept(identity, answer, session.lines)), highest, window


def remembered(session: Session, identity: Identity, answer: Grant | Ack) -> Session:
    """The session with this request and its answer remembered."""
    seen, highest, window = memory(session, identity, answer)
    return replace(session, seen=seen, highest=highest, window=window)
