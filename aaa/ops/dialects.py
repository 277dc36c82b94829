"""
The reference pages of the protocols: what the shipped profiles send and take, which attributes and AVPs have a meaning.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

from aaa.diameter import names as avps
from aaa.diameter.dictionary import DEFINITIONS, VENDOR_3GPP
from aaa.engine.terms import ChargeKey
from aaa.radius.names import code_of, dictionary
from aaa.radius.profiles.profile import Profile
from aaa.radius.profiles.shipped import SHIPPED

_CODES = ("called", "calling", "takes")  # fields that hold codes of attributes
_NO_AVPS = ("APPLICATION_",)


def radius() -> str:
    """Profiles side by side, and the attributes of the dictionaries."""
    names = _attribute_names()
    profiles = list(SHIPPED.values())
    rows = [f"| key | {' | '.join(f'`{profile.name}`' for profile in profiles)} |", "|---" * (len(profiles) + 1) + "|"]
    for field in fields(Profile):
        if field.name != "name":
            values = [_value(field.name, getattr(profile, field.name), names) for profile in profiles]
            rows.append(f"| `{field.name}` | {' | '.join(values)} |")
    known = ["| attribute | vendor | number | type |", "|---|---|---|---|"]
    for name, code in sorted((name, code) for code, name in names.items()):
        entry = dictionary().attributes[name]
        known.append(f"| {name} | {entry.vendor or ''} | {code & 0xFF if entry.vendor else code} | {entry.type} |")
    return "\n".join(
        [
            "# RADIUS\n",
            "## Profiles\n",
            "What a client of a profile sends, and what it is sent; the keys are those of a `[[profile]]` table "
            "([write a profile](../how-to/write-a-profile.md)).\n",
            *rows,
            "",
            *_meanings(),
            "\n## Attributes\n",
            "Those that the shipped dictionaries name, and that a profile of your own may name.\n",
            *known,
            "",
        ]
    )


def diameter() -> str:
    """The AVPs that are read or written by their meaning."""
    found = {}
    for constant, value in vars(avps).items():
        is_avp = constant.isupper() and isinstance(value, int) and not constant.startswith(("_", *_NO_AVPS))
        if is_avp and value in DEFINITIONS and DEFINITIONS[value].name.upper().replace("-", "_") == constant:
            found[value] = DEFINITIONS[value]
    rows = ["| AVP | code | vendor | type |", "|---|---|---|---|"]
    for key, definition in sorted(found.items(), key=lambda item: (item[0] >> 32, item[0])):
        vendor = "3GPP" if key >> 32 == VENDOR_3GPP else ""
        rows.append(f"| {definition.name} | {key & 0xFFFFFFFF} | {vendor} | {definition.kind} |")
    return "\n".join(
        [
            "# Diameter\n",
            "The AVPs that have a meaning here; [diameter.md](../diameter.md) says which one. Others are passed over, "
            "unless they are mandatory and unknown (RFC 6733 section 7.5).\n",
            *rows,
            "",
        ]
    )


def _meanings() -> list[str]:
    """What each key of a profile means, from where it is defined."""
    told = inspect.cleandoc(Profile.__doc__ or "")
    found = re.findall(r"^    ([a-z_, ]+): (.*?)(?=^    [a-z_, ]+: |^\S|\Z)", told, re.MULTILINE | re.DOTALL)
    return [f"* `{names.replace(', ', '`, `')}`: {' '.join(text.split())}" for names, text in found]


def _attribute_names() -> dict[int, str]:
    """The dictionary name of every code, the first of several."""
    names: dict[int, str] = {}
    for name in dictionary().attributes:
        code = code_of(name)
        if code is not None:
            names.setdefault(code, name)
    return names


def _value(key: str, value: Any, names: dict[int, str]) -> str:
    """A field of a profile for a cell of a table."""
    if value is None:
        return "all"
    if key in _CODES:
        return ", ".join(
            sorted(names.get(code, str(code)) for code in value) if key == "takes" else map(names.__getitem__, value)
        )
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, tuple):
        return ", ".join(_line(each) if isinstance(each, ChargeKey) else str(each) for each in value)
    return str(value) if value else ""


def _line(key: ChargeKey) -> str:
    return f"{key.service} in {key.unit}"
