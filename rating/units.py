"""
Quantities: what a service is measured in, price units, pulses.

Inside the rating core a quantity is an integer of thousandths of a unit (`_m`: milliseconds, thousandths
of an octet or event), so that a pulse of 1.5 seconds is exact.  What is used and granted is whole units.
"""

from __future__ import annotations

import re

from rating.money import parse_decimal

MILLI = 1_000
QUANTITY_MAX_M = 10**18

UNIT_OF_SERVICE = {"voice": "seconds", "data": "octets", "message": "events", "event": "events"}
DEFAULT_PRICE_UNIT_M = {"seconds": 60 * MILLI, "octets": 1_000_000 * MILLI, "events": MILLI}

_SUFFIXES = {
    "s": ("seconds", 1),
    "min": ("seconds", 60),
    "h": ("seconds", 3_600),
    "B": ("octets", 1),
    "kB": ("octets", 1_000),
    "MB": ("octets", 1_000_000),
    "GB": ("octets", 1_000_000_000),
    "KiB": ("octets", 1 << 10),
    "MiB": ("octets", 1 << 20),
    "GiB": ("octets", 1 << 30),
}
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)\s*([A-Za-z]*)", re.ASCII)


def parse_quantity(text: object, unit: str) -> tuple[str, int]:
    """
    Read a quantity such as `60s`, `1MB`, `1.5` or `1`: its unit and its size in thousandths.

    Args:
        unit: What a number without a suffix counts.

    Raises:
        ValueError: Not a positive quantity with at most three digits behind the point.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r}: expected a quantity such as 60s, 1.5, 1MB or 1")
    number, suffix = match[1], match[2]
    if suffix and suffix not in _SUFFIXES:
        raise ValueError(f"{text!r}: unknown unit {suffix!r}, expected one of {', '.join(_SUFFIXES)} or none")
    unit, factor = _SUFFIXES[suffix] if suffix else (unit, 1)
    size_m = parse_decimal(number, 3, 3) * factor
    if not 0 < size_m <= QUANTITY_MAX_M:
        raise ValueError(f"{text!r}: expected more than 0 and at most {QUANTITY_MAX_M // MILLI}")
    return unit, size_m


def parse_pulse(text: object, unit: str) -> tuple[int, int]:
    """
    Read a pulse, `initial/next` or one number for both, in thousandths of `unit`.

    Raises:
        ValueError: Not one or two positive quantities of that unit.

    >>> parse_pulse("60/6", "seconds")
    (60000, 6000)
    """
    halves = str(text).split("/") if isinstance(text, (str, int)) else []
    if not 1 <= len(halves) <= 2:
        raise ValueError(f"{text!r}: expected initial/next, such as 60/6")
    sizes = []
    for half in halves:
        found, size_m = parse_quantity(half.strip(), unit)
        if found != unit:
            raise ValueError(f"{text!r}: a pulse in {found}, but the price is per {unit}")
        sizes.append(size_m)
    return sizes[0], sizes[-1]


def format_milli(size_m: int) -> str:
    """
    Write thousandths as a plain number.

    >>> format_milli(1_500)
    '1.5'
    """
    whole, rest = divmod(size_m, MILLI)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


def format_price_unit(unit: str, unit_m: int) -> str:
    """
    Write a price unit as `parse_quantity` reads it.

    >>> format_price_unit("octets", 1_000_000_000)
    '1000000B'
    """
    return format_milli(unit_m) + {"seconds": "s", "octets": "B"}.get(unit, "")
