"""
One row of a tariff, from CSV or TOML, read and checked by itself.

Both forms have the same keys and become the same `Row`; what rows say together is checked by
`rating.assemble`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from rating.findings import Findings, closest
from rating.money import parse_money, parse_nano
from rating.plan import Step
from rating.tariff import Name, TableKey
from rating.units import DEFAULT_PRICE_UNIT_M, MILLI, UNIT_OF_SERVICE, format_milli, parse_pulse, parse_quantity

COLUMNS = (
    "prefix",
    "destination",
    "destination_class",
    "service",
    "direction",
    "rating_group",
    "price",
    "price_unit",
    "pulse",
    "connect_fee",
    "min_charge",
    "max_charge",
    "at_max",
    "grace_s",
    "calendar",
    "step_from",
    "valid_from",
    "valid_until",
    "blocked",
)
AT_MAX = ("free", "stop")
GRACE_MAX_S = 86_400
RATING_GROUP_MAX = 2**32 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DIGITS = re.compile(r"[0-9]{0,15}", re.ASCII)
_TOKEN = re.compile(r"[0-9A-Za-z*#._-]{0,63}", re.ASCII)
_DIRECTION = re.compile(r"[a-z]{0,16}", re.ASCII)
_LABEL_MAX = 120

T = TypeVar("T")


@dataclass(slots=True)
class Row:
    """One step of one rate of one prefix, and where it was written."""

    where: str
    key: TableKey
    prefix: str
    name: Name
    blocked: bool
    calendar: str
    valid_from_us: int | None
    valid_until_us: int | None
    step: Step
    fee_micro: int | None
    minimum_micro: int | None
    maximum_micro: int | None
    stops: bool | None
    grace: int | None


class RowReader:
    """
    Reads rows of one tariff; mistakes go to `findings` and the row is left out.

    Args:
        zone: Where a date without a zone begins.
        decimals: The tariff's rounding, which a maximum charge must be payable in.
    """

    def __init__(self, zone: ZoneInfo, decimals: int, findings: Findings) -> None:
        self._zone = zone
        self._decimals = decimals
        self._findings = findings
        self._is_wrong = False
        self._money = lru_cache(4_096, typed=True)(_parse_charge)
        self._nano = lru_cache(65_536, typed=True)(_parse_price)
        self._instant = lru_cache(1_024, typed=True)(lambda value: parse_instant(value, zone))
        self._quantity = lru_cache(1_024, typed=True)(parse_quantity)
        self._pulse = lru_cache(1_024, typed=True)(parse_pulse)

    def read(self, cells: Mapping[str, Any], where: str) -> Row | None:
        """Read one row; None when something in it is wrong."""
        self._is_wrong = False
        service = cells.get("service", "") or "voice"
        if service not in UNIT_OF_SERVICE:
            self._wrong(where, "service", f"unknown service {service!r}", closest(str(service), UNIT_OF_SERVICE))
            return None
        blocked = self._take(cells, where, "blocked", _parse_flag, False)
        usual = UNIT_OF_SERVICE[service]
        if blocked:
            unit, step = usual, Step(0, 0, MILLI, MILLI, MILLI)
            self._refuse_beside_blocked(cells, where)
        else:
            unit, step = self._step(cells, where, usual)
        row = Row(
            where=where,
            key=self._key(cells, where, service, unit),
            prefix=self._prefix(cells, where, service),
            name=self._name(cells, where),
            blocked=blocked,
            calendar=str(cells.get("calendar", "") or ""),
            valid_from_us=self._take(cells, where, "valid_from", self._instant, None),
            valid_until_us=self._take(cells, where, "valid_until", self._instant, None),
            step=step,
            fee_micro=self._take(cells, where, "connect_fee", self._money, None),
            minimum_micro=self._take(cells, where, "min_charge", self._money, None),
            maximum_micro=self._take(cells, where, "max_charge", self._money, None),
            stops=self._take(cells, where, "at_max", _parse_at_max, None),
            grace=self._take(cells, where, "grace_s", _parse_grace, None),
        )
        if not self._is_wrong:
            self._check(row, where)
        return None if self._is_wrong else row

    def _wrong(self, where: str, key: str, message: str, hint: str = "") -> None:
        self._is_wrong = True
        self._findings.error(where, key, message, hint)

    def _take(self, cells: Mapping[str, Any], where: str, key: str, parse: Callable[[Any], T], absent: T) -> T:
        """One cell, parsed; absent and empty cells are the default."""
        value = cells.get(key)
        if value is None or value == "":
            return absent
        try:
            return parse(value)
        except ValueError as error:
            message, _, hint = str(error).partition(" | ")
            self._wrong(where, key, message, hint)
        except TypeError:
            self._wrong(where, key, f"{value!r}: a list or table where one value is expected")
        return absent

    def _step(self, cells: Mapping[str, Any], where: str, usual: str) -> tuple[str, Step]:
        price = cells.get("price")
        if price is None or price == "":
            self._wrong(where, "price", "missing", 'every row needs a price, "0" when it is free, or blocked = true')
        nano = self._take(cells, where, "price", self._nano, 0)
        size = self._take(cells, where, "price_unit", lambda text: self._quantity(text, usual), None)
        unit, unit_m = size or (usual, DEFAULT_PRICE_UNIT_M[usual])
        pulse = self._take(cells, where, "pulse", lambda text: self._pulse(text, unit), (MILLI, MILLI))
        from_m = self._take(cells, where, "step_from", lambda text: _parse_position(text, unit), 0)
        return unit, Step(from_m, nano, unit_m, *pulse)

    def _key(self, cells: Mapping[str, Any], where: str, service: str, unit: str) -> TableKey:
        direction = self._take(cells, where, "direction", _parse_direction, "")
        group = self._take(cells, where, "rating_group", _parse_group, None)
        return TableKey(service, unit, direction, group)

    def _prefix(self, cells: Mapping[str, Any], where: str, service: str) -> str:
        prefix = cells.get("prefix")
        if not isinstance(prefix, str):
            self._wrong(
                where,
                "prefix",
                "missing" if prefix is None else f"{prefix!r}: expected text in quotes",
                'the catch-all is prefix = ""',
            )
            return ""
        pattern = _DIGITS if service in ("voice", "message") else _TOKEN
        if pattern.fullmatch(prefix) is None:
            hint = (
                "international digits without + or 00, at most 15"
                if pattern is _DIGITS
                else "letters, digits, * # . _ -"
            )
            self._wrong(where, "prefix", f"{prefix[:40]!r} is not a prefix for {service}", hint)
        return prefix

    def _name(self, cells: Mapping[str, Any], where: str) -> Name:
        labels = []
        for key in ("destination", "destination_class"):
            value = cells.get(key) or ""
            if not isinstance(value, str) or len(value) > _LABEL_MAX or not value.isprintable():
                self._wrong(where, key, f"{value!r:.60}: expected text of at most {_LABEL_MAX} printable characters")
                value = ""
            labels.append(value.strip())
        return Name(*labels)

    def _refuse_beside_blocked(self, cells: Mapping[str, Any], where: str) -> None:
        for key in ("calendar", "valid_from", "valid_until", "step_from", "connect_fee", "min_charge", "max_charge"):
            if cells.get(key) not in (None, ""):
                self._wrong(where, key, "given for a blocked destination", "a blocked prefix is blocked always")

    def _check(self, row: Row, where: str) -> None:
        """What the cells of one row must be to each other."""
        if row.valid_from_us is not None and row.valid_until_us is not None and row.valid_from_us >= row.valid_until_us:
            self._wrong(where, "valid_until", "not after valid_from", "the interval is half-open: [from, until)")
        if row.grace is not None and row.key.unit != "seconds":
            self._wrong(
                where, "grace_s", f"given for a price per {row.key.unit}", "grace is for services charged by time"
            )
        if row.stops is not None and row.maximum_micro is None:
            self._wrong(where, "at_max", "given without max_charge")
        if row.maximum_micro is not None:
            self._check_maximum(row, row.maximum_micro, where)

    def _check_maximum(self, row: Row, maximum_micro: int, where: str) -> None:
        if maximum_micro < (row.fee_micro or 0) + (row.minimum_micro or 0):
            self._wrong(where, "max_charge", "less than connect_fee and min_charge together")
        if maximum_micro % 10 ** (6 - self._decimals):
            hint = f"the charge is rounded to {self._decimals} decimals"
            self._wrong(where, "max_charge", "has more decimals than the tariff's rounding", hint)


def parse_instant(value: Any, zone: ZoneInfo) -> int:
    """
    Read an instant in microseconds: a date (midnight in the zone), or a date and time.

    Raises:
        ValueError: Neither.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r}: expected a date or an instant | such as 2027-01-01T00:00:00Z") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime.combine(value, time())
    if not isinstance(moment, datetime):
        raise ValueError(f"{value!r}: expected a date or an instant | such as 2027-01-01T00:00:00Z")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return (moment - EPOCH) // timedelta(microseconds=1)


