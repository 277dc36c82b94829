"""
Unit buckets and funding plans as values: from which source each granted unit is paid (S4, S16).
"""

from __future__ import annotations

from dataclasses import dataclass

MONEY = ""

Part = tuple[str, int]
"""One stretch of a funding plan: source (`MONEY` or a bucket id as text) and the units it covers."""

Parts = tuple[Part, ...]
"""A funding plan, in the order in which usage consumes it; empty means money alone, without an end."""


@dataclass(slots=True, frozen=True)
class Bucket:
    """A unit bucket as the rating core sees it: `amount` are the units left, `reserved` those held."""

    id: int
    account_id: int
    unit: str  # seconds | octets | events
    amount: int
    reserved: int = 0
    priority: int = 0
    scope: tuple[str, ...] = ()  # prefixes; empty: every destination
    service: str = ""  # empty: every service of this unit
    pulse: tuple[int, int] = (1, 1)
    valid_from_us: int | None = None
    valid_until_us: int | None = None
