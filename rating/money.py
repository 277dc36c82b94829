"""
Exact amounts: text to integers and back, and the one rounding of a charge.

Amounts are integers of 10^-6 of a currency (`_micro`), prices per unit integers of 10^-9 (`_nano`).
Nothing here or anywhere in `rating` is a float: a float is refused where it appears, because its
decimal digits are already lost.
"""

from __future__ import annotations

import re

TEN: tuple[int, ...] = tuple(10**power for power in range(40))
MICRO_DECIMALS = 6
NANO_DECIMALS = 9
AMOUNT_MAX = 2**63 - 1
"""What a 64-bit column of the ledger holds, in micro."""

PRICE_MAX_NANO = 10**12 * 10**9

ROUNDING_MODES = ("up", "down", "half-up", "half-even")

_DECIMAL = re.compile(r"(-?)(\d{1,19})(?:\.(\d{1,19}))?", re.ASCII)


def parse_decimal(text: object, scale: int, decimals: int) -> int:
    """
    Read a decimal number exactly, as an integer of 10^-`scale`.

    Args:
        text: Digits with at most one point and an optional leading minus, or an int.
        decimals: Digits allowed behind the point.

    Raises:
        ValueError: Not a plain decimal number, a float, or too many digits; the text says which.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text * TEN[scale]
    if not isinstance(text, str):
        raise ValueError(f'{text!r}: expected a number in quotes, such as "0.0120"')
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: expected digits with at most one decimal point")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > decimals:
        raise ValueError(f"{text!r}: {len(fraction)} digits behind the point, at most {decimals} are exact here")
    value = int(whole + fraction) * TEN[scale - len(fraction)]
    return -value if sign else value


def parse_money(text: object, decimals: int = MICRO_DECIMALS) -> int:
    """
    Read an amount exactly, in micro.

    Raises:
        ValueError: A float, not a number, more than `decimals` digits behind the point, or an amount
            that the ledger cannot hold.

    >>> parse_money("10.05")
    10050000
    """
    micro = parse_decimal(text, MICRO_DECIMALS, decimals)
    if abs(micro) > AMOUNT_MAX:
        raise ValueError(f"{text!r}: larger than the ledger holds ({format_money(AMOUNT_MAX)})")
    return micro


def parse_nano(text: object) -> int:
    """
    Read a price exactly, in nano (10^-9) of the currency.

    Raises:
        ValueError: As for `parse_money`, with nine digits behind the point.
    """
    nano = parse_decimal(text, NANO_DECIMALS, NANO_DECIMALS)
    if abs(nano) > PRICE_MAX_NANO:
        raise ValueError(f"{text!r}: larger than a price can be ({format_nano(PRICE_MAX_NANO)})")
    return nano


def format_money(micro: int, decimals: int = MICRO_DECIMALS) -> str:
    """
    Write an amount with at least `decimals` digits behind the point, and never fewer than it needs.

    >>> format_money(10_005_000, decimals=2)
    '10.005'
    """
    return _format(micro, MICRO_DECIMALS, decimals)


def format_nano(nano: int) -> str:
    """
    Write a price per unit with as many digits as it needs.

    >>> format_nano(12_000_000)
    '0.012'
    """
    return _format(nano, NANO_DECIMALS, 0)


def _format(value: int, scale: int, decimals: int) -> str:
    whole, fraction = divmod(abs(value), TEN[scale])
    digits = f"{fraction:0{scale}d}".rstrip("0").ljust(decimals, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def round_ratio(numerator: int, denominator: int, mode: str) -> int:
    """
    Round a non-negative exact ratio to a whole number.

    >>> [round_ratio(5, 2, mode) for mode in ROUNDING_MODES]
    [3, 2, 3, 2]
    """
    if mode == "up":
        return -(-numerator // denominator)
    whole, rest = divmod(numerator, denominator)
    if mode == "down":
        return whole
    if rest * 2 == denominator:
        return whole + (1 if mode == "half-up" else whole & 1)
    return whole + (rest * 2 > denominator)


def largest_rounding_to(whole: int, denominator: int, mode: str) -> int:
    """
    Give the largest numerator whose ratio `round_ratio` takes to at most `whole`.

    This is the exact inverse that lets a grant use up funds to the last unit.
    """
    if mode == "up":
        return whole * denominator
    if mode == "down":
        return (whole + 1) * denominator - 1
    twice = (2 * whole + 1) * denominator
    if mode == "half-even" and whole % 2 == 0:
        return twice // 2
    return (twice - 1) // 2
