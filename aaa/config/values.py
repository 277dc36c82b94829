"""
Small values of configuration and apply files: durations, money, addresses, pulses.

Each parser takes the text as a person wrote it and raises ValueError with the reason in plain words;
pydantic turns that into a problem with file, table and key.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

MICRO = 1_000_000
MONEY_LIMIT_MICRO = 10**18  # far below 2**63, so that sums of balances stay inside a BIGINT

_DURATION_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9})([smhd])")
_SIZE_UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"(\d{1,9})\s*([A-Za-z]+)")
_PULSE = re.compile(r"(\d{1,12})/(\d{1,12})")
_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]\s]+)):(\d{1,5})")


def parse_duration(text: Any) -> int:
    """
    Seconds of a duration with its unit.

    >>> parse_duration("5m"), parse_duration("4h"), parse_duration("400d")
    (300, 14400, 34560000)
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is no duration: a string with a unit is expected, such as "30s", "5m", "4h", "7d"')
    return int(match[1]) * _DURATION_UNITS_S[match[2]]


def parse_size(text: Any) -> int:
    """
    Octets of a size with its unit.

    >>> parse_size("1MB"), parse_size("2 KiB")
    (1000000, 2048)
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f'{text!r} is no size: a string with a unit is expected, such as "64kB" or "256MiB"')
    return int(match[1]) * _SIZE_UNITS[match[2]]


def parse_money(text: Any) -> int:
    """
    Micro-units of an amount written as a decimal string; never a float, which could not hold it.

    >>> parse_money("10.00"), parse_money("-0.000001")
    (10000000, -1)
    """
    if not isinstance(text, str):
        raise ValueError(f'{text!r}: money is written as a string, such as "10.00"')
    try:
        amount = Decimal(text) * MICRO
    except InvalidOperation:
        raise ValueError(f'{text!r} is no amount of money: expected digits such as "10.00"') from None
    if not amount.is_finite():
        raise ValueError(f"{text!r} is no amount of money")
    if abs(amount) >= MONEY_LIMIT_MICRO:
        raise ValueError(f"{text!r} is too large: the limit is {MONEY_LIMIT_MICRO // MICRO}")
    if amount != int(amount):
        raise ValueError(f"{text!r} has more than 6 decimals")
    return int(amount)


def money_text(amount_micro: int) -> str:
    """
    The decimal form of an amount, always with six decimals.

    >>> money_text(-1), money_text(12_345_000)
    ('-0.000001', '12.345000')
    """
    sign = "-" if amount_micro < 0 else ""
    return f"{sign}{abs(amount_micro) // MICRO}.{abs(amount_micro) % MICRO:06d}"


def parse_pulse(text: Any) -> tuple[int, int]:
    """
    Initial and next charging interval.

    >>> parse_pulse("60/6")
    (60, 6)
    """
    match = _PULSE.fullmatch(text) if isinstance(text, str) else None
    if match is None or not int(match[1]) or not int(match[2]):
        raise ValueError(f'{text!r} is no pulse: expected initial/next, both above 0, such as "60/6"')
    return int(match[1]), int(match[2])


def split_host_port(text: str) -> tuple[str, int]:
    """
    Host and port of `host:port`; IPv6 addresses stand in brackets.

    >>> split_host_port("0.0.0.0:1812"), split_host_port("[::1]:3799")
    (('0.0.0.0', 1812), ('::1', 3799))
    """
    match = _HOST_PORT.fullmatch(text)
    if match is None or not int(match[3]) <= 65_535:
        raise ValueError(f'{text!r} is no address: expected "host:port", IPv6 as "[::1]:1812"')
    return match[1] or match[2], int(match[3])


def _checked_host_port(text: str) -> str:
    split_host_port(text)
    return text


def _checked_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}: expected an address or network such as 10.0.0.0/28 or 2001:db8::/32") from None
    return text


def is_loopback(network: str) -> bool:
    """Whether an address or network (CIDR) lies wholly on the loopback interface."""
    return ipaddress.ip_network(network).is_loopback


Seconds = Annotated[int, BeforeValidator(parse_duration)]
Octets = Annotated[int, BeforeValidator(parse_size)]
Micro = Annotated[int, BeforeValidator(parse_money)]
HostPort = Annotated[str, AfterValidator(_checked_host_port)]
Network = Annotated[str, AfterValidator(_checked_network)]
