"""
Rate finished calls one by one, as bulk rating of call records does: the same prices, no account.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from rating.plan import RatePlan
from rating.price import price
from rating.tariff import Tariff
from rating.timetable import EPOCH, SECOND_US
from rating.units import UNIT_OF_SERVICE

REQUIRED = ("destination", "answered_at", "used")
OPTIONAL = ("service", "direction", "rating_group")
WHOLE_MAX = 2**63 - 1
SECONDS_MAX = 366 * 86_400
"""The longest call that bulk rating believes."""

INSTANT_MAX_US = 7_258_118_400 * SECOND_US  # the year 2200

_UNITS_DIGITS_MAX = 19


class FinishedCall(NamedTuple):
    """One finished call (or transfer, or event) as a record tells it; the number is normalised already."""

    destination: str
    answered_us: int
    used: int
    service: str = "voice"
    direction: str = ""
    rating_group: int | None = None


class RatedCall(NamedTuple):
    """What became of one call: its plan and amount, or why it has none."""

    plan: RatePlan | None
    amount_micro: int = 0
    error: str = ""


def parse_call(fields: Mapping[str, Any]) -> FinishedCall:
    """
    Read a call from the columns of a record.

    Raises:
        ValueError: A column is missing or says nothing; the text names it.
    """
    destination = fields.get("destination")
    if not isinstance(destination, str):
        raise ValueError("destination: missing")
    service = fields.get("service") or "voice"
    if service not in UNIT_OF_SERVICE:
        raise ValueError(f"service: unknown service {service!r:.40}")
    group = fields.get("rating_group")
    return FinishedCall(
        destination,
        _instant(fields.get("answered_at")),
        _whole("used", fields.get("used")),
        service,
        str(fields.get("direction") or ""),
        None if group in (None, "") else _whole("rating_group", group),
    )


def rate_call(tariff: Tariff, call: FinishedCall) -> RatedCall:
    """Rate one call under a tariff; a destination without a price is an error of that call."""
    plan = tariff.find(call.service, call.destination, call.direction, call.rating_group, at_us=call.answered_us)
    if plan is None:
        return RatedCall(None, error="unknown destination")
    if plan.blocked:
        return RatedCall(plan, error="destination blocked")
    if plan.unit == "seconds" and call.used > SECONDS_MAX:
        return RatedCall(plan, error="used: longer than a year")
    return RatedCall(plan, price(plan, call.answered_us, call.used))


def _instant(value: Any) -> int:
    is_text = isinstance(value, str) and value != "" and not value.isdigit()
    at_us = _iso_instant(value) if is_text else _whole("answered_at", value) * SECOND_US
    if not 0 <= at_us < INSTANT_MAX_US:
        raise ValueError(f"answered_at: {value} is not between 1970 and 2200")
    return at_us


@lru_cache(4_096)
def _iso_instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"answered_at: {text!r:.40} is no instant, such as 2026-11-23T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"answered_at: {text!r:.40} has no time zone")
    return (moment - EPOCH) // timedelta(microseconds=1)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _UNITS_DIGITS_MAX:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= WHOLE_MAX:
        raise ValueError(f"{name}: {value!r:.40} is no whole number" if value not in (None, "") else f"{name}: missing")
    return value
