"""
The profiles that are shipped, by name, and how an operator's own is made from one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from aaa.radius.profiles.cisco import CISCO_VOIP
from aaa.radius.profiles.freeswitch import FREESWITCH, FREESWITCH_STOCK
from aaa.radius.profiles.hotspot import HOTSPOT
from aaa.radius.profiles.kamailio import KAMAILIO
from aaa.radius.profiles.profile import Profile

GENERIC = Profile(name="generic")

SHIPPED: dict[str, Profile] = {
    profile.name: profile for profile in (GENERIC, FREESWITCH, FREESWITCH_STOCK, CISCO_VOIP, KAMAILIO, HOTSPOT)
}

_OWN = frozenset(field.name for field in fields(Profile)) - {"name", "charge_keys"}
_LISTS = frozenset(("identity", "session_keys", "grants_by", "called", "calling", "takes"))


def own(name: str, settings: Mapping[str, Any]) -> Profile:
    """
    Make a profile of an operator's own: one that is shipped (`base`, default generic) with fields changed.

    Args:
        settings: `called`, `calling` and `takes` name attributes by their codes.

    Raises:
        ValueError: An unknown base or key, or a value of the wrong type; the text names it.
    """
    base = settings.get("base", "generic")
    if base not in SHIPPED:
        raise ValueError(f"base: no profile {base!r}, expected one of {', '.join(sorted(SHIPPED))}")
    changed: dict[str, Any] = {"name": name}
    for key, value in settings.items():
        if key == "base":
            continue
        if key not in _OWN:
            raise ValueError(f"{key}: no such profile key, expected one of {', '.join(sorted(_OWN))}")
        wanted = list if key in _LISTS else type(getattr(SHIPPED[base], key))
        if type(value) is not wanted:
            raise ValueError(f"{key}: expected {wanted.__name__}, got {type(value).__name__}")
        changed[key] = frozenset(value) if key == "takes" else tuple(value) if wanted is list else value
    return replace(SHIPPED[base], **changed)
