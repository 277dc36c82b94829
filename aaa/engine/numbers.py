"""
Number normalisation: what a client sends becomes one E.164 number without a plus (SEMANTICS S22).

Tariffs are written by international prefix, switches send what was dialled: `+44 20 7946 0001`,
`00442079460001`, `02079460001`, `sip:442079460001@pbx.example`.  A client's plan says how its numbers
are dialled; without a plan only a plus, separators and URI parts are removed.  Text that is no number
(an access point name, a SIP user by name) stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_SEPARATORS = str.maketrans("", "", " -.()/")
_URI = re.compile(r"(?:sips?|tel):", re.IGNORECASE)
_E164_MAX = 15  # digits, E.164 section 6
_KNOWN_MAX = 16_384


class NumberPlan(NamedTuple):
    """
    How one client dials: prefixes as dialled, codes as in E.164.

    `strip` are prefixes removed first (a PBX's outside line); at most one is.  With `area` set a number
    without any prefix is local to it; without, it is taken as international already.
    """

    country: str = ""
    area: str = ""
    international: tuple[str, ...] = ("+",)
    national: str = ""
    strip: tuple[str, ...] = ()


class Normaliser:
    """
    `normalise` under one plan, for numbers that come again and again: a call names its parties in each request.
    """

    __slots__ = ("_known", "_plan")

    def __init__(self, plan: NumberPlan) -> None:
        self._plan = plan
        self._known: dict[str, str] = {}

    def of(self, received: str) -> str:
        """The number a tariff is looked up by; nothing for nothing."""
        found = self._known.get(received)
        if found is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            found = self._known[received] = normalise(received, self._plan) if received else ""
        return found


class Number(NamedTuple):
    """A number as normalised, and in the forms an emergency list is matched against (S21)."""

    normalised: str
    dialled: str  # digits as received
    stripped: str  # without the outside line's prefix


PLAIN = NumberPlan()


def plan_from(settings: Mapping[str, Any] | None) -> NumberPlan:
    """
    Build a plan from a `numbers` table of the configuration.

    Lists and single texts are both taken; longer prefixes are tried first.

    >>> plan_from({"country": "44", "international": ["+", "00"], "national": "0"}).international
    ('00', '+')
    """
    if not settings:
        return PLAIN
    return NumberPlan(
        country=str(settings.get("country", "")),
        area=str(settings.get("area", "")),
        international=_longest_first(settings.get("international", ("+",))),
        national=str(settings.get("national", "")),
        strip=_longest_first(settings.get("strip", ())),
    )


def normalise(received: str, plan: NumberPlan = PLAIN) -> str:
    """
    Return the number a tariff is looked up by.

    >>> normalise("sip:0044-20-7946-0001@pbx.example;user=phone", plan_from({"international": "00"}))
    '442079460001'
    >>> normalise("030 1234", plan_from({"country": "49", "national": "0"}))
    '49301234'
    >>> normalise("internet.example")
    'internet.example'
    """
    if plan is PLAIN and received.isdecimal() and received.isascii():
        return received
    return parse(received, plan).normalised


def parse(received: str, plan: NumberPlan = PLAIN) -> Number:
    """Return the normalised number together with what was dialled."""
    if plan is PLAIN and received.isdecimal() and received.isascii():
        return Number(received, received, received)
    user = _user_part(received)
    dialled = user.translate(_SEPARATORS)
    digits = dialled.removeprefix("+")
    if not (digits.isdecimal() and digits.isascii()):
        return Number(user, user, user)
    stripped = dialled
    for prefix in plan.strip:
        if dialled.startswith(prefix) and len(dialled) > len(prefix):
            stripped = dialled[len(prefix) :]
            break
    return Number(_international(stripped, plan), digits, stripped.removeprefix("+"))


def _international(number: str, plan: NumberPlan) -> str:
    if number.startswith("+"):
        return number[1:]
    for prefix in plan.international:
        if number.startswith(prefix) and len(number) > len(prefix):
            return number[len(prefix) :]
    if plan.country and plan.national and number.startswith(plan.national):
        return plan.country + number[len(plan.national) :]
    if plan.country and plan.area:
        return plan.country + plan.area + number
    return number


def _user_part(received: str) -> str:
    """Return the user part of a SIP or tel URI, of `user@host`, or the text itself, without parameters."""
    found = _URI.match(received)
    if found:
        received = received[found.end() :]
    received = received.partition("@")[0] if "@" in received else received
    if ";" in received:
        received = received.partition(";")[0]
    return received.strip()


def _longest_first(prefixes: Any) -> tuple[str, ...]:
    texts = (prefixes,) if isinstance(prefixes, str) else tuple(str(prefix) for prefix in prefixes)
    return tuple(sorted((text for text in texts if text), key=len, reverse=True))


def looks_like_number(text: str) -> bool:
    """Tell whether a text can be a telephone number (up to 15 digits, a plus in front allowed)."""
    digits = text if text.isdecimal() else text.translate(_SEPARATORS).removeprefix("+")
    return digits.isdecimal() and digits.isascii() and len(digits) <= _E164_MAX
