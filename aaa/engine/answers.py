"""
What a decision answers: units granted, a refusal with its reason, or that a report was taken.

Answers are kept with the session they belong to, so that a repeated request gets the same one (S7).
"""

from __future__ import annotations

from enum import StrEnum

from aaa.engine.terms import ChargeKey, Reason
from aaa.value import Value


class LineGrant(Value, frozen=True):
    """What one line got: `told` counts as the client counts, `total` since the line began."""

    key: ChargeKey
    told: int
    total: int
    validity_s: int = 0
    is_final: bool = False
    is_free: bool = False
    cost_micro: int = 0  # price of what is used so far
    switch_us: int = 0  # when the price changes; the grant that follows is for what is used from then on


class LineDenial(Value, frozen=True):
    """Why one line got nothing (result code at MSCC level)."""

    key: ChargeKey
    reason: Reason
    cost_micro: int = 0


class Grant(Value, frozen=True):
    """
    Allowed: every line with what it got (S6).  `shown_micro` is the balance a person would be shown.
    """

    session_id: int
    lines: tuple[LineGrant | LineDenial, ...]
    shown_micro: int
    currency: str
    number: int = 0  # counts the grants of the session; the State of a RADIUS answer names it


class Denial(Value, frozen=True):
    """Refused as a whole, with the reason; moves nothing."""

    reason: Reason
    detail: str = ""
    session_id: int = 0
    shown_micro: int = 0
    currency: str = ""


class Outcome(StrEnum):
    """What became of a command that asks for no units."""

    __hash__ = str.__hash__

    DONE = "done"
    REPEAT = "repeat"
    IGNORED = "ignored"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    UNRATED = "unrated"


class Ack(Value, frozen=True):
    """
    Taken: usage noted, session ended or money moved.

    `cost_micro` is the charge of the session so far, `balance_micro` the account's after it.
    """

    outcome: Outcome
    session_id: int = 0
    cost_micro: int = 0
    balance_micro: int = 0
    currency: str = ""
    lines: tuple[LineGrant | LineDenial, ...] = ()


Answer = Grant | Denial | Ack
