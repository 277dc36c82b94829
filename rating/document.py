"""
A tariff version as a document: the one canonical form that is stored, compared and exported.

Rate sets and names are written once and referred to by number; prefixes of a table are one text, so that
a hundred thousand of them are read in milliseconds.  Everything is ordered, hence equal tariffs are equal
texts, whatever the order of the rows they came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rating.calendars import Calendar, parse_calendars
from rating.findings import Finding, Findings
from rating.plan import Rate, Step
from rating.tariff import Name, TableKey

FORMAT = 1


@dataclass(slots=True, frozen=True)
class Entry:
    """What one prefix of a table says; no rates means blocked."""

    prefix: str
    name: Name
    rates: tuple[Rate, ...]


@dataclass(slots=True)
class TariffDocument:
    """
    A validated tariff version.

    `tables` hold their entries sorted by prefix; `warnings` are doubts found on import, no part of the
    document.
    """

    name: str
    currency: str
    timezone: str
    mode: str
    decimals: int
    fallback: str
    calendars: dict[str, Calendar]
    tables: dict[TableKey, list[Entry]]
    warnings: list[Finding] = field(default_factory=list, compare=False)

    def entries(self) -> Iterator[tuple[TableKey, Entry]]:
        """Every prefix of every table, in order."""
        for key, entries in self.tables.items():
            for entry in entries:
                yield key, entry

    def to_json(self) -> str:
        """Write the canonical text."""
        numbers: dict[tuple[Rate, ...], int] = {}
        names: dict[Name, int] = {}
        tables = []
        for key, entries in self.tables.items():
            tables.append(
                {
                    **key._asdict(),
                    "prefixes": " ".join(entry.prefix for entry in entries),
                    "rate_sets": [numbers.setdefault(entry.rates, len(numbers)) for entry in entries],
                    "names": [names.setdefault(entry.name, len(names)) for entry in entries],
                }
            )
        document = {
            "format": FORMAT,
            "name": self.name,
            "currency": self.currency,
            "timezone": self.timezone,
            "rounding": {"mode": self.mode, "decimals": self.decimals},
            "fallback": self.fallback,
            "calendars": [self.calendars[name].to_table() for name in sorted(self.calendars)],
            "names": list(names),
            "rate_sets": [[rate_to_json(rate) for rate in rates] for rates in numbers],
            "tables": tables,
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TariffDocument:
        """
        Read the canonical text.

        Raises:
            ValueError: Not a tariff document of this format.
        """
        document = read_json(text)
        rate_sets = [tuple(map(rate_from_json, rates)) for rates in document["rate_sets"]]
        names = [Name(*name) for name in document["names"]]
        tables = {}
        for table in document["tables"]:
            columns = zip(table["prefixes"].split(" "), table["names"], table["rate_sets"], strict=True)
            tables[table_key(table)] = [Entry(prefix, names[n], rate_sets[r]) for prefix, n, r in columns]
        return cls(
            name=document["name"],
            currency=document["currency"],
            timezone=document["timezone"],
            mode=document["rounding"]["mode"],
            decimals=document["rounding"]["decimals"],
            fallback=document["fallback"],
            calendars=calendars_from_json(document),
            tables=tables,
        )


def read_json(text: str) -> dict[str, Any]:
    """
    Read a stored document as plain data.

    Raises:
        ValueError: Not JSON, or of another format.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"not a tariff document of format {FORMAT}")
    return document


def calendars_from_json(document: dict[str, Any]) -> dict[str, Calendar]:
    """
    The calendars of a stored document, by name.

    Raises:
        ValueError: One of them is not a calendar.
    """
    findings = Findings()
    calendars = parse_calendars(document["calendars"], document["name"], findings)
    if findings:
        raise ValueError(str(findings[0]))
    return calendars


def table_key(table: dict[str, Any]) -> TableKey:
    """The key of a stored table."""
    return TableKey(table["service"], table["unit"], table["direction"], table["rating_group"])


def rate_to_json(rate: Rate) -> dict[str, Any]:
    """Write a rate; what is absent is not written."""
    plain = {
        "steps": [[s.from_m, s.price_nano, s.unit_m, s.initial_m, s.next_m] for s in rate.steps],
        "fee": rate.fee_micro,
        "minimum": rate.minimum_micro,
        "stops": rate.stops,
        "grace": rate.grace,
        "calendar": rate.calendar,
    }
    given = {key: value for key, value in plain.items() if value}
    for key in ("maximum_micro", "valid_from_us", "valid_until_us"):
        value = getattr(rate, key)
        if value is not None:
            given[key.rpartition("_")[0]] = value
    return given


def rate_from_json(plain: dict[str, Any]) -> Rate:
    """Read what `rate_to_json` wrote."""
    return Rate(
        steps=tuple(Step(*step) for step in plain["steps"]),
        fee_micro=plain.get("fee", 0),
        minimum_micro=plain.get("minimum", 0),
        maximum_micro=plain.get("maximum"),
        stops=plain.get("stops", False),
        grace=plain.get("grace", 0),
        calendar=plain.get("calendar", ""),
        valid_from_us=plain.get("valid_from"),
        valid_until_us=plain.get("valid_until"),
    )
