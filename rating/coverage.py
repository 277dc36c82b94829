"""
Gaps and overlaps: a prefix must have exactly one heaviest rate at every instant of its validity.

Days are bits: a calendar's days from 2000 to 2099 are one integer, so that asking whether two calendars
ever meet, or whether several leave a day out, is one operation per stretch of the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rating.calendars import DAY_S, FIRST_YEAR, LAST_YEAR, Calendar, Day
from rating.timetable import BEFORE_ALL_US, SECOND_US, Slot, spans

_FIRST = date(FIRST_YEAR, 1, 1).toordinal()
_DAYS = date(LAST_YEAR, 12, 31).toordinal() - _FIRST + 1
_ALL = (1 << _DAYS) - 1


class Flaw(NamedTuple):
    """
    A wall-clock time at which no rate, or two of equal weight, would be in force.

    `slots` are the positions of the two that meet, empty for a gap.
    """

    slots: tuple[int, ...]
    at: datetime


def find_flaws(slots: Sequence[Slot], zone: ZoneInfo) -> list[Flaw]:
    """
    Look for gaps and overlaps among the slots of one prefix: the first of each kind and pair.

    Times before, between and after all effective dates are no gaps: then the prefix is not in force.
    """
    found: dict[tuple[int, ...], Flaw] = {}
    cut = spans(slots)
    ends = [span.start_us for span in cut[1:]]
    for span, end_us in zip(cut, [*ends, None], strict=True):
        if not span.in_force:
            continue
        window = _window(span.start_us, end_us, zone)
        for flaw in (*_gaps(span.slots, window), *_overlaps(span.slots, window)):
            found.setdefault(flaw.slots, flaw)
    return list(found.values())


def _gaps(slots: Sequence[tuple[int, Calendar | None]], window: int) -> Iterator[Flaw]:
    calendars = [calendar for _, calendar in slots if calendar is not None]
    if len(calendars) < len(slots):
        return
    for clock_s in _clock_starts(calendars):
        covered = 0
        for calendar in calendars:
            covered |= _days_at(calendar, clock_s)
        if window & ~covered:
            yield Flaw((), _moment(window & ~covered, clock_s))
            return


def _overlaps(slots: Sequence[tuple[int, Calendar | None]], window: int) -> Iterator[Flaw]:
    for (one, first), (other, second) in combinations(slots, 2):
        weights = [0 if calendar is None else calendar.weight for calendar in (first, second)]
        if weights[0] != weights[1]:
            continue
        for clock_s in _clock_starts([calendar for calendar in (first, second) if calendar is not None]):
            both = window
            for calendar in (first, second):
                both &= _ALL if calendar is None else _days_at(calendar, clock_s)
            if both:
                yield Flaw(tuple(sorted((one, other))), _moment(both, clock_s))
                break


def _clock_starts(calendars: Sequence[Calendar]) -> list[int]:
    return sorted({0, *(clock_s for calendar in calendars for clock_s in calendar.clock_changes_s)})


def _days_at(calendar: Calendar, clock_s: int) -> int:
    """The days on which the calendar applies at this wall-clock time."""
    days = _days_of(calendar)
    if calendar.from_s < calendar.until_s:
        return days if calendar.from_s <= clock_s < calendar.until_s else 0
    if clock_s >= calendar.from_s:
        return days
    return days << 1 & _ALL if clock_s < calendar.until_s else 0


@lru_cache(2_048)
def _days_of(calendar: Calendar) -> int:
    """The days a calendar includes, its time of day aside."""
    days = _ALL
    for chosen, masks in (
        (calendar.weekdays, _weekday_masks()),
        (calendar.months, _month_masks()),
        (calendar.days, _month_day_masks()),
    ):
        if chosen:
            days &= sum(masks[number] for number in chosen)
    if calendar.dates:
        days &= _mask_of(calendar.dates)
    return days & ~_mask_of(calendar.except_dates)


@lru_cache(1)
def _weekday_masks() -> dict[int, int]:
    return _masks(lambda day: day.weekday())


@lru_cache(1)
def _month_masks() -> dict[int, int]:
    return _masks(lambda day: day.month)


@lru_cache(1)
def _month_day_masks() -> dict[int, int]:
    return _masks(lambda day: day.day)


def _masks(part_of: Callable[[date], int]) -> dict[int, int]:
    bits: dict[int, bytearray] = {}
    for bit in range(_DAYS):
        part = part_of(date.fromordinal(_FIRST + bit))
        bits.setdefault(part, bytearray(_DAYS // 8 + 1))[bit // 8] |= 1 << bit % 8
    return {part: int.from_bytes(field, "little") for part, field in bits.items()}


def _mask_of(days: frozenset[Day]) -> int:
    mask = 0
    for year, month, number in days:
        for each in (year,) if year else range(FIRST_YEAR, LAST_YEAR + 1):
            try:
                mask |= 1 << date(each, month, number).toordinal() - _FIRST
            except ValueError:  # the 29th of February of a common year
                continue
    return mask


def _window(start_us: int, end_us: int | None, zone: ZoneInfo) -> int:
    """The local days a span of time touches."""
    first = 1 if start_us == BEFORE_ALL_US else _bit(start_us, zone)  # the small hours of day 0 belong to a day before
    last = _DAYS if end_us is None else min(_bit(end_us - 1, zone) + 1, _DAYS)
    return (1 << last) - (1 << first) & _ALL


def _bit(at_us: int, zone: ZoneInfo) -> int:
    day = datetime.fromtimestamp(at_us // SECOND_US, UTC).astimezone(zone).date()
    return max(1, min(day.toordinal() - _FIRST, _DAYS))


def _moment(days: int, clock_s: int) -> datetime:
    """The first of these days, at this wall-clock time."""
    bit = (days & -days).bit_length() - 1
    midnight = datetime.fromordinal(_FIRST + bit)
    return midnight + timedelta(seconds=clock_s % DAY_S)
