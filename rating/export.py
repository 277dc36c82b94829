"""
Write a tariff out as an operator would write it: TOML for an apply file, CSV for its rates.

What is written is read back identically: `parse_toml_tariff` of an export gives an equal document.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rating.document import Entry, TariffDocument
from rating.money import format_money, format_nano
from rating.plan import Rate, Step
from rating.rows import COLUMNS
from rating.tariff import TableKey
from rating.timetable import SECOND_US
from rating.units import format_milli, format_price_unit


def export_csv(document: TariffDocument) -> str:
    """Write the rates of a tariff as the content of a `rates_file`; columns nobody uses are left out."""
    rows = list(_rows(document))
    used = [column for column in COLUMNS if column in ("prefix", "price") or any(column in row for row in rows)]
    out = io.StringIO()
    writer = csv.DictWriter(out, used, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def export_toml(document: TariffDocument, rates_file: str | None = None) -> str:
    """
    Write a tariff as a `[[tariff]]` table.

    Args:
        rates_file: Name it as the file that holds the rates, instead of writing them inline.
    """
    head: dict[str, Any] = {"name": document.name, "currency": document.currency, "timezone": document.timezone}
    lines = ["[[tariff]]", *_pairs(head)]
    lines.append(f"rounding = {{ mode = {_value(document.mode)}, decimals = {document.decimals} }}")
    if document.fallback:
        lines.extend(_pairs({"fallback": document.fallback}))
    if rates_file is not None:
        lines.extend(_pairs({"rates_file": rates_file}))
    for name in sorted(document.calendars):
        lines.extend(("", "[[tariff.calendar]]", *_pairs(document.calendars[name].to_table())))
    if rates_file is None:
        for row in _rows(document):
            lines.extend(("", "[[tariff.rate]]", *_pairs(row)))
    return "\n".join(lines) + "\n"


def rate_text(key: TableKey, rate: Rate) -> str:
    """Write a rate as one short line, for people."""
    steps = ", ".join(
        " ".join(f"{column} {value}" for column, value in _step(key, step).items()) for step in rate.steps
    )
    rest = " ".join(f"{column} {value}" for column, value in {**_terms(rate), **_when(rate)}.items())
    return f"{steps} {rest}".strip()


def _rows(document: TariffDocument) -> Iterator[dict[str, Any]]:
    """The rows of a tariff; what a row does not need to say is absent."""
    for key, entry in document.entries():
        named = _named(key, entry)
        if not entry.rates:
            yield {**named, "blocked": "yes"}
        for rate in entry.rates:
            terms = _terms(rate)
            for step in rate.steps:
                yield {**named, **_step(key, step), **_when(rate), **({} if step.from_m else terms)}


def _named(key: TableKey, entry: Entry) -> dict[str, Any]:
    given: dict[str, Any] = {"prefix": entry.prefix}
    optional = {
        "destination": entry.name.destination,
        "destination_class": entry.name.destination_class,
        "service": key.service,
        "direction": key.direction,
    }
    given |= {column: value for column, value in optional.items() if value}
    if key.rating_group is not None:
        given["rating_group"] = key.rating_group
    return given


def _step(key: TableKey, step: Step) -> dict[str, Any]:
    given = {
        "price": format_nano(step.price_nano),
        "price_unit": format_price_unit(key.unit, step.unit_m),
        "pulse": f"{format_milli(step.initial_m)}/{format_milli(step.next_m)}",
    }
    if step.from_m:
        given["step_from"] = format_milli(step.from_m)
    return given


def _when(rate: Rate) -> dict[str, Any]:
    given = {"calendar": rate.calendar} if rate.calendar else {}
    if rate.valid_from_us is not None:
        given["valid_from"] = _instant(rate.valid_from_us)
    if rate.valid_until_us is not None:
        given["valid_until"] = _instant(rate.valid_until_us)
    return given


def _terms(rate: Rate) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if rate.fee_micro:
        given["connect_fee"] = format_money(rate.fee_micro, 0)
    if rate.minimum_micro:
        given["min_charge"] = format_money(rate.minimum_micro, 0)
    if rate.maximum_micro is not None:
        given["max_charge"] = format_money(rate.maximum_micro, 0)
        given["at_max"] = "stop" if rate.stops else "free"
    if rate.grace:
        given["grace_s"] = rate.grace
    return given


def _instant(at_us: int) -> str:
    moment = datetime.fromtimestamp(at_us // SECOND_US, UTC).replace(microsecond=at_us % SECOND_US)
    return moment.isoformat().replace("+00:00", "Z")


def _pairs(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: Any) -> str:
    """One TOML value: text, a whole number, or a list of them."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
