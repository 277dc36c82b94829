"""
Rows together: steps become rates, rates become what a prefix says; what does not fit is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from rating.document import Entry
from rating.findings import Findings
from rating.plan import Rate
from rating.rows import Row, describe_step
from rating.tariff import TableKey

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


def assemble(rows: Iterable[Row], findings: Findings) -> dict[TableKey, list[Entry]]:
    """
    Build the tables of a tariff from its rows.

    Every kind of contradiction between rows is a finding: duplicates, steps without a first one,
    terms that differ between the steps of one rate, names that differ within a prefix.
    """
    tables: dict[TableKey, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tables[row.key][row.prefix].append(row)
    made: dict[TableKey, list[Entry]] = {}
    for key in sorted(tables, key=_table_order):
        prefixes = tables[key]
        made[key] = [_entry(prefix, prefixes[prefix], findings) for prefix in sorted(prefixes)]
    return made


def _table_order(key: TableKey) -> tuple[str, str, str, int]:
    return key.service, key.unit, key.direction, -1 if key.rating_group is None else key.rating_group


def _entry(prefix: str, rows: list[Row], findings: Findings) -> Entry:
    first = rows[0]
    if len(rows) == 1 and not first.step.from_m:
        return Entry(prefix, first.name, () if first.blocked else (_rate(first, rows),))
    for row in rows[1:]:
        if row.name != first.name and (row.name.destination or row.name.destination_class):
            findings.error(
                row.where,
                "destination",
                f"differs from {first.where} for prefix {prefix!r}",
                "a prefix has one name and class; leave it out in further rows",
            )
        if row.blocked or first.blocked:
            findings.error(row.where, "blocked", f"prefix {prefix!r} is blocked and priced ({first.where})")
    groups: dict[_When, list[Row]] = defaultdict(list)
    for row in rows:
        groups[_When(row.calendar, row.valid_from_us, row.valid_until_us)].append(row)
    rates = [_stepped(prefix, group, findings) for group in groups.values()]
    return Entry(prefix, first.name, () if first.blocked else tuple(sorted(rates, key=_rate_order)))


def _rate_order(rate: Rate) -> tuple[str, int, int]:
    return rate.calendar, rate.valid_from_us or 0, rate.valid_until_us or 0


def _stepped(prefix: str, rows: list[Row], findings: Findings) -> Rate:
    """One rate from the rows of its steps."""
    rows.sort(key=lambda row: row.step.from_m)
    first = rows[0]
    if first.step.from_m:
        findings.error(
            first.where,
            "step_from",
            f"prefix {prefix!r} has no step from 0 here",
            "the first step of a rate begins at 0",
        )
    for previous, row in pairwise(rows):
        if previous.step.from_m == row.step.from_m:
            findings.error(
                row.where,
                "prefix",
                f"duplicate of {previous.where}: prefix {prefix!r}, {describe_step(row.step)}",
                "same service, direction, rating group, calendar, validity and step",
            )
    for row in rows[1:]:
        for column, term in _SHARED_TERMS:
            value = getattr(row, term)
            if value is not None and value != getattr(first, term):
                findings.error(
                    row.where,
                    column,
                    f"differs from {first.where}, the first step of this rate",
                    "it applies to the whole call: give it with the step from 0 only",
                )
    return _rate(first, rows)


def _rate(first: Row, rows: list[Row]) -> Rate:
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
