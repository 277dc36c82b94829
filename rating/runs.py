"""
Runs of equal pulses: the one walk through a call that price, grant, align and explain all read.

Usage is charged in whole pulses.  A stretch of money begins with one pulse of the initial size; each
further pulse begins where the one before ended and has the size and price in force at its first
instant, at its position in the call (SEMANTICS S3, S16).  The walk yields runs of pulses that are alike,
so its work follows the number of price changes crossed, never seconds or pulses.

Services that are not measured in time are priced as a whole at their anchor (S4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rating.buckets import MONEY, Parts
from rating.plan import PricedRate, PricedStep, Pricing
from rating.units import MILLI

Run = tuple[PricedRate, PricedStep, int, int, int, int]
"""rate, step, first position_m, length_m of a pulse, number of pulses, numerator of one pulse."""

MICROS_PER_MILLI = 1_000


def money_stretches(parts: Parts, used: int) -> Iterator[tuple[int, int]]:
    """
    Yield what of `used` units is paid with money, as half-open stretches in thousandths.

    Neighbouring money parts are one stretch; usage beyond the plan is money.
    """
    position, begun = 0, None
    for source, units in parts:
        if position >= used:
            break
        if source == MONEY:
            begun = position if begun is None else begun
        elif begun is not None:
            yield begun * MILLI, position * MILLI
            begun = None
        position += units
    else:
        begun = position if begun is None else begun
    if begun is not None and begun < used:
        yield begun * MILLI, used * MILLI


def runs(pricing: Pricing, anchor_us: int, start_m: int, end_m: int) -> Iterable[Run]:
    """
    Walk the pulses that begin in the stretch [start, end), which must not be empty.

    The last pulse may end beyond the stretch: pulses are charged whole.
    """
    rate = pricing.only
    if rate is None or rate.single is None:
        return _walk(pricing, anchor_us, start_m, end_m)
    step = rate.single
    next_m, next_num = step.next_m, step.next_num
    if step.initial_m == next_m:
        return ((rate, step, start_m, next_m, -((start_m - end_m) // next_m), next_num),)
    second_m = start_m + step.initial_m
    first = (rate, step, start_m, step.initial_m, 1, step.initial_num)
    if end_m <= second_m:
        return (first,)
    return first, (rate, step, second_m, next_m, -((second_m - end_m) // next_m), next_num)


def _walk(pricing: Pricing, anchor_us: int, start_m: int, end_m: int) -> Iterator[Run]:
    position_m, is_first = start_m, True
    while position_m < end_m:
        rate, limit_m = _rate_at(pricing, anchor_us, position_m, end_m)
        step = rate.single or rate.step_at(position_m)
        if is_first:
            is_first = False
            yield rate, step, position_m, step.initial_m, 1, step.initial_num
            position_m += step.initial_m
            continue
        if step.until_m is not None and step.until_m < limit_m:
            limit_m = step.until_m
        count = -((position_m - limit_m) // step.next_m)
        yield rate, step, position_m, step.next_m, count, step.next_num
        position_m += count * step.next_m


def _rate_at(pricing: Pricing, anchor_us: int, position_m: int, end_m: int) -> tuple[PricedRate, int]:
    """The rate of a pulse that begins at this position, and the position from which another may apply."""
    timetable = pricing.timetable
    if pricing.only is not None or timetable is None:
        return pricing.rates[0], end_m
    if not pricing.is_timed:
        return pricing.rates[timetable.at(anchor_us)[0]], end_m
    index, until_us = timetable.at(anchor_us + position_m * MICROS_PER_MILLI)
    limit_m = -((anchor_us - until_us) // MICROS_PER_MILLI)
    return pricing.rates[index], min(limit_m, end_m)
