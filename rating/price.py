"""
The only code that knows prices (law L2).

A charge is: nothing for nothing and nothing within grace; else the connect fee plus at least the minimum
charge or the pulses, at most the maximum charge, rounded once to the tariff's decimals (SEMANTICS S15).
Fee and minimum belong to a call that begins on money: a unit bucket that covers its start waives both.
Fee, minimum, maximum and grace are those of the rate in force at the anchor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from rating.buckets import MONEY, Parts
from rating.money import round_ratio
from rating.plan import PricedRate, Pricing, RatePlan
from rating.runs import Run, money_stretches, runs
from rating.units import MILLI


class ChargeLine(NamedTuple):
    """
    One line of a charge, enough to recompute it on paper.

    `kind` is `bucket`, `pulses`, `fee`, `minimum`, `maximum`, `rounding` or `grace`; `amount_micro` is
    exact, and the amounts of all lines sum to the charge.  Pulses tell where they begin (`from_m`,
    thousandths of a unit), how many of which size they are, and at what price.
    """

    kind: str
    amount_micro: Fraction
    source: str = MONEY
    units: int = 0
    from_m: int = 0
    pulses: int = 0
    pulse_m: int = 0
    price_nano: int = 0
    unit_m: int = 0
    calendar: str = ""
    step_from_m: int = 0


class Charge(NamedTuple):
    """A charge with the lines that explain it; `amount_micro` is always what `price` says."""

    amount_micro: int
    lines: tuple[ChargeLine, ...]


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
    flat = pricing.flat
    if flat is not None and not parts:
        initial_m, next_m, num, next_num, minimum_num, fee_num = flat
        if used * MILLI > initial_m:
            num -= (initial_m - used * MILLI) // next_m * next_num
        num = max(num, minimum_num)
        return _rounded(pricing, num + fee_num)
    first = pricing.only or pricing.rate_at(anchor_us)
    if used < first.grace:
        return 0
    num = 0
    for start_m, end_m in stretches(parts, used):
        for run in runs(pricing, anchor_us, start_m, end_m):
            num += run[4] * run[5]
    return _rounded(pricing, _whole(first, num, parts))


def charge(plan: RatePlan, anchor_us: int, used: int, parts: Parts = ()) -> Charge:
    """
    Price the usage of one line and say why: the same walk as `price`, written down.

    Guarantees:
        amount_micro == price(...) == the sum of the lines (tests/property/test_rating_price.py).
    """
    pricing = plan.pricing
    first = pricing.rate_at(anchor_us)
    if used <= 0:
        return Charge(0, ())
    if used < first.grace:
        return Charge(0, (ChargeLine("grace", Fraction(0), units=used, calendar=first.rate.calendar),))
    lines = [*_bucket_lines(parts, used)]
    num = 0
    for start_m, end_m in stretches(parts, used):
        for run in runs(pricing, anchor_us, start_m, end_m):
            num += run[4] * run[5]
            _add_pulses(lines, run, pricing.den)
    lines.sort(key=lambda line: line.from_m)
    lines.extend(_whole_lines(pricing, first, num, parts))
    return Charge(_rounded(pricing, _whole(first, num, parts)), tuple(lines))


def stretches(parts: Parts, used: int) -> Sequence[tuple[int, int]]:
    """What of the usage is paid with money, in thousandths: all of it without a funding plan."""
    return tuple(money_stretches(parts, used)) if parts else ((0, used * MILLI),)


def _begins_on_money(parts: Parts) -> bool:
    return not parts or parts[0][0] == MONEY


def _whole(first: PricedRate, pulses_num: int, parts: Parts) -> int:
    """Add to the pulses what applies to the call as a whole, still exact."""
    num = pulses_num
    if _begins_on_money(parts):
        num = max(num, first.minimum_num) + first.fee_num
    if first.maximum_num is not None and num > first.maximum_num:
        num = first.maximum_num
    return num


def _rounded(pricing: Pricing, num: int) -> int:
    """Round a charge, once, to the tariff's decimals."""
    return round_ratio(num, pricing.grid_den, pricing.mode) * pricing.grid_micro


def _bucket_lines(parts: Parts, used: int) -> Iterator[ChargeLine]:
    position = 0
    for source, units in parts:
        if position >= used:
            return
        if source != MONEY:
            yield ChargeLine("bucket", Fraction(0), source, min(units, used - position), position * MILLI)
        position += units


def _add_pulses(lines: list[ChargeLine], run: Run, den: int) -> None:
    """Write down a run of pulses, joined with the line before when they only continue it."""
    rate, step, from_m, pulse_m, count, num = run
    line = ChargeLine(
        kind="pulses",
        amount_micro=Fraction(count * num, den),
        from_m=from_m,
        pulses=count,
        pulse_m=pulse_m,
        price_nano=step.step.price_nano,
        unit_m=step.step.unit_m,
        calendar=rate.rate.calendar,
        step_from_m=step.from_m,
    )
    last = lines[-1] if lines else None
    if (
        last is not None
        and last.kind == "pulses"
        and last.from_m + last.pulses * last.pulse_m == from_m
        and (*last[6:], line.source) == (*line[6:], last.source)
    ):
        lines[-1] = last._replace(amount_micro=last.amount_micro + line.amount_micro, pulses=last.pulses + count)
    else:
        lines.append(line)


def _whole_lines(pricing: Pricing, first: PricedRate, pulses_num: int, parts: Parts) -> Iterator[ChargeLine]:
    """The lines of what applies to the call as a whole: each is the difference it makes."""
    num, den, calendar = pulses_num, pricing.den, first.rate.calendar
    if _begins_on_money(parts):
        if num < first.minimum_num:
            yield ChargeLine("minimum", Fraction(first.minimum_num - num, den), calendar=calendar)
            num = first.minimum_num
        if first.fee_num:
            yield ChargeLine("fee", Fraction(first.fee_num, den), calendar=calendar)
            num += first.fee_num
    exact = _whole(first, pulses_num, parts)
    if exact != num:
        yield ChargeLine("maximum", Fraction(exact - num, den), calendar=calendar)
    rounding = _rounded(pricing, exact) - Fraction(exact, den)
    if rounding:
        yield ChargeLine("rounding", rounding)


def anchors(plan: RatePlan, earliest_us: int, latest_us: int) -> list[int]:
    """The instants at which a call may have to be priced when its answer lies in this window (S3)."""
    if latest_us <= earliest_us or plan.pricing.only is not None:
        return [earliest_us]
    return [earliest_us, *plan.changes(earliest_us, latest_us), latest_us]


def held_price(plan: RatePlan, earliest_us: int, latest_us: int, units: int, parts: Parts = ()) -> int:
    """Price what must be held for units whose anchor is not known yet: the dearest possible one (S3)."""
    if latest_us <= earliest_us or plan.pricing.only is not None:
        return price(plan, earliest_us, units, parts)
    return max(price(plan, anchor_us, units, parts) for anchor_us in anchors(plan, earliest_us, latest_us))
