"""
Which rate is in force when: calendars and effective dates turned into instants.

Zone arithmetic is slow, so a timetable works it out once per UTC day: the instants of that day at which
another rate comes into force.  A day's candidates are every wall-clock time a calendar mentions, under
both readings of a repeated hour, every shift of the zone's offset, and every effective date; which rate
applies is then asked of the calendars themselves at each candidate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rating.calendars import Calendar

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
DAYS_CACHED_MAX = 2_048
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEFORE_ALL_US = -(2**63)


class Slot(NamedTuple):
    """
    When one rate applies: its calendar (None: always) within its validity.

    A slot of higher rank counts only where no slot of lower rank is valid: rates of shorter prefixes
    stand in for a longer one before and after its own effective dates.
    """

    calendar: Calendar | None
    valid_from_us: int | None = None
    valid_until_us: int | None = None
    rank: int = 0

    def is_valid(self, at_us: int) -> bool:
        """Say whether its effective dates include this instant (half-open)."""
        if self.valid_from_us is not None and at_us < self.valid_from_us:
            return False
        return self.valid_until_us is None or at_us < self.valid_until_us

    @property
    def weight(self) -> int:
        return 0 if self.calendar is None else self.calendar.weight


class Span(NamedTuple):
    """A stretch of time in which the same slots are valid; the slots, heaviest first, with their numbers."""

    start_us: int
    slots: tuple[tuple[int, Calendar | None], ...]
    in_force: bool


class Timetable:
    """
    Says which of several rates is in force at an instant, and until when.

    Where no rate is valid, the one before stays in force, so that a call which outlives a tariff still has
    a price; `in_force` tells these times apart.

    Args:
        slots: One per rate; the answers are their positions.
    """

    __slots__ = ("_days", "_spans", "_starts", "_zone")

    def __init__(self, zone: ZoneInfo, slots: Sequence[Slot]) -> None:
        self._zone = zone
        self._spans = spans(slots)
        self._starts = [span.start_us for span in self._spans]
        self._days: dict[int, tuple[list[int], list[int]]] = {}

    def at(self, at_us: int) -> tuple[int, int]:
        """Give the rate in force at an instant, and until when that answer is good at least."""
        day = at_us // DAY_US
        starts, numbers = self._days.get(day) or self._make_day(day)
        place = bisect_right(starts, at_us)
        return numbers[place - 1], starts[place]

    def in_force(self, at_us: int) -> bool:
        """Say whether any rate is valid at this instant."""
        return self._span_at(at_us).in_force

    def changes(self, from_us: int, until_us: int) -> list[int]:
        """The instants in (from, until) at which another rate comes into force."""
        found = []
        number, at_us = self.at(from_us)
        while at_us < until_us:
            following, end_us = self.at(at_us)
            if following != number:
                found.append(at_us)
            number, at_us = following, end_us
        return found

    def _span_at(self, at_us: int) -> Span:
        return self._spans[bisect_right(self._starts, at_us) - 1]

    def _make_day(self, day: int) -> tuple[list[int], list[int]]:
        """Work out one UTC day: instants, ascending and closed by the day's end, and the rate from each."""
        begin_us, end_us = day * DAY_US, (day + 1) * DAY_US
        starts: list[int] = []
        numbers: list[int] = []
        for at_us in sorted(self._candidates(begin_us, end_us)):
            number = self._number_at(at_us)
            if not numbers or numbers[-1] != number:
                starts.append(at_us)
                numbers.append(number)
        starts.append(end_us)
        if len(self._days) >= DAYS_CACHED_MAX:
            self._days.clear()
        self._days[day] = starts, numbers
        return starts, numbers

    def _number_at(self, at_us: int) -> int:
        slots = self._span_at(at_us).slots
        local = _local(at_us, self._zone)
        for number, calendar in slots:
            if calendar is None or calendar.applies(local):
                return number
        return slots[-1][0]

    def _candidates(self, begin_us: int, end_us: int) -> set[int]:
        found = {begin_us, *_offset_shifts(begin_us, end_us, self._zone)}
        found.update(start_us for start_us in self._starts if begin_us < start_us < end_us)
        clocks_s: set[int] = set()
        for start_us, span in zip(self._starts, self._spans, strict=True):
            if start_us < end_us:
                clocks_s.update(*(calendar.clock_changes_s for _, calendar in span.slots if calendar is not None))
        first, last = _local(begin_us, self._zone).date(), _local(end_us, self._zone).date()
        for shift in range((last - first).days + 1):
            for clock_s in clocks_s:
                found.update(_instants(first + timedelta(days=shift), clock_s, self._zone))
        return {at_us for at_us in found if begin_us <= at_us < end_us}


def spans(slots: Sequence[Slot]) -> list[Span]:
    """
    Cut time at the effective dates of these slots.

    Where none is valid the slots of the span before count, at the beginning those of the first that is.
    """
    edges = {edge for slot in slots for edge in (slot.valid_from_us, slot.valid_until_us) if edge is not None}
    found: list[Span] = []
    for start_us in (BEFORE_ALL_US, *sorted(edges)):
        valid = [(number, slot) for number, slot in enumerate(slots) if slot.is_valid(start_us)]
        rank = min((slot.rank for _, slot in valid), default=0)
        heaviest = sorted((pair for pair in valid if pair[1].rank == rank), key=lambda pair: -pair[1].weight)
        chosen = tuple((number, slot.calendar) for number, slot in heaviest)
        if not chosen and found:
            found.append(Span(start_us, found[-1].slots, in_force=False))
        else:
            found.append(Span(start_us, chosen, in_force=bool(chosen)))
    if not found[0].slots:
        found[0] = Span(BEFORE_ALL_US, found[1].slots, in_force=False)
    return found


def _local(at_us: int, zone: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def _instants(day: date, clock_s: int, zone: ZoneInfo) -> list[int]:
    """When the clock shows this time: two instants when it is repeated, neighbouring ones when skipped."""
    naive = datetime(day.year, day.month, day.day) + timedelta(seconds=clock_s)  # noqa: DTZ001
    return [(naive.replace(tzinfo=zone, fold=fold) - EPOCH) // timedelta(microseconds=1) for fold in (0, 1)]


def _offset_shifts(begin_us: int, end_us: int, zone: ZoneInfo) -> list[int]:
    """The instants of a day at which the zone's offset changes, found to the second."""
    shifts = []
    for hour_us in range(begin_us, end_us, HOUR_US):
        low_us, high_us = hour_us, hour_us + HOUR_US
        before = _local(low_us, zone).utcoffset()
        if before == _local(high_us, zone).utcoffset():
            continue
        while high_us - low_us > SECOND_US:
            middle_us = low_us + (high_us - low_us) // (2 * SECOND_US) * SECOND_US
            if _local(middle_us, zone).utcoffset() == before:
                low_us = middle_us
            else:
                high_us = middle_us
        shifts.append(high_us)
    return shifts
