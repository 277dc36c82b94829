"""
How much can be granted for given funds: the exact inverse of `price`, in closed form per run of pulses.
"""

from __future__ import annotations

from rating.buckets import MONEY, Parts
from rating.money import largest_rounding_to
from rating.plan import Flat, PricedRate, Pricing, RatePlan
from rating.price import anchors, stretches
from rating.runs import runs
from rating.units import MILLI


def grant(
    plan: RatePlan, earliest_us: int, latest_us: int, funds_micro: int | None, cap: int, parts: Parts = ()
) -> int:
    """
    Find the largest whole number of units, at most `cap`, whose price the funds cover (S3, S15).

    A maximum charge that stops the call bounds it too.  Units within grace cost nothing, yet are only
    granted to funds that could also pay a call which outlives its grace.

    Args:
        earliest_us: First possible anchor; with `latest_us` equal to it the anchor is known.
        funds_micro: None for unlimited funds.

    Guarantees:
        held_price(result) <= funds, and held_price(result + 1) > funds when the result is below the cap
        for want of money (tests/property/test_rating_grant.py).
    """
    if cap <= 0 or plan.blocked:
        return 0
    if plan.is_free:
        return cap
    if funds_micro is not None and funds_micro < 0:
        funds_micro = 0
    pricing = plan.pricing
    if pricing.flat is not None and not parts:
        return _grant_flat(pricing, pricing.flat, funds_micro, cap)
    if latest_us <= earliest_us or pricing.only is not None:
        return _grant_at(pricing, earliest_us, funds_micro, cap, parts)
    return min(
        _grant_at(pricing, anchor_us, funds_micro, cap, parts) for anchor_us in anchors(plan, earliest_us, latest_us)
    )


def _grant_flat(pricing: Pricing, flat: Flat, funds_micro: int | None, cap: int) -> int:
    """The same for a rate with one step and money alone: two divisions."""
    if funds_micro is None:
        return cap
    initial_m, next_m, initial_num, next_num, minimum_num, fee_num = flat
    limit = largest_rounding_to(funds_micro // pricing.grid_micro, pricing.grid_den, pricing.mode) - fee_num
    if limit < minimum_num or limit < initial_num:
        return 0
    if not next_num:
        return cap
    total = (initial_m + (limit - initial_num) // next_num * next_m) // MILLI
    return total if total < cap else cap


def _grant_at(pricing: Pricing, anchor_us: int, funds_micro: int | None, cap: int, parts: Parts) -> int:
    first = pricing.only or pricing.rate_at(anchor_us)
    limit = _spendable(pricing, first, funds_micro)
    if limit is None:
        return cap
    if not parts or parts[0][0] == MONEY:
        if limit < first.fee_num + first.minimum_num:
            return 0
        limit -= first.fee_num
    reach = _reach(pricing, anchor_us, limit, max(cap, first.grace), parts)
    if reach < first.grace:
        return 0
    return min(reach, cap)


def _spendable(pricing: Pricing, first: PricedRate, funds_micro: int | None) -> int | None:
    """The largest exact charge that the funds cover once rounded; None: any usage is covered."""
    limit = None
    if funds_micro is not None:
        limit = largest_rounding_to(funds_micro // pricing.grid_micro, pricing.grid_den, pricing.mode)
    maximum = first.maximum_num
    if maximum is not None and (limit is None or maximum <= limit):
        return maximum if first.stops else None
    return limit


def _reach(pricing: Pricing, anchor_us: int, limit: int, cap: int, parts: Parts) -> int:
    """How far money for pulses worth `limit` carries; units paid by buckets are passed over."""
    for start_m, end_m in stretches(parts, cap):
        for _, _, position_m, length_m, count, num in runs(pricing, anchor_us, start_m, end_m):
            cost = count * num
            if cost > limit:
                return (position_m + limit // num * length_m) // MILLI
            limit -= cost
    return cap


def align(plan: RatePlan, anchor_us: int, units: int, parts: Parts = ()) -> int:
    """
    Extend units to the end of the pulse they end in, rounded down to whole units (S6).

    Units that end inside a bucket's part stay as they are: buckets are held in whole pulses of their own.
    """
    if units <= 0:
        return 0
    if plan.blocked:
        return units
    flat = plan.pricing.flat
    if flat is not None and not parts:
        initial_m, next_m = flat[0], flat[1]
        if units * MILLI <= initial_m:
            return initial_m // MILLI
        return (initial_m - (initial_m - units * MILLI) // next_m * next_m) // MILLI
    *_, (start_m, end_m) = stretches(parts, units) or ((0, 0),)
    if end_m != units * MILLI:
        return units
    *_, (_, _, position_m, length_m, count, _) = runs(plan.pricing, anchor_us, start_m, end_m)
    aligned = (position_m + count * length_m) // MILLI
    position = 0
    for source, size in parts:
        if source != MONEY and position >= units:
            return min(aligned, position)
        position += size
    return aligned
