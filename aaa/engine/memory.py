"""
What a session keeps of a request it has answered, so that a repeat gets the same answer (SEMANTICS S7).

An answer is kept as the JSON it is stored as: it is written once and read only for a repeat, while every change of
a session stores the last four again.  Left out is what the session knows itself, its number and the key of its
first line, which never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.json import Decoder, Encoder

from aaa.engine.answers import Ack, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.commands import Identity
from aaa.engine.model import Line, Seen
from aaa.engine.terms import ChargeKey, Reason, is_same

_encode = Encoder().encode
_decode = Decoder().decode


def kept(identity: Identity, answer: Grant | Ack, lines: tuple[Line, ...]) -> Seen:
    """
    A request with its answer, to be remembered by a session.

    Args:
        lines: Those of the session.
    """
    first = lines[0].head.key if lines else None
    told = [_line_row(line, first) for line in answer.lines]
    row: tuple[Any, ...]
    if isinstance(answer, Grant):
        row = (identity.number, identity.digest, told, answer.currency, answer.shown_micro, answer.number)
    else:
        row = (identity.number, identity.digest, told, answer.currency, answer.balance_micro, answer.outcome)
        row = (*row, answer.cost_micro)
    return Seen(identity.number, identity.digest, _encode(row))


def kept_row(row: Sequence[Any]) -> Seen:
    """What was kept, from its JSON array as it was read."""
    return Seen(row[0], row[1], _encode(row))


def again(seen: Seen, session_id: int, lines: tuple[Line, ...]) -> Grant | Ack:
    """The answer that was kept, of the session with this number and these lines."""
    _, _, told, currency, balance_micro, what, *cost = _decode(seen.text)
    first = lines[0].head.key if lines else None
    answered = tuple([_line(row, first) for row in told])
    if isinstance(what, str):
        return Ack(Outcome(what), session_id, cost[0], balance_micro, currency, answered)
    return Grant(session_id, answered, balance_micro, currency, what)


def _line_row(line: LineGrant | LineDenial, first: ChargeKey | None) -> tuple[Any, ...]:
    key = line.key
    named = None if is_same(key, first) else key_row(key)
    if isinstance(line, LineDenial):
        return named, line.reason, line.cost_micro
    row = (named, line.told, line.total, line.validity_s, int(line.is_final), int(line.is_free), line.cost_micro)
    return (*row, line.switch_us) if line.switch_us else row


def _line(row: Sequence[Any], first: ChargeKey | None) -> LineGrant | LineDenial:
    named, told, *rest = row
    if named is None:
        if first is None:
            raise ValueError("an answer was kept for the first line of a session without lines")
        key = first
    else:
        key = key_of(named)
    if isinstance(told, str):
        return LineDenial(key, Reason(told), *rest)
    total, validity_s, is_final, is_free, *more = rest
    return LineGrant(key, told, total, validity_s, bool(is_final), bool(is_free), *more)


def key_row(key: ChargeKey) -> tuple[Any, ...]:
    """A key as a JSON array."""
    return key.service, key.rating_group, key.service_ids, key.unit, key.direction


def key_of(row: Sequence[Any]) -> ChargeKey:
    """A key from its JSON array."""
    service, rating_group, service_ids, unit, direction = row
    return ChargeKey(service, rating_group, tuple(service_ids), unit, direction)
