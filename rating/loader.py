"""
Load tariffs: an apply file's table (with or without a rates file) to a document, a document to a Tariff.

A tariff is checked whole and refused whole: `parse_toml_tariff` gives either a document that can be
activated or every mistake found.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rating.assemble import Assembly
from rating.calendars import parse_calendars
from rating.document import TariffDocument, calendars_from_json, rate_from_json, read_json, table_key
from rating.findings import Finding, Findings, closest
from rating.money import ROUNDING_MODES
from rating.prefixes import PrefixTable
from rating.rows import COLUMNS, Row, RowReader
from rating.tariff import Name, Tariff

RATES_MAX = 2_000_000
DECIMALS_DEFAULT = 4
KEYS = ("name", "currency", "timezone", "rounding", "fallback", "rates_file", "calendar", "rate")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def parse_toml_tariff(table: dict[str, Any], rates_csv: str | None, where: str) -> TariffDocument | list[Finding]:
    """
    Read one `[[tariff]]` table.

    Args:
        rates_csv: Content of its `rates_file`, when it names one.
        where: What the table is called in findings, such as `world.toml: tariff retail`.

    Returns:
        The document, its `warnings` filled, or the findings with at least one error.
    """
    findings = Findings()
    for key in table:
        if key not in KEYS:
            findings.error(where, str(key), "unknown key", closest(str(key), KEYS))
    name = _text(table, "name", _NAME, where, findings, "letters, digits, _ . -")
    currency = _text(table, "currency", _CURRENCY, where, findings, "three capital letters, such as EUR")
    mode, decimals = _rounding(table.get("rounding", {}), where, findings)
    zone = _zone(table.get("timezone", "UTC"), where, findings)
    fallback = _text(table, "fallback", _NAME, where, findings, "the name of a tariff") if "fallback" in table else ""
    if fallback and fallback == name:
        findings.error(where, "fallback", "names the tariff itself")
    reader = RowReader(zone, decimals, findings)
    rows = list(_rows(table, rates_csv, where, reader, findings))
    calendars = parse_calendars(table.get("calendar", []), where, findings)
    tables = Assembly(calendars, zone, where, findings).tables(rows)
    if not rows and not findings.has_errors:
        findings.error(where, "rate", "no rates", "give [[tariff.rate]] tables or a rates_file")
    if findings.has_errors:
        return list(findings)
    return TariffDocument(name, currency, zone.key, mode, decimals, fallback, calendars, tables, list(findings))


def load(document_json: str, version: int) -> Tariff:
    """
    Make the tariff of a stored document.

    Raises:
        ValueError: Not a tariff document.
    """
    document = read_json(document_json)
    tables = {
        table_key(table): PrefixTable(table["prefixes"].split(" "), table["rate_sets"], table["names"])
        for table in document["tables"]
    }
    return Tariff(
        name=document["name"],
        version=version,
        currency=document["currency"],
        timezone=document["timezone"],
        mode=document["rounding"]["mode"],
        decimals=document["rounding"]["decimals"],
        fallback=document["fallback"],
        rate_sets=[tuple(map(rate_from_json, rates)) for rates in document["rate_sets"]],
        names=[Name(*name) for name in document["names"]],
        tables=tables,
        calendars=calendars_from_json(document),
    )


def _text(table: dict[str, Any], key: str, pattern: re.Pattern[str], where: str, findings: Findings, hint: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        findings.error(where, key, "missing" if value is None else f"{value!r:.80} cannot be used", f"expected {hint}")
        return ""
    return value


def _zone(name: Any, where: str, findings: Findings) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        findings.error(where, "timezone", f"{name!r:.80} is not a time zone", "an IANA name, such as Europe/Berlin")
        return ZoneInfo("UTC")


def _rounding(table: Any, where: str, findings: Findings) -> tuple[str, int]:
    if not isinstance(table, dict) or table.keys() - {"mode", "decimals"}:
        findings.error(where, "rounding", "expected mode and decimals", '{ mode = "up", decimals = 4 }')
        return "up", DECIMALS_DEFAULT
    mode, decimals = table.get("mode", "up"), table.get("decimals", DECIMALS_DEFAULT)
    if mode not in ROUNDING_MODES:
        findings.error(where, "rounding.mode", f"unknown mode {mode!r:.40}", f"one of {', '.join(ROUNDING_MODES)}")
        mode = "up"
    if not isinstance(decimals, int) or isinstance(decimals, bool) or not 0 <= decimals <= 6:
        findings.error(where, "rounding.decimals", f"{decimals!r:.40}: expected a whole number from 0 to 6")
        decimals = DECIMALS_DEFAULT
    return mode, decimals


def _rows(
    table: dict[str, Any], rates_csv: str | None, where: str, reader: RowReader, findings: Findings
) -> Iterator[Row]:
    """The rows of the rates file or of the inline tables, without those that are wrong."""
    inline = table.get("rate", [])
    if not isinstance(inline, list) or not all(isinstance(cells, dict) for cells in inline):
        findings.error(where, "rate", "expected [[tariff.rate]] tables")
        return
    if inline and rates_csv is not None:
        findings.error(where, "rates_file", "given beside [[tariff.rate]] tables", "rates come from one of the two")
        return
    if rates_csv is not None:
        rows = _read_csv(rates_csv, str(table.get("rates_file", where)), reader, findings)
    else:
        rows = _read_inline(inline, where, reader, findings)
    for count, row in enumerate(rows):
        if count >= RATES_MAX:
            findings.error(where, "rate", f"more than {RATES_MAX} rates")
            return
        yield row


def _read_inline(tables: list[dict[str, Any]], where: str, reader: RowReader, findings: Findings) -> Iterator[Row]:
    for number, cells in enumerate(tables, start=1):
        here = f"{where}: rate {number}"
        for key in cells.keys() - set(COLUMNS):
            findings.error(here, str(key), "unknown key", closest(str(key), COLUMNS))
        row = reader.read(cells, here)
        if row is not None:
            yield row


def _read_csv(text: str, where: str, reader: RowReader, findings: Findings) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [column.strip() for column in next(lines, [])]
        if not _check_header(header, where, findings):
            return
        for values in lines:
            if not any(values):
                continue
            here = f"{where}:{lines.line_num}"
            if len(values) != len(header):
                findings.error(
                    here, "", f"{len(values)} values under {len(header)} columns", "quote values with commas"
                )
                continue
            row = reader.read(dict(zip(header, map(str.strip, values), strict=True)), here)
            if row is not None:
                yield row
    except csv.Error as error:
        findings.error(f"{where}:{lines.line_num}", "", f"not CSV: {error}", "comma separated, quotes doubled")


def _check_header(header: list[str], where: str, findings: Findings) -> bool:
    here = f"{where}:1"
    known = len(findings)
    for column in header:
        if column not in COLUMNS:
            findings.error(here, column, "unknown column", closest(column, COLUMNS))
        elif header.count(column) > 1:
            findings.error(here, column, "column given twice")
    for column in ("prefix", "price"):
        if column not in header:
            findings.error(
                here, column, "missing column", "the first line names the columns; prefix and price are required"
            )
    return len(findings) == known
