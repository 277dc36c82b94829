"""
Calendars: at which wall-clock times of a tariff's zone a rate applies.

Every condition given must hold: weekday, month, day of the month, date, time of day.  The time of day is
half-open and read from the wall clock, so that 08:00 stays 08:00 in summer and winter; a time that the
clock skips in spring never occurs, one that it repeats in autumn occurs twice.  `from` later than `until`
runs over midnight, and the hours after midnight belong to the day on which they began.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from rating.findings import Findings, closest
from rating.travel import remade

DAY_S = 86_400
FIRST_YEAR, LAST_YEAR = 2000, 2099
CALENDARS_MAX = 500
WEIGHT_MAX = 1_000

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
KEYS = ("name", "weekdays", "months", "days", "dates", "except_dates", "from", "until", "weight")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_CLOCK = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DATE = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})", re.ASCII)

Day = tuple[int, int, int]
"""Year (0: every year), month, day."""


@dataclass(frozen=True)
class Calendar:
    """
    When a rate applies; empty conditions hold always.  The greatest weight wins where several apply.
    """

    name: str
    weekdays: frozenset[int] = frozenset()  # 0 is Monday
    months: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    dates: frozenset[Day] = frozenset()
    except_dates: frozenset[Day] = frozenset()
    from_s: int = 0
    until_s: int = DAY_S
    weight: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return remade(self)

    def applies(self, local: datetime) -> bool:
        """Say whether it applies at this wall-clock time."""
        clock_s = local.hour * 3_600 + local.minute * 60 + local.second
        if self.from_s < self.until_s:
            return self.from_s <= clock_s < self.until_s and self.applies_on(local.date())
        if clock_s >= self.from_s:
            return self.applies_on(local.date())
        return clock_s < self.until_s and self.applies_on(local.date() - timedelta(days=1))

    def applies_on(self, day: date) -> bool:
        """Say whether its days include this one."""
        if self.weekdays and day.weekday() not in self.weekdays:
            return False
        if self.months and day.month not in self.months:
            return False
        if self.days and day.day not in self.days:
            return False
        if self.dates and not _includes(self.dates, day):
            return False
        return not (self.except_dates and _includes(self.except_dates, day))

    @cached_property
    def clock_changes_s(self) -> frozenset[int]:
        """The wall-clock times, in seconds after midnight, at which it may begin or cease to apply."""
        return frozenset({0, self.from_s, self.until_s % DAY_S})

    def to_table(self) -> dict[str, Any]:
        """Write it as `parse_calendars` reads it, in canonical order."""
        table: dict[str, Any] = {"name": self.name}
        if self.weekdays:
            table["weekdays"] = [WEEKDAYS[number] for number in sorted(self.weekdays)]
        for key in ("months", "days"):
            if getattr(self, key):
                table[key] = sorted(getattr(self, key))
        for key in ("dates", "except_dates"):
            if getattr(self, key):
                table[key] = [_format_day(day) for day in sorted(getattr(self, key))]
        if self.from_s:
            table["from"] = _format_clock(self.from_s)
        if self.until_s != DAY_S:
            table["until"] = _format_clock(self.until_s)
        table["weight"] = self.weight
        return table


def _includes(days: frozenset[Day], day: date) -> bool:
    return (day.year, day.month, day.day) in days or (0, day.month, day.day) in days


def parse_calendars(tables: Any, where: str, findings: Findings) -> dict[str, Calendar]:
    """Read the `[[tariff.calendar]]` tables; mistakes go to the findings."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        findings.error(where, "calendar", "expected [[tariff.calendar]] tables")
        return {}
    if len(tables) > CALENDARS_MAX:
        findings.error(where, "calendar", f"{len(tables)} calendars, at most {CALENDARS_MAX}")
        return {}
    calendars: dict[str, Calendar] = {}
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            findings.error(f"{where}: calendar {number}", "name", "missing or not a name", "letters, digits, _ . -")
            continue
        here = f"{where}: calendar {name}"
        if name in calendars:
            findings.error(here, "name", "given twice")
        calendars[name] = parse_calendar(table, here, findings)
    return calendars


