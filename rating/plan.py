"""
What a matched prefix costs: rates as they are written down, and the integers made of them once.

A `Rate` is what a row of a tariff says.  A `Pricing` is one or more rates over a common denominator, so
that pricing a call is integer multiplication and addition and the only division is the last rounding.
A `RatePlan` is a pricing with the prefix it was found under; sessions hold on to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm
from typing import Any, NamedTuple

from rating.money import MICRO_DECIMALS, NANO_DECIMALS, TEN
from rating.timetable import Timetable
from rating.travel import remade

NANO_PER_MICRO = 10 ** (NANO_DECIMALS - MICRO_DECIMALS)


@dataclass(slots=True, frozen=True, order=True)
class Step:
    """
    The price from a position in the call onwards.

    `price_nano` buys `unit_m`; usage is charged in whole pulses, the first one of a stretch of money
    being `initial_m` long, each one after it `next_m`.
    """

    from_m: int
    price_nano: int
    unit_m: int
    initial_m: int
    next_m: int

    def __reduce__(self) -> tuple[Any, ...]:
        return remade(self)


@dataclass(slots=True, frozen=True)
class Rate:
    """
    One rate of a prefix: its steps, what applies to the call as a whole, and when it is in force.

    `calendar` is a name of the tariff's calendars, empty for always; the validity is half-open.  A
    maximum either makes the rest of the call free or, with `stops`, ends it there.
    """

    steps: tuple[Step, ...]
    fee_micro: int = 0
    minimum_micro: int = 0
    maximum_micro: int | None = None
    stops: bool = False
    grace: int = 0
    calendar: str = ""
    valid_from_us: int | None = None
    valid_until_us: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return remade(self)

    @property
    def is_free(self) -> bool:
        return not self.fee_micro and not self.minimum_micro and not any(step.price_nano for step in self.steps)


class PricedStep:
    """A step over the common denominator: what one pulse costs, as a numerator."""

    __slots__ = ("from_m", "initial_m", "initial_num", "next_m", "next_num", "step", "until_m")

    def __init__(self, step: Step, until_m: int | None, den: int) -> None:
        self.step = step
        self.from_m = step.from_m
        self.until_m = until_m
        self.initial_m = step.initial_m
        self.next_m = step.next_m
        self.initial_num = step.initial_m * step.price_nano * den // (step.unit_m * NANO_PER_MICRO)
        self.next_num = step.next_m * step.price_nano * den // (step.unit_m * NANO_PER_MICRO)


class PricedRate:
    """A rate over the common denominator."""

    __slots__ = ("fee_num", "grace", "maximum_num", "minimum_num", "rate", "single", "steps", "stops")

    def __init__(self, rate: Rate, den: int) -> None:
        self.rate = rate
        self.grace = rate.grace
        self.stops = rate.stops
        self.fee_num = rate.fee_micro * den
        self.minimum_num = rate.minimum_micro * den
        self.maximum_num = None if rate.maximum_micro is None else rate.maximum_micro * den
        untils = [step.from_m for step in rate.steps[1:]]
        self.steps = tuple(
            PricedStep(step, until, den) for step, until in zip(rate.steps, [*untils, None], strict=True)
        )
        self.single = self.steps[0] if len(self.steps) == 1 else None

    def step_at(self, position_m: int) -> PricedStep:
        """The step in force at a position."""
        for step in self.steps:
            if step.until_m is None or position_m < step.until_m:
                return step
        raise AssertionError("the last step has no end")


class Flat(NamedTuple):
    """
    What most rates are: one step, no grace, no maximum.

    Numerators over the pricing's denominator, so that a price is one division for the pulses and one for
    the rounding.  `minimum_num` and `fee_num` are 0 where there is none.
    """

    initial_m: int
    next_m: int
    initial_num: int
    next_num: int
    minimum_num: int
    fee_num: int


class Pricing:
    """
    Rates over one denominator, with the timetable that says which one is in force when.

    `den` turns numerators into micro, `grid_den` into the tariff's smallest amount (10^-decimals).
    `only` is the rate of a pricing that has just one, so that pricing needs no clock; else None.
    `flat` is that rate once more where it is as plain as most are; else None.
    """

    __slots__ = (
        "decimals",
        "den",
        "flat",
        "grid_den",
        "grid_micro",
        "is_free",
        "is_timed",
        "mode",
        "only",
        "rates",
        "timetable",
    )

    def __init__(self, rates: tuple[Rate, ...], timetable: Timetable | None, unit: str, mode: str, decimals: int):
        den = 1
        for step in (step for rate in rates for step in rate.steps):
            for pulse_m in (step.initial_m, step.next_m):
                whole = step.unit_m * NANO_PER_MICRO
                den = lcm(den, whole // gcd(whole, pulse_m * step.price_nano))
        self.den = den
        self.mode = mode
        self.decimals = decimals
        self.grid_micro = TEN[MICRO_DECIMALS - decimals]
        self.grid_den = den * self.grid_micro
        self.rates = tuple(PricedRate(rate, den) for rate in rates)
        self.timetable = timetable
        self.only = self.rates[0] if len(rates) == 1 else None
        self.flat = _flat(self.only) if self.only is not None else None
        self.is_timed = unit == "seconds"
        self.is_free = all(rate.is_free for rate in rates)

    def rate_at(self, at_us: int) -> PricedRate:
        """The rate in force at an instant."""
        if self.only is not None or self.timetable is None:
            return self.rates[0]
        return self.rates[self.timetable.at(at_us)[0]]


def _flat(rate: PricedRate) -> Flat | None:
    step = rate.single
    if step is None or rate.grace or rate.maximum_num is not None:
        return None
    return Flat(step.initial_m, step.next_m, step.initial_num, step.next_num, rate.minimum_num, rate.fee_num)


class RatePlan:
    """
    Everything priced for the matched prefix, under all its calendars.

    Cheap to hold, compared by identity.  A blocked plan has no price and is never granted; a free one
    always costs 0 and is granted to an empty account.
    """

    __slots__ = (
        "blocked",
        "currency",
        "destination",
        "destination_class",
        "is_free",
        "prefix",
        "pricing",
        "service",
        "tariff",
        "tariff_version",
        "timezone",
        "unit",
    )

    def __init__(
        self,
        prefix: str,
        destination: str,
        destination_class: str,
        service: str,
        unit: str,
        pricing: Pricing | None,
        tariff: str,
        tariff_version: int,
        currency: str,
        timezone: str,
    ) -> None:
        self.prefix = prefix
        self.destination = destination
        self.destination_class = destination_class
        self.service = service
        self.unit = unit
        self.blocked = pricing is None
        self.pricing = pricing or _NOTHING
        self.is_free = pricing is not None and pricing.is_free
        self.tariff = tariff
        self.tariff_version = tariff_version
        self.currency = currency
        self.timezone = timezone

    def in_force(self, at_us: int) -> bool:
        """Say whether one of its rates is valid at this instant (effective dates)."""
        timetable = self.pricing.timetable
        return not self.blocked and (timetable is None or timetable.in_force(at_us))

    def changes(self, from_us: int, until_us: int) -> list[int]:
        """The instants in (from, until) at which another rate comes into force (Tariff-Time-Change)."""
        timetable = self.pricing.timetable
        return [] if timetable is None else timetable.changes(from_us, until_us)

    def __repr__(self) -> str:
        return f"RatePlan({self.tariff}:{self.tariff_version} {self.prefix or 'any'} {self.destination})"


_NOTHING = Pricing((Rate((Step(0, 0, 1, 1, 1),)),), None, "events", "up", MICRO_DECIMALS)
