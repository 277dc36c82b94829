"""
What changes between two versions of a tariff, for an operator to read before activating one.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from rating.document import Entry, TariffDocument
from rating.export import rate_text
from rating.plan import Rate
from rating.tariff import TableKey

JUMP_PERCENT = 50


class Change(NamedTuple):
    """
    One difference: of the tariff itself (`prefix` None) or of a prefix in one of its tables.

    `change_percent` compares the first step's price; None where that says nothing.
    """

    kind: str  # added | removed | changed
    key: TableKey | None
    prefix: str | None
    what: str
    before: str
    after: str
    change_percent: int | None = None

    @property
    def is_jump(self) -> bool:
        """A price moved by half or more: worth a second look."""
        return self.change_percent is not None and abs(self.change_percent) >= JUMP_PERCENT

    def __str__(self) -> str:
        place = self.what
        if self.key is not None:
            parts = (self.key.service, self.key.unit, self.key.direction)
            group = "" if self.key.rating_group is None else f" rating group {self.key.rating_group}"
            place = f"{' '.join(filter(None, parts))}{group} {self.prefix or '(catch-all)'}: {self.what}"
        percent = "" if self.change_percent is None else f" ({self.change_percent:+d}%)"
        if self.kind == "added":
            return f"+ {place}: {self.after}"
        if self.kind == "removed":
            return f"- {place}: {self.before}"
        return f"~ {place}: {self.before} -> {self.after}{percent}"


def diff(before: TariffDocument, after: TariffDocument) -> list[Change]:
    """Compare two versions; nothing when they price everything alike and name it alike."""
    changes = list(_head_changes(before, after))
    keys = dict.fromkeys((*before.tables, *after.tables))
    for key in keys:
        old = {entry.prefix: entry for entry in before.tables.get(key, [])}
        new = {entry.prefix: entry for entry in after.tables.get(key, [])}
        for prefix in sorted(old.keys() | new.keys()):
            changes.extend(_entry_changes(key, prefix, old.get(prefix), new.get(prefix)))
    return changes


def _head_changes(before: TariffDocument, after: TariffDocument) -> Iterable[Change]:
    for what in ("name", "currency", "timezone", "mode", "decimals", "fallback"):
        old, new = str(getattr(before, what)), str(getattr(after, what))
        if old != new:
            yield Change("changed", None, None, what, old, new)
    for name in sorted(before.calendars.keys() | after.calendars.keys()):
        was, becomes = before.calendars.get(name), after.calendars.get(name)
        if was != becomes:
            old, new = (str(calendar.to_table()) if calendar else "" for calendar in (was, becomes))
            kind = "added" if was is None else "removed" if becomes is None else "changed"
            yield Change(kind, None, None, f"calendar {name}", old, new)


def _entry_changes(key: TableKey, prefix: str, old: Entry | None, new: Entry | None) -> Iterable[Change]:
    if old == new:
        return
    if old is None or new is None:
        kind = "added" if old is None else "removed"
        yield Change(kind, key, prefix, "prefix", _entry_text(key, old), _entry_text(key, new))
        return
    if old.name != new.name:
        yield Change("changed", key, prefix, "name", " ".join(old.name).strip(), " ".join(new.name).strip())
    if old.rates != new.rates:
        percent = _percent(old.rates, new.rates)
        yield Change("changed", key, prefix, "rates", _entry_text(key, old), _entry_text(key, new), percent)


def _entry_text(key: TableKey, entry: Entry | None) -> str:
    if entry is None:
        return ""
    return "; ".join(rate_text(key, rate) for rate in entry.rates) or "blocked"


def _percent(old: tuple[Rate, ...], new: tuple[Rate, ...]) -> int | None:
    if len(old) != 1 or len(new) != 1:
        return None
    was, becomes = (Fraction(rates[0].steps[0].price_nano, rates[0].steps[0].unit_m) for rates in (old, new))
    return round((becomes / was - 1) * 100) if was else None
