"""
The tariffs of an `apply` file: read by the rating core's loader, kept in its canonical form.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aaa.config.locate import Path
from aaa.config.problems import Problem
from rating.findings import Finding
from rating.loader import parse_toml_tariff

RATES_FILE = "rates_file"

_TABLE = "tariff"
_INLINE = re.compile(rf"{_TABLE}(?:: (rate|calendar) (\d+))?")
_CSV = re.compile(r"(.+):(\d+)", re.DOTALL)


@dataclass(frozen=True)
class TariffTable:
    """A sound tariff: its name, its currency, and the canonical document that is stored."""

    name: str
    currency: str
    document: str
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Tells two documents apart."""
        return hashlib.sha256(self.document.encode()).hexdigest()


@dataclass
class Findings:
    """What is wrong with tariffs: keys of the apply file by path, lines of rates files as they are."""

    in_file: list[tuple[Path, str]] = field(default_factory=list)
    in_rates: list[Problem] = field(default_factory=list)

    def add(self, finding: Finding, index: int) -> None:
        """Sort one finding of the loader by where it points."""
        reason = f"{finding.message} ({finding.hint})" if finding.hint else finding.message
        key = (finding.key,) if finding.key else ()
        if inline := _INLINE.fullmatch(finding.where):
            element = (inline[1], int(inline[2]) - 1) if inline[1] else ()
            self.in_file.append(((_TABLE, index, *element, *key), reason))
        elif line := _CSV.fullmatch(finding.where):
            self.in_rates.append(Problem(line[1], int(line[2]), "", finding.key, reason))
        else:
            self.in_rates.append(Problem(finding.where, None, "", finding.key, reason))


def parse_tariffs(tables: Any, files: Mapping[str, str]) -> tuple[list[TariffTable], Findings]:
    """Every `[[tariff]]` table as a canonical document, or what is wrong with it."""
    found = Findings()
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        found.in_file.append(((_TABLE,), "should be [[tariff]] tables"))
        return [], found
    tariffs: list[TariffTable] = []
    for index, table in enumerate(tables):
        rates = files.get(str(table.get(RATES_FILE)))
        if RATES_FILE in table and rates is None:
            found.in_file.append(((_TABLE, index, RATES_FILE), f"{table[RATES_FILE]}: not handed in"))
            continue
        parsed = parse_toml_tariff(table, rates, _TABLE)
        if isinstance(parsed, list):
            for finding in parsed:
                found.add(finding, index)
        else:
            warnings = tuple(f"tariff {parsed.name}: {warning}" for warning in parsed.warnings)
            tariffs.append(TariffTable(parsed.name, parsed.currency, parsed.to_json(), warnings))
    return tariffs, found
