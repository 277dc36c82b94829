"""
Extend and settle funding plans: buckets first, money after (SEMANTICS S4, S16).
"""

from __future__ import annotations

from typing import NamedTuple

from rating.buckets import MONEY, Bucket, Part, Parts
from rating.grant import grant
from rating.plan import RatePlan
from rating.price import held_price, price

__all__ = ["MONEY", "Bucket", "Funding", "Part", "Parts", "Settlement", "fund", "settle", "truncate"]


class Funding(NamedTuple):
    """
    A funding plan after it was extended.

    `held_micro` is the price of the whole plan's money; `taken` are the bucket units newly held.
    """

    parts: Parts
    total: int
    held_micro: int
    taken: tuple[tuple[int, int], ...] = ()


class Settlement(NamedTuple):
    """What a line costs in the end: money, units per source in plan order, bucket units given back."""

    amount_micro: int
    consumed: tuple[Part, ...]
    returned: tuple[tuple[int, int], ...] = ()
    parts: Parts = ()


def fund(
    plan: RatePlan,
    earliest_us: int,
    latest_us: int,
    parts: Parts,
    buckets: tuple[Bucket, ...],
    funds_micro: int | None,
    cap: int,
) -> Funding:
    """Extend a plan of money alone to the largest total that the funds cover."""
    total = grant(plan, earliest_us, latest_us, funds_micro, cap)
    return Funding((), total, held_price(plan, earliest_us, latest_us, total))


def settle(plan: RatePlan, anchor_us: int, parts: Parts, used: int, buckets: tuple[Bucket, ...] = ()) -> Settlement:
    """Charge a line of money alone for what was used."""
    return Settlement(price(plan, anchor_us, used), ((MONEY, used),) if used > 0 else ())


def truncate(parts: Parts, used: int) -> Parts:
    """Cut a plan to what was used of it (a Diameter line gives unused quota back with each report)."""
    kept: list[Part] = []
    for source, units in parts:
        if used <= 0:
            break
        kept.append((source, min(units, used)))
        used -= units
    return tuple(kept)
