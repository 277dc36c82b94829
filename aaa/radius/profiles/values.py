"""
Values of voice attributes: prefixed texts, call GUIDs, the two time formats (DIGEST R-VOIP-01, -10, -11).
"""

from __future__ import annotations

import re
from calendar import timegm
from functools import lru_cache

from aaa.engine.terms import SECOND_US
from aaa.radius.attributes import CISCO_AVPAIR, Attributes, as_text, every

_MONTH_NAMES = "JanFebMarAprMayJunJulAugSepOctNovDec"
_CISCO_TIME = re.compile(
    r"[*.]?(?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,6}))? (?P<zone>\S+) "
    r"\w{3} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<year>\d{4})"
)
_ISO_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T(?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,6}))?(?P<zone>Z|[+-]\d\d:?\d*)?"
)
_UTC = frozenset(("UTC", "GMT", "Z", ""))


def without_prefix(value: str, name: str) -> str:
    """
    Remove the attribute's own name, which many gateways put into the value.

    >>> without_prefix("h323-credit-time=60", "h323-credit-time"), without_prefix("60", "h323-credit-time")
    ('60', '60')
    """
    return value[len(name) + 1 :] if value.startswith(name + "=") else value


def conference_id(value: str) -> str:
    """
    Normalise a call GUID for comparison: groups without leading zeros, lower case.

    >>> conference_id("h323-conf-id=8E5F2A10 03C4B11D 80010002 B3A4C5D6")
    '8e5f2a10 3c4b11d 80010002 b3a4c5d6'
    >>> conference_id("3f2b1c60-82e4-11ee-b962-0242ac120002")
    '3f2b1c60-82e4-11ee-b962-0242ac120002'
    """
    value = without_prefix(value, "h323-conf-id").strip().lower()
    if " " not in value:
        return value
    return " ".join(group.lstrip("0") or "0" for group in value.split())


def pair(attributes: Attributes, name: str) -> str:
    """Return the value of the Cisco-AVPair `name=value`, "" when there is none; the last one wins."""
    if CISCO_AVPAIR not in attributes:
        return ""
    start = name.encode() + b"="
    found = b""
    for value in every(attributes, CISCO_AVPAIR):
        if value.startswith(start):
            found = value[len(start) :]
    return as_text(found) if found else ""


def instant(value: str) -> int:
    """
    Read a time in either form as microseconds UTC; 0 for what cannot be placed.

    A named zone other than UTC is not placed: its offset is not in the value.  FreeSWITCH prints the
    minutes of a zone as seconds ("+051800" for +05:30), which is read as meant.

    >>> instant("2023-11-14T12:00:05.120000+0000") == instant("*12:00:05.120 UTC Tue Nov 14 2023")
    True
    >>> instant("2023-11-14T17:30:05+051800") == instant("2023-11-14T12:00:05Z")
    True
    >>> instant("12:00:05.120 CEST Tue Nov 14 2023"), instant("yesterday")
    (0, 0)
    """
    found = _ISO_TIME.match(value)
    if found:
        offset_s = _offset(found["zone"] or "")
        midnight = _midnight(found["date"])
    else:
        found = _CISCO_TIME.match(value)
        if not found or found["month"] not in _MONTH_NAMES:
            return 0
        month = _MONTH_NAMES.index(found["month"]) // 3 + 1
        offset_s = _offset(found["zone"])
        midnight = _midnight(f"{found['year']}-{month:02}-{int(found['day']):02}")
    if offset_s is None or midnight is None:
        return 0
    clock = found["clock"]
    second = int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:])
    fraction_us = int((found["fraction"] or "0").ljust(6, "0"))
    return (midnight + second - offset_s) * SECOND_US + fraction_us


@lru_cache(maxsize=64)
def _midnight(date: str) -> int | None:
    year, month, day = int(date[:4]), int(date[5:7]), int(date[8:])
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    return timegm((year, month, day, 0, 0, 0))


@lru_cache(maxsize=64)
def _offset(zone: str) -> int | None:
    """Return the offset of a zone in seconds, None for a name that is not UTC."""
    if zone in _UTC:
        return 0
    if zone[0] not in "+-":
        return None
    digits = zone[1:].replace(":", "")
    if not digits.isdecimal():
        return None
    hours, rest = int(digits[:2]), digits[2:]
    rest_s = int(rest or "0") * (1 if len(rest) > 2 else 60)
    return (hours * 3600 + rest_s) * (1 if zone[0] == "+" else -1)
