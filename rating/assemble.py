"""
Rows together: steps become rates, rates become what a prefix says; what does not fit is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from rating.calendars import Calendar
from rating.coverage import Flaw, find_flaws
from rating.document import Entry
from rating.findings import Findings, closest
from rating.money import format_nano
from rating.plan import Rate
from rating.rows import Row, describe_step
from rating.tariff import TableKey
from rating.timetable import Slot

PRICE_JUMP = 10
"""How many times dearer than the first row of the same destination is worth a warning."""

_SHARED_TERMS = (
    ("connect_fee", "fee_micro"),
    ("min_charge", "minimum_micro"),
    ("max_charge", "maximum_micro"),
    ("at_max", "stops"),
    ("grace_s", "grace"),
)


class _When(NamedTuple):
    """What tells the rates of one prefix apart."""

    calendar: str
    valid_from_us: int | None
    valid_until_us: int | None


class Assembly:
    """
    Builds the tables of a tariff from its rows.

    Every kind of contradiction between rows is a finding: duplicates, steps without a first one, terms
    that differ between the steps of one rate, names that differ within a prefix, unknown calendars,
    times without a rate or with two, prices out of line.
    """

    def __init__(self, calendars: Mapping[str, Calendar], zone: ZoneInfo, where: str, findings: Findings) -> None:
        self._calendars = calendars
        self._zone = zone
        self._where = where
        self._findings = findings
        self._flaws: dict[tuple[Slot, ...], list[Flaw]] = {}

    def tables(self, rows: Iterable[Row]) -> dict[TableKey, list[Entry]]:
        """Put the rows together; tables and prefixes are in canonical order."""
        gathered: dict[TableKey, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            gathered[row.key][row.prefix].append(row)
        made: dict[TableKey, list[Entry]] = {}
        for key in sorted(gathered, key=_table_order):
            prefixes = gathered[key]
            made[key] = [self._entry(prefix, prefixes[prefix]) for prefix in sorted(prefixes)]
            self._warn_of_jumps(row for prefix in sorted(prefixes) for row in prefixes[prefix])
        self._warn_of_unused(gathered)
        return made

    def _entry(self, prefix: str, rows: list[Row]) -> Entry:
        first = rows[0]
        if first.blocked and len(rows) == 1:
            return Entry(prefix, first.name, ())
        for row in rows[1:]:
            self._check_same_prefix(prefix, first, row)
        groups: dict[_When, list[Row]] = defaultdict(list)
        for row in rows:
            groups[_When(row.calendar, row.valid_from_us, row.valid_until_us)].append(row)
        made = [(self._rate(prefix, group), group[0].where) for group in groups.values()]
        made.sort(key=lambda pair: _rate_order(pair[0]))
        rates = tuple(rate for rate, _ in made)
        if len(rates) > 1 or rates[0].calendar:
            self._check_times(prefix, rates, [where for _, where in made])
        return Entry(prefix, first.name, rates)

    def _check_same_prefix(self, prefix: str, first: Row, row: Row) -> None:
        if row.name != first.name and any(row.name):
            hint = "a prefix has one name and class; leave them out in further rows"
            self._findings.error(row.where, "destination", f"differs from {first.where} for prefix {prefix!r}", hint)
        if row.blocked and first.blocked:
            self._findings.error(row.where, "prefix", f"duplicate of {first.where}: prefix {prefix!r}, blocked")
        elif row.blocked or first.blocked:
            self._findings.error(row.where, "blocked", f"prefix {prefix!r} is blocked and priced (see {first.where})")

    def _rate(self, prefix: str, rows: list[Row]) -> Rate:
        """One rate from the rows of its steps."""
        rows.sort(key=lambda row: row.step.from_m)
        first = rows[0]
        if first.step.from_m:
            message = f"prefix {prefix!r} has no step from 0 here"
            self._findings.error(first.where, "step_from", message, "the first step of a rate begins at 0")
        for previous, row in pairwise(rows):
            if previous.step.from_m == row.step.from_m and not row.blocked:
                message = f"duplicate of {previous.where}: prefix {prefix!r}, {describe_step(row.step)}"
                hint = "same service, unit, direction, rating group, calendar, validity and step"
                self._findings.error(row.where, "prefix", message, hint)
        for row in rows[1:]:
            for column, term in _SHARED_TERMS:
                if getattr(row, term) not in (None, getattr(first, term)):
                    message = f"differs from {first.where}, the first step of this rate"
                    hint = "it applies to the whole call: give it with the step from 0 only"
                    self._findings.error(row.where, column, message, hint)
        return Rate(
            steps=tuple(row.step for row in rows),
            fee_micro=first.fee_micro or 0,
            minimum_micro=first.minimum_micro or 0,
            maximum_micro=first.maximum_micro,
            stops=first.stops or False,
            grace=first.grace or 0,
            calendar=first.calendar,
            valid_from_us=first.valid_from_us,
            valid_until_us=first.valid_until_us,
        )

    def _check_times(self, prefix: str, rates: Sequence[Rate], wheres: Sequence[str]) -> None:
        """Exactly one heaviest rate at every instant the prefix is in force."""
        is_known = True
        for rate, where in zip(rates, wheres, strict=True):
            if rate.calendar and rate.calendar not in self._calendars:
                is_known = False
                hint = closest(rate.calendar, self._calendars) if self._calendars else "the tariff has no calendars"
                self._findings.error(where, "calendar", f"unknown calendar {rate.calendar!r:.80}", hint)
        if not is_known:
            return
        slots = tuple(
            Slot(self._calendars.get(rate.calendar), rate.valid_from_us, rate.valid_until_us) for rate in rates
        )
        if slots not in self._flaws:
            self._flaws[slots] = find_flaws(slots, self._zone)
        for flaw in self._flaws[slots]:
            self._report(prefix, flaw, wheres)

    def _report(self, prefix: str, flaw: Flaw, wheres: Sequence[str]) -> None:
        moment = f"{flaw.at:%a %Y-%m-%d %H:%M:%S}"
        if not flaw.slots:
            message = f"gap: prefix {prefix!r} has no rate in force on {moment}"
            self._findings.error(wheres[0], "calendar", message, "add a rate without calendar for the rest of the time")
            return
        one, other = (wheres[number] for number in flaw.slots)
        message = f"overlap with {one}: prefix {prefix!r} has two rates of equal weight on {moment}"
        self._findings.error(other, "calendar", message, "give calendars different weights, or end the older rate")

    def _warn_of_jumps(self, rows: Iterable[Row]) -> None:
        """Prices of one destination that differ by a factor are mostly a slipped decimal point."""
        firsts: dict[tuple[str, str, int], Row] = {}
        for row in rows:
            if row.blocked or not row.name.destination:
                continue
            first = firsts.setdefault((row.name.destination, row.calendar, row.step.from_m), row)
            here, there = row.step.price_nano * first.step.unit_m, first.step.price_nano * row.step.unit_m
            if max(here, there) >= PRICE_JUMP * min(here, there) > 0:
                prices = (
                    f"{format_nano(row.step.price_nano)}, but {format_nano(first.step.price_nano)} at {first.where}"
                )
                self._findings.warn(row.where, "price", f"price jump for {row.name.destination}: {prices}")

    def _warn_of_unused(self, gathered: Mapping[TableKey, Mapping[str, Sequence[Row]]]) -> None:
        unused = set(self._calendars)
        for prefixes in gathered.values():
            for rows in prefixes.values():
                unused.difference_update(row.calendar for row in rows)
        for name in sorted(unused):
            self._findings.warn(f"{self._where}: calendar {name}", "", "no rate uses it")


def _table_order(key: TableKey) -> tuple[str, str, str, int]:
    return key.service, key.unit, key.direction, -1 if key.rating_group is None else key.rating_group


def _rate_order(rate: Rate) -> tuple[str, int, int]:
    return rate.calendar, rate.valid_from_us or 0, rate.valid_until_us or 0