def parse_calendar(table: dict[str, Any], where: str, findings: Findings) -> Calendar:
    """Read one calendar table, whose name is known to be good."""
    for key in table:
        if key not in KEYS:
            findings.error(where, str(key), "unknown key", closest(str(key), KEYS))

    def taken(key: str, parse: Callable[[Any], Any]) -> frozenset[Any]:
        values = table.get(key, [])
        if not isinstance(values, list) or (key in table and not values):
            findings.error(where, key, "expected a list with at least one value", "leave it out to include all")
            return frozenset()
        parsed = set()
        for value in values:
            try:
                parsed.add(parse(value))
            except ValueError as error:
                findings.error(where, key, str(error))
        return frozenset(parsed)

    def clock(key: str, absent: int) -> int:
        try:
            return _parse_clock(table[key]) if key in table else absent
        except ValueError as error:
            findings.error(where, key, str(error), "such as 08:00, at most 24:00")
            return absent

    weight = table.get("weight", 1)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= WEIGHT_MAX:
        findings.error(
            where, "weight", f"{weight!r:.40}: expected 1 to {WEIGHT_MAX}", "a rate without calendar weighs 0"
        )
        weight = 1
    from_s, until_s = clock("from", 0), clock("until", DAY_S)
    if from_s == DAY_S:
        findings.error(where, "from", "24:00 is the end of a day", "use 00:00")
    if from_s == until_s:
        findings.error(where, "until", "equals from: the interval is empty", "leave both out for the whole day")
    return Calendar(
        name=table["name"],
        weekdays=taken("weekdays", lambda value: _parse_one_of(value, WEEKDAYS)),
        months=taken("months", _parse_month),
        days=taken("days", lambda value: _parse_number(value, 1, 31)),
        dates=taken("dates", _parse_day),
        except_dates=taken("except_dates", _parse_day),
        from_s=from_s,
        until_s=until_s or DAY_S,
        weight=weight,
    )


def _parse_one_of(value: Any, names: Iterable[str]) -> int:
    names = list(names)
    if value not in names:
        raise ValueError(f"{value!r:.40}: expected one of {', '.join(names)}")
    return names.index(value)


def _parse_month(value: Any) -> int:
    return _parse_one_of(value, MONTHS) + 1 if isinstance(value, str) else _parse_number(value, 1, 12)


def _parse_number(value: Any, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{value!r:.40}: expected a whole number from {lowest} to {highest}")
    return value


def _parse_day(value: Any) -> Day:
    """A date, or month and day for every year."""
    text = value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value
    match = _DATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{value!r:.40}: expected a date such as 2027-01-01, or 01-01 for every year")
    year, month, day = int(match[1] or 0), int(match[2]), int(match[3])
    try:
        date(year or 2000, month, day)  # 2000 is a leap year: 02-29 is a day of some years
    except ValueError:
        raise ValueError(f"{value!r:.40}: no such day") from None
    if match[1] and not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"{value!r:.40}: expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    return year, month, day


def _format_day(day: Day) -> str:
    year, month, number = day
    return f"{year:04d}-{month:02d}-{number:02d}" if year else f"{month:02d}-{number:02d}"


def _parse_clock(value: Any) -> int:
    if isinstance(value, time) and value.tzinfo is None and not value.microsecond:
        return value.hour * 3_600 + value.minute * 60 + value.second
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r:.40}: expected a time of day")
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    clock_s = hour * 3_600 + minute * 60 + second
    if minute > 59 or second > 59 or clock_s > DAY_S:
        raise ValueError(f"{value!r:.40}: no such time of day")
    return clock_s


def _format_clock(clock_s: int) -> str:
    hour, rest = divmod(clock_s, 3_600)
    minute, second = divmod(rest, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}" if second else f"{hour:02d}:{minute:02d}"