def _parse_charge(value: Any) -> int:
    micro = parse_money(value)
    if micro < 0:
        raise ValueError(f"{value!r}: negative")
    return micro


def _parse_price(value: Any) -> int:
    nano = parse_nano(value)
    if nano < 0:
        raise ValueError(f"{value!r}: negative | a tariff never pays its subscriber")
    return nano


def _parse_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("yes", "no", "true", "false"):
        raise ValueError(f"{value!r}: expected yes or no")
    return value in ("yes", "true")


def _parse_at_max(value: Any) -> bool:
    if value not in AT_MAX:
        raise ValueError(f"{value!r}: expected free or stop | what happens once max_charge is reached")
    return bool(value == "stop")


def _parse_whole(value: Any, highest: int) -> int:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) > highest:
        raise ValueError(f"{value!r}: expected a whole number from 0 to {highest}")
    return int(text)


def _parse_grace(value: Any) -> int:
    return _parse_whole(value, GRACE_MAX_S)


def _parse_group(value: Any) -> int:
    return _parse_whole(value, RATING_GROUP_MAX)


def _parse_direction(value: Any) -> str:
    if not isinstance(value, str) or not _DIRECTION.fullmatch(value):
        raise ValueError(f"{value!r}: expected lower-case letters | such as in or out")
    return value


def _parse_position(value: Any, unit: str) -> int:
    if value in (0, "0"):
        return 0
    found, size_m = parse_quantity(value, unit)
    if found != unit:
        raise ValueError(f"{value!r}: in {found}, but the price is per {unit}")
    return size_m


def describe_step(step: Step) -> str:
    """Name a step by where it begins."""
    return f"the step from {format_milli(step.from_m)}"
