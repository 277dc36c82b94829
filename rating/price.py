"""
The only code that knows prices (law L2).

A charge is: nothing for nothing and nothing within grace; else the connect fee plus at least the minimum
charge or the pulses, at most the maximum charge, rounded once to the tariff's decimals (SEMANTICS S15).
Fee and minimum belong to a call that begins on money: a unit bucket that covers its start waives both.
Fee, minimum, maximum and grace are those of the rate in force at the anchor.
"""

from __future__ import annotations

from collections.abc import Sequence

from rating.buckets import MONEY, Parts
from rating.money import round_ratio
from rating.plan import PricedRate, Pricing, RatePlan
from rating.runs import money_stretches, runs
from rating.units import MILLI


def price(plan: RatePlan, anchor_us: int, used: int, parts: Parts = ()) -> int:
    """
    Price the usage of one line, in micro.

    Args:
        anchor_us: When the first unit was used.
        used: Whole units since the line began.
        parts: Its funding plan; units covered by buckets cost no money.

    Guarantees:
        Never falls when `used` grows; price(0) == 0 (tests/property/test_rating_price.py).
    """
    if used <= 0 or plan.is_free:
        return 0
    pricing = plan.pricing
    first = pricing.only or pricing.rate_at(anchor_us)
    if used < first.grace:
        return 0
    num = 0
    for start_m, end_m in stretches(parts, used):
        for run in runs(pricing, anchor_us, start_m, end_m):
            num += run[4] * run[5]
    return rounded(pricing, whole_charge(first, num, parts))


def stretches(parts: Parts, used: int) -> Sequence[tuple[int, int]]:
    """What of the usage is paid with money, in thousandths: all of it without a funding plan."""
    return tuple(money_stretches(parts, used)) if parts else ((0, used * MILLI),)


def whole_charge(first: PricedRate, pulses_num: int, parts: Parts) -> int:
    """Add to the pulses what applies to the call as a whole, still exact."""
    num = pulses_num
    if not parts or parts[0][0] == MONEY:
        num = max(num, first.minimum_num) + first.fee_num
    if first.maximum_num is not None and num > first.maximum_num:
        num = first.maximum_num
    return num


def rounded(pricing: Pricing, num: int) -> int:
    """Round a charge, once, to the tariff's decimals."""
    return round_ratio(num, pricing.grid_den, pricing.mode) * pricing.grid_micro


def anchors(plan: RatePlan, earliest_us: int, latest_us: int) -> list[int]:
    """The instants at which a call may have to be priced when its answer lies in this window (S3)."""
    if latest_us <= earliest_us or plan.pricing.timetable is None:
        return [earliest_us]
    return [earliest_us, *plan.changes(earliest_us, latest_us), latest_us]


def held_price(plan: RatePlan, earliest_us: int, latest_us: int, units: int, parts: Parts = ()) -> int:
    """
    Price what must be held for units whose anchor is not known yet: the dearest possible anchor (S3).
    """
    return max(price(plan, anchor_us, units, parts) for anchor_us in anchors(plan, earliest_us, latest_us))
