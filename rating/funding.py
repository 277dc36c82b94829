"""
Extend and settle funding plans: buckets first, money after (SEMANTICS S4, S16).

A plan only ever grows at its end.  Usage consumes it from its start, so what a call costs is a function
of the plan, the anchor and the usage, however it was reported.  A bucket covers whole pulses of its own;
where it ends the tariff's pulses begin anew, while steps by position go on counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rating.buckets import MONEY, Bucket, Part, Parts
from rating.grant import align, grant
from rating.plan import RatePlan
from rating.price import held_price, price
from rating.timetable import SECOND_US

__all__ = ["MONEY", "Bucket", "Funding", "Part", "Parts", "Settlement", "fund", "settle", "truncate"]


class Funding(NamedTuple):
    """
    A funding plan after it was extended.

    `total` is what may be used, `held_micro` the price of it, `taken` the bucket units newly held.  The
    last part may reach beyond the total, since a bucket covers whole pulses.
    """

    parts: Parts
    total: int
    held_micro: int
    taken: tuple[tuple[int, int], ...] = ()


class Settlement(NamedTuple):
    """
    What a line costs in the end.

    `consumed` is its plan as it was used, sources in order; `returned` are the units of each bucket that
    were held and not used.  A bucket may have given more than was held, for usage beyond the plan.
    """

    amount_micro: int
    consumed: Parts
    returned: tuple[tuple[int, int], ...] = ()


def fund(
    plan: RatePlan,
    earliest_us: int,
    latest_us: int,
    parts: Parts,
    buckets: Sequence[Bucket],
    funds_micro: int | None,
    cap: int,
    destination: str = "",
) -> Funding:
    """
    Extend a plan to the largest total that buckets and funds cover, at most `cap`.

    Args:
        parts: The plan so far; a line of money alone that was granted before passes `((MONEY, granted),)`
            when buckets may follow.
        buckets: Those of the account and its pools; their `reserved` contains what `parts` holds.
        funds_micro: What may be held for the whole line, its own reservation included; None: unlimited.
        destination: The called number, for the buckets' scopes; without it the matched prefix counts.

    Returns:
        The extended plan; its `parts` are empty when it is money alone.

    Guarantees:
        `parts` is a prefix of the result; held_micro <= funds whenever the total is above 0
        (tests/property/test_rating_funding.py).
    """
    usable = _usable(plan, buckets, destination) if buckets else []
    if not usable and (not parts or all(source == MONEY for source, _ in parts)):
        total = grant(plan, earliest_us, latest_us, funds_micro, cap)
        return Funding((), total, held_price(plan, earliest_us, latest_us, total))
    extended = _extend(plan, earliest_us, parts, usable, cap)
    total = grant(plan, earliest_us, latest_us, funds_micro, cap, extended)
    kept = _cut(extended, max(total, sum(units for _, units in parts)), buckets)
    held_micro = held_price(plan, earliest_us, latest_us, total, kept)
    taken = _differences(kept, parts)
    if all(source == MONEY for source, _ in kept):
        kept = ()
    return Funding(kept, total, held_micro, taken)


def settle(
    plan: RatePlan, anchor_us: int, parts: Parts, used: int, buckets: Sequence[Bucket] = (), destination: str = ""
) -> Settlement:
    """
    Charge a line for what was used and give the rest of its plan back (S4).

    Args:
        buckets: Those the plan names, for their pulses, and those that usage beyond the plan may draw on.

    Guarantees:
        Bucket units are conserved: held + newly drawn == consumed + returned; the amount is
        `price(plan, anchor_us, used, consumed)` (tests/property/test_rating_funding.py).
    """
    if used <= 0 or used < _grace(plan, anchor_us):
        return Settlement(0, (), _differences(parts, ()))
    if not parts:
        return Settlement(price(plan, anchor_us, used), ((MONEY, used),))
    extended = _extend(plan, anchor_us, parts, _usable(plan, buckets, destination), used)
    consumed = _cut(extended, used, buckets)
    return Settlement(price(plan, anchor_us, used, consumed), consumed, _differences(parts, consumed))


def truncate(parts: Parts, used: int, buckets: Sequence[Bucket] = ()) -> Parts:
    """
    Cut a plan to what was used of it: a Diameter line gives unused quota back with each report (S6).

    Args:
        buckets: Those the plan names, since a begun pulse of a bucket stays; without them pulses are 1.
    """
    return _cut(parts, used, buckets)


def _grace(plan: RatePlan, anchor_us: int) -> int:
    return plan.pricing.rate_at(anchor_us).grace


def _usable(plan: RatePlan, buckets: Iterable[Bucket], destination: str) -> list[Bucket]:
    """
    The buckets that may pay for this destination, in spending order (DESIGN section 3).

    Higher priority first, then narrower scope, then soonest expiry, then oldest.  What is free or blocked
    consumes no bucket.
    """
    if plan.is_free or plan.blocked:
        return []
    target = destination or plan.prefix
    ranked = []
    for bucket in buckets:
        if bucket.unit != plan.unit or bucket.service not in ("", plan.service):
            continue
        widths = [len(prefix) for prefix in bucket.scope if target.startswith(prefix)]
        if bucket.scope and not widths:
            continue
        expiry = (bucket.valid_until_us is None, bucket.valid_until_us or 0)
        ranked.append(((-bucket.priority, -max(widths, default=0), not bucket.service, expiry, bucket.id), bucket))
    ranked.sort(key=lambda pair: pair[0])
    return [bucket for _, bucket in ranked]


def _extend(plan: RatePlan, anchor_us: int, parts: Parts, usable: Sequence[Bucket], cap: int) -> Parts:
    """Append sources by spending order until the plan reaches `cap`, as if money had no end."""
    extended = list(parts)
    position = sum(units for _, units in parts)
    left = {bucket.id: bucket.amount - bucket.reserved for bucket in usable}
    while position < cap:
        if extended and extended[-1][0] == MONEY and usable:
            aligned = min(align(plan, anchor_us, position, tuple(extended)), cap)
            if aligned > position:  # the pulse that was begun is paid for
                _append(extended, MONEY, aligned - position)
                position = aligned
                continue
        bucket, limit = _choose(plan, anchor_us, extended, position, usable, left, cap)
        if bucket is None:
            _append(extended, MONEY, limit - position)
            position = limit
        else:
            units = _pulses_until(bucket, _is_continued(bucket, extended), limit - position, left[bucket.id])
            _append(extended, str(bucket.id), units)
            left[bucket.id] -= units
            position += units
    return tuple(extended)


def _choose(
    plan: RatePlan,
    anchor_us: int,
    extended: Sequence[Part],
    position: int,
    usable: Sequence[Bucket],
    left: dict[int, int],
    cap: int,
) -> tuple[Bucket | None, int]:
    """
    The source of the pulse at a position (None: money), and the position from which it must be asked anew.
    """
    is_timed = plan.unit == "seconds"
    at_us = anchor_us + position * SECOND_US if is_timed else anchor_us
    limit = cap
    for bucket in usable:
        first = bucket.pulse[1] if _is_continued(bucket, extended) else bucket.pulse[0]
        if left[bucket.id] < first or (bucket.valid_until_us is not None and at_us >= bucket.valid_until_us):
            continue
        if bucket.valid_from_us is not None and at_us < bucket.valid_from_us:
            if is_timed:
                limit = min(limit, _position_of(bucket.valid_from_us, anchor_us))
            continue
        if is_timed and bucket.valid_until_us is not None:
            limit = min(limit, _position_of(bucket.valid_until_us, anchor_us))
        return bucket, limit
    return None, limit


def _position_of(at_us: int, anchor_us: int) -> int:
    """The first whole second of the call at or after an instant."""
    return -((anchor_us - at_us) // SECOND_US)


def _is_continued(bucket: Bucket, extended: Sequence[Part]) -> bool:
    return bool(extended) and extended[-1][0] == str(bucket.id)


def _pulses_until(bucket: Bucket, is_continued: bool, limit: int, left: int) -> int:
    """The units of the bucket's whole pulses that begin within `limit` and that it can cover."""
    initial, following = bucket.pulse
    first = following if is_continued else initial
    wanted = max(0, -((first - limit) // following))
    covered = (left - first) // following
    return first + min(wanted, covered) * following


def _append(extended: list[Part], source: str, units: int) -> None:
    if extended and extended[-1][0] == source:
        extended[-1] = (source, extended[-1][1] + units)
    else:
        extended.append((source, units))


def _cut(parts: Parts, used: int, buckets: Sequence[Bucket]) -> Parts:
    """The beginning of a plan that covers `used` units; a bucket's begun pulse is kept whole."""
    pulses = {str(bucket.id): bucket.pulse for bucket in buckets}
    kept: list[Part] = []
    for source, units in parts:
        if used <= 0:
            break
        if units > used:
            initial, following = pulses.get(source, (1, 1)) if source != MONEY else (1, 1)
            units = min(units, initial + max(0, -((initial - used) // following)) * following)  # noqa: PLW2901
        kept.append((source, units))
        used -= units
    return tuple(kept)


def _differences(more: Parts, less: Parts) -> tuple[tuple[int, int], ...]:
    """Per bucket, in order, the units by which one plan holds more than another, where it does."""
    units: dict[str, int] = {}
    for source, size in more:
        units[source] = units.get(source, 0) + size
    for source, size in less:
        units[source] = units.get(source, 0) - size
    return tuple((int(source), size) for source, size in units.items() if source != MONEY and size > 0)
