"""
Service units: what is requested, used, granted and paid, to and from integers (RFC 8506 8.17-8.26).

A unit is named by the AVP a peer counts in; the engine knows seconds, octets, events and money (micro).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid

UNIT_OF = {
    n.CC_TIME: "seconds",
    n.CC_TOTAL_OCTETS: "octets",
    n.CC_INPUT_OCTETS: "octets",
    n.CC_OUTPUT_OCTETS: "octets",
    n.CC_SERVICE_SPECIFIC_UNITS: "events",
    n.CC_MONEY: "money",
}
USUAL_AVP = {"seconds": n.CC_TIME, "octets": n.CC_TOTAL_OCTETS, "events": n.CC_SERVICE_SPECIFIC_UNITS}
MICRO_DIGITS = 6
SECOND_US = 1_000_000
_NTP_UNIX_S = 2_208_988_800
_NTP_ERA_S = 1 << 32
EXPONENT_MAX = 9
UNITS_MAX = 1 << 50  # a petabyte: more in one report is a broken counter
EVENTS_MAX = 1_000_000_000
MONEY_MAX_MICRO = 1 << 60
CURRENCIES = {
    "EUR": 978, "USD": 840, "GBP": 826, "CHF": 756, "SEK": 752, "NOK": 578, "DKK": 208, "PLN": 985, "CZK": 203,
    "HUF": 348, "RON": 946, "BGN": 975, "RUB": 643, "UAH": 980, "TRY": 949, "JPY": 392, "CNY": 156, "INR": 356,
    "BRL": 986, "MXN": 484, "CAD": 124, "AUD": 36, "NZD": 554, "ZAR": 710, "KES": 404, "NGN": 566, "SGD": 702,
    "HKD": 344, "KRW": 410, "THB": 764, "IDR": 360, "MYR": 458, "PHP": 608, "VND": 704, "AED": 784, "SAR": 682,
    "ILS": 376, "EGP": 818, "PKR": 586, "BDT": 50, "ARS": 32, "CLP": 152, "COP": 170, "PEN": 604, "ISK": 352,
}  # fmt: skip
"""ISO 4217 numeric codes; amounts in another currency are told without one."""

# AVPs that are written together with their groups; what stands beside a code is M and the length.
_M = codec.MANDATORY << 24
_TIME = struct.Struct(">IIIII")
_COUNTED = struct.Struct(">IIIIQ")
_VALUE_HEAD = struct.pack(">IIII", n.UNIT_VALUE, _M | 36, n.VALUE_DIGITS, _M | 16)
_DIGITS = struct.Struct(">q")
_TAILS: dict[tuple[int, int], bytes] = {}  # Exponent and Currency-Code, by currency and exponent
MONEY_SIZE = 48  # of an amount with an exponent in a currency that has a number


class Amount(NamedTuple):
    """Units of one kind; `code` is the AVP they were written in, `currency` set for money, `source` their AVP."""

    code: int
    units: int
    currency: int
    source: Avp


def amounts(inner: Sequence[Avp]) -> list[Amount]:
    """
    Every amount in a Requested- or Used-Service-Unit, in the order they were written.

    Raises:
        Invalid: A value that cannot be meant.
    """
    found = []
    for one in inner:
        if one.key == n.CC_MONEY:
            found.append(_money(one))
        elif one.key in UNIT_OF:
            units = codec.read_u32(one) if one.key == n.CC_TIME else codec.read_u64(one)
            if units > most_units(one.key):
                raise Invalid(codec.INVALID_AVP_VALUE, one.encoded(), "more units than there can be")
            found.append(Amount(one.key, units, 0, one))
    return found


def most_units(code: int) -> int:
    """The most that can be meant in one report."""
    return EVENTS_MAX if code == n.CC_SERVICE_SPECIFIC_UNITS else UNITS_MAX


def tariff_change_usage(inner: Sequence[Avp]) -> int:
    """
    On which side of a tariff change units were used: 0 before, 1 after, 2 nobody knows (RFC 8506 8.27).

    Raises:
        Invalid: Another value.
    """
    side = 2
    for one in inner:
        if one.key == n.TARIFF_CHANGE_USAGE:
            side = codec.read_i32(one)
            if side not in (0, 1, 2):
                raise Invalid(codec.INVALID_AVP_VALUE, one.encoded())
    return side


def _money(outer: Avp) -> Amount:
    """An amount of money in micro; exact or refused (S23)."""
    digits: int | None = None
    exponent = currency = 0
    for one in codec.group(outer):
        if one.key == n.CURRENCY_CODE:
            currency = codec.read_u32(one)
        elif one.key == n.UNIT_VALUE:
            for inner in codec.group(one):
                if inner.key == n.VALUE_DIGITS:
                    digits = codec.read_i64(inner)
                    if digits < 0:
                        raise Invalid(codec.INVALID_AVP_VALUE, inner.encoded(), "an amount below zero")
                elif inner.key == n.EXPONENT:
                    exponent = codec.read_i32(inner)
                    if abs(exponent) > EXPONENT_MAX:
                        raise Invalid(codec.INVALID_AVP_VALUE, inner.encoded(), "exponent out of range")
    if digits is None:
        raise codec.missing(n.VALUE_DIGITS)
    shift = exponent + MICRO_DIGITS
    if shift < 0 and digits % 10**-shift:
        raise Invalid(codec.INVALID_AVP_VALUE, outer.encoded(), "finer than a millionth")
    micro = digits * 10**shift if shift >= 0 else digits // 10**-shift
    if micro > MONEY_MAX_MICRO:
        raise Invalid(codec.INVALID_AVP_VALUE, outer.encoded(), "more money than there can be")
    return Amount(n.CC_MONEY, micro, currency, outer)


def granted(code: int, units: int, currency: str, switch: bytes = b"") -> bytes:
    """Write a Granted-Service-Unit in the AVP that was asked for, behind its Tariff-Time-Change."""
    if code == n.CC_MONEY:
        inner = codec.avp(n.CC_MONEY, money(units, currency))
    elif code == n.CC_TIME:
        if not switch:
            return _TIME.pack(n.GRANTED_SERVICE_UNIT, _M | 20, n.CC_TIME, _M | 12, min(units, 0xFFFFFFFF))
        inner = codec.u32(code, min(units, 0xFFFFFFFF))
    else:
        if not switch:
            return _COUNTED.pack(n.GRANTED_SERVICE_UNIT, _M | 24, code, _M | 16, units)
        inner = codec.u64(code, units)
    return codec.avp(n.GRANTED_SERVICE_UNIT, switch + inner)


def time_of(seconds: int) -> int:
    """An NTP timestamp in our time; small values belong to the era after 2036 (RFC 6733 4.3.1)."""
    if seconds < _NTP_ERA_S // 2:
        seconds += _NTP_ERA_S
    return (seconds - _NTP_UNIX_S) * SECOND_US


def ntp_time(at_us: int) -> int:
    """An instant as an NTP timestamp, in whole seconds."""
    return (at_us // SECOND_US + _NTP_UNIX_S) % _NTP_ERA_S


def money(micro: int, currency: str) -> bytes:
    """Write Unit-Value and Currency-Code, with as few digits as are exact."""
    exponent = -MICRO_DIGITS
    if micro % 10_000 == 0:
        micro, exponent = micro // 10_000, -2
    while micro % 10 == 0 and exponent < 0:
        micro //= 10
        exponent += 1
    number = CURRENCIES.get(currency)
    if exponent and number:
        tail = _TAILS.get((number, exponent))
        if tail is None:
            tail = codec.i32(n.EXPONENT, exponent) + codec.u32(n.CURRENCY_CODE, number)
            _TAILS[number, exponent] = tail
        return _VALUE_HEAD + _DIGITS.pack(micro) + tail
    value = codec.i64(n.VALUE_DIGITS, micro) + (codec.i32(n.EXPONENT, exponent) if exponent else b"")
    return codec.avp(n.UNIT_VALUE, value) + (codec.u32(n.CURRENCY_CODE, number) if number else b"")
