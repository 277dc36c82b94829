"""
Sessions as rows: what a session knows, as two JSON arrays and a few columns (S7).

`head` never changes after the insert; `body` is written with every change.  The values are tuples whose
fields are only ever appended, so a row of an older release decodes with the defaults of what it lacks.
A line's rate is not stored: it is found again under the line's tariff version, which never changes (S17).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from msgspec.json import Decoder, Encoder

from aaa.engine.memory import kept_row, key_of, key_row
from aaa.engine.model import Line, LineHead, Session, SessionHead
from aaa.engine.money import AT_PAR, MONEY
from aaa.engine.ports import Tariffs
from aaa.engine.terms import Policy, State
from aaa.errors import RowUnreadable
from aaa.value import fields_of
from rating.funding import Parts

STATE_NUMBER = {State.HELD: 0, State.OPEN: 1, State.EXPIRED: 2, State.CLOSED: 3}
STATES = (State.HELD, State.OPEN, State.EXPIRED, State.CLOSED)
SESSION_COLUMNS = "id, account_id, key, origin, state, deadline, head, body"


_encode = Encoder(enc_hook=fields_of).encode
loads = Decoder().decode


def dumps(value: Any) -> str:
    """A tuple of plain values and named tuples as JSON text."""
    return _encode(value).decode()


def head_text(head: SessionHead) -> str:
    """The part of a session that never changes, as the `head` column."""
    return dumps((head.protocol, head.service_context, head.subscriber, head.caller, head.begun_us, head.policy))


def parties_text(head: SessionHead) -> str:
    """Who a finished session was between, as the `head` column of its CDR."""
    return dumps((head.protocol, head.service_context, head.subscriber, head.caller, head.begun_us))


def body_text(session: Session) -> str:
    """The part of a session that changes, as the `body` column."""
    return dumps(
        (
            [line_row(line) for line in session.lines],
            session.aliases,
            [Raw(seen.text) for seen in session.seen],
            session.highest,
            str(session.window),  # 64 bits do not fit into the integers of JSON readers
            session.started_us,
            session.answered_us,
            session.asked_us,
            session.ended_us,
            session.grants,
            session.revision,
            session.cause,
            session.assumed,
            session.implausible,
            session.reported,
        )
    )


def line_row(line: Line) -> tuple[Any, ...]:
    """One line as a JSON array."""
    head = line.head
    return (
        key_row(head.key),
        head.destination,
        head.received,
        head.tariff_version,
        head.prefix,
        head.anchor_auth_us,
        head.offset,
        line.anchor_use_us,
        line.used,
        line.granted,
        line.accrued_micro,
        line.reserved_micro,
        line.posted_micro,
        line.parts,
        line.is_final,
        line.posted_parts,
    )


def session_from_row(row: Sequence[Any], tariffs: Tariffs) -> Session:
    """
    The session of a row selected as `SESSION_COLUMNS`.

    Raises:
        RowUnreadable: The row is not what was ever written, or names a tariff version that is not there.
    """
    try:
        return _session(row, tariffs)
    except Exception as error:
        raise RowUnreadable(f"session #{row[0]} cannot be read: {type(error).__name__}: {error}") from error


def _session(row: Sequence[Any], tariffs: Tariffs) -> Session:
    number, account_id, key, origin, state, deadline, head_json, body_json = row
    protocol, service_context, subscriber, caller, begun_us, policy, *_ = loads(head_json)
    lines, aliases, seen, highest, window, *rest = loads(body_json)
    head = SessionHead(
        number, account_id, key, origin, protocol, service_context, subscriber, caller, begun_us, Policy(*policy)
    )
    return Session(
        head,
        STATES[state],
        deadline,
        tuple(line_from_row(line, tariffs) for line in lines),
        tuple(aliases),
        tuple(kept_row(each) for each in seen),
        highest,
        int(window),
        *rest,
    )


def line_from_row(row: Sequence[Any], tariffs: Tariffs) -> Line:
    """
    A line, its rate found again under its tariff version.

    Raises:
        RowUnreadable: There is no such version, or no such rate in it.
    """
    key_row, destination, received, version, prefix, anchor_auth_us, offset, *rest = row
    key = key_of(key_row)
    plan = AT_PAR if key.unit == MONEY else None
    if version:
        tariff = tariffs.version(version)
        if tariff is not None:
            plan = tariff.find(key.service, destination, key.direction, key.rating_group, key.unit)
        if plan is None:
            raise RowUnreadable(f"tariff version {version} has no rate for {destination!r} any more")
    head = LineHead(key, destination, received, version, prefix, anchor_auth_us, plan, offset)
    anchor_use_us, used, granted, accrued, reserved, posted, parts, is_final, *more = rest
    settled = _parts(more[0]) if more else ()
    return Line(head, anchor_use_us, used, granted, accrued, reserved, posted, _parts(parts), is_final, settled)


def _parts(row: Sequence[Any]) -> Parts:
    return tuple((source, units) for source, units in row)
