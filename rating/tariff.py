"""
One immutable tariff version: finds the rate plan of a destination.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from rating.calendars import Calendar
from rating.plan import Pricing, Rate, RatePlan
from rating.prefixes import PrefixTable
from rating.timetable import Slot, Timetable
from rating.units import UNIT_OF_SERVICE

FALLBACK_DEPTH_MAX = 4
PLANS_CACHED_MAX = 50_000


class TableKey(NamedTuple):
    """What a table of prefixes is for; empty direction and no rating group stand for any."""

    service: str
    unit: str
    direction: str = ""
    rating_group: int | None = None


class Name(NamedTuple):
    """What a prefix is called, and the class that limits refer to."""

    destination: str
    destination_class: str = ""


class Tariff:
    """
    One version of a tariff, never changed after it was loaded.

    Attributes:
        version: Id of the version; what was granted under it keeps it (S17).
        mode, decimals: The rounding of its charges.
        fallback: Name of the tariff asked when this one lists nothing, or empty.
    """

    def __init__(
        self,
        name: str,
        version: int,
        currency: str,
        timezone: str,
        mode: str,
        decimals: int,
        fallback: str,
        rate_sets: Sequence[tuple[Rate, ...]],
        names: Sequence[Name],
        tables: dict[TableKey, PrefixTable],
        calendars: dict[str, Calendar],
    ) -> None:
        self.name = name
        self.version = version
        self.currency = currency
        self.timezone = timezone
        self.mode = mode
        self.decimals = decimals
        self.fallback = fallback
        self.fallbacks: tuple[Tariff, ...] = ()
        self._rate_sets = rate_sets
        self._names = names
        self._tables = tables
        self._calendars = calendars
        self._zone = ZoneInfo(timezone)
        self._timetables: dict[tuple[Slot, ...], Timetable] = {}
        self._directions = {key.direction for key in tables}
        self._rating_groups = {key.rating_group for key in tables}
        self._orders: dict[tuple[str, str, int | None, str], tuple[tuple[TableKey, PrefixTable], ...]] = {}
        self._pricings: dict[tuple[tuple[int, ...], str], Pricing | None] = {}
        self._plans: dict[tuple[TableKey, int], RatePlan] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._made_from(), self.fallbacks)

    def _made_from(self) -> tuple[Any, ...]:
        """What makes it again, but for its fallbacks."""
        return (
            self.name,
            self.version,
            self.currency,
            self.timezone,
            self.mode,
            self.decimals,
            self.fallback,
            self._rate_sets,
            self._names,
            self._tables,
            self._calendars,
        )

    def find(
        self,
        service: str,
        destination: str,
        direction: str = "",
        rating_group: int | None = None,
        unit: str = "",
        at_us: int | None = None,
    ) -> RatePlan | None:
        """
        Find the plan of a destination: longest prefix, then the catch-all, then the fallback tariffs.

        Rates listed for the rating group come before those for any, then rates listed for the direction
        before those for any; among prefixes of one list the longest wins.

        Args:
            unit: Only rates in this unit; without it the service's own unit comes first.
            at_us: Only plans with a rate that is in force then.
        """
        for key, table in self._order(service, direction, rating_group, unit):
            found = table.match(destination)
            if found is not None:
                plan = self._plans.get((key, found)) or self._make_plan(key, table, found)
                if at_us is None or plan.blocked or plan.in_force(at_us):
                    return plan
        for tariff in self.fallbacks:
            found_plan = tariff.find(service, destination, direction, rating_group, unit, at_us)
            if found_plan is not None:
                return found_plan
        return None

    def with_fallbacks(self, newest: Callable[[str], Tariff | None]) -> Tariff:
        """
        Resolve the chain of fallback tariffs, at most four deep.

        Args:
            newest: Gives the version of a tariff that is in force, by name.

        Raises:
            ValueError: The chain is circular or too long, misses a tariff, or mixes currencies.
        """
        chain: list[Tariff] = []
        names = [self.name]
        tail = self
        while tail.fallback:
            if tail.fallback in names:
                raise ValueError(f"tariff {self.name}: fallback is circular: {' -> '.join([*names, tail.fallback])}")
            if len(chain) == FALLBACK_DEPTH_MAX:
                raise ValueError(f"tariff {self.name}: more than {FALLBACK_DEPTH_MAX} fallbacks: {' -> '.join(names)}")
            found = newest(tail.fallback)
            if found is None:
                raise ValueError(f"tariff {tail.name}: fallback tariff {tail.fallback!r} has no active version")
            if found.currency != self.currency:
                raise ValueError(
                    f"tariff {self.name} is in {self.currency}, its fallback {found.name} in {found.currency}"
                )
            chain.append(found)
            names.append(found.name)
            tail = found
        if not chain:
            return self
        return _made(self._made_from(), tuple(chain))

    def _order(
        self, service: str, direction: str, rating_group: int | None, unit: str
    ) -> tuple[tuple[TableKey, PrefixTable], ...]:
        """The tables to ask, most specific first; cached for the few combinations the tariff knows."""
        if direction not in self._directions:
            direction = ""
        if rating_group not in self._rating_groups:
            rating_group = None
        wanted = (service, direction, rating_group, unit)
        order = self._orders.get(wanted)
        if order is None:
            if service not in UNIT_OF_SERVICE:
                return ()
            order = self._find_order(service, direction, rating_group, unit)
            self._orders[wanted] = order
        return order

    def _find_order(
        self, service: str, direction: str, rating_group: int | None, unit: str
    ) -> tuple[tuple[TableKey, PrefixTable], ...]:
        usual = UNIT_OF_SERVICE[service]
        units = (unit,) if unit else (usual, *sorted({"seconds", "octets", "events"} - {usual}))
        keys = dict.fromkeys(
            TableKey(service, unit, way, group)
            for group in (rating_group, None)
            for way in (direction, "")
            for unit in units
        )
        return tuple((key, self._tables[key]) for key in keys if key in self._tables)

    def _make_plan(self, key: TableKey, table: PrefixTable, found: int) -> RatePlan:
        name = self._names[table.name(found)]
        plan = RatePlan(
            prefix=table.prefix(found),
            destination=name.destination,
            destination_class=name.destination_class,
            service=key.service,
            unit=key.unit,
            pricing=self._pricing(key, table, found),
            tariff=self.name,
            tariff_version=self.version,
            currency=self.currency,
            timezone=self.timezone,
        )
        if len(self._plans) >= PLANS_CACHED_MAX:
            self._plans.clear()
        self._plans[key, found] = plan
        return plan

    def _pricing(self, key: TableKey, table: PrefixTable, found: int) -> Pricing | None:
        """The pricing of a prefix; None when it is blocked.  Prefixes of one rate set share it."""
        numbers = self._rate_sets_of(table, found)
        cached = (numbers, key.unit)
        if cached not in self._pricings:
            if len(self._pricings) >= PLANS_CACHED_MAX:
                self._pricings.clear()
            rates = [(rank, rate) for rank, number in enumerate(numbers) for rate in self._rate_sets[number]]
            self._pricings[cached] = self._make_pricing(rates, key.unit) if rates else None
        return self._pricings[cached]

    def _rate_sets_of(self, table: PrefixTable, found: int) -> tuple[int, ...]:
        """
        The rate sets that price a prefix: its own and, where its effective dates leave times out, those
        of the shorter prefixes that stand in then.
        """
        numbers: list[int] = []
        place: int | None = found
        while place is not None:
            number = table.rate_set(place)
            rates = self._rate_sets[number]
            if not rates and numbers:
                break  # a blocked prefix stands in for nothing
            numbers.append(number)
            if not rates or any(rate.valid_from_us is None and rate.valid_until_us is None for rate in rates):
                break
            place = table.shorter(place)
        return tuple(numbers)

    def _make_pricing(self, ranked: list[tuple[int, Rate]], unit: str) -> Pricing:
        rates = tuple(rate for _, rate in ranked)
        slots = tuple(
            Slot(
                self._calendars[rate.calendar] if rate.calendar else None, rate.valid_from_us, rate.valid_until_us, rank
            )
            for rank, rate in ranked
        )
        timetable = None
        if slots != (Slot(None),):
            timetable = self._timetables.get(slots) or Timetable(self._zone, slots)
            self._timetables[slots] = timetable
        return Pricing(rates, timetable, unit, self.mode, self.decimals)


def _made(made_from: tuple[Any, ...], fallbacks: tuple[Tariff, ...]) -> Tariff:
    """A tariff once more, with these fallbacks; also in another process."""
    tariff = Tariff(*made_from)
    tariff.fallbacks = fallbacks
    return tariff
