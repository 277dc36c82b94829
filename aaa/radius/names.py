"""
Attribute names of the configuration, resolved once at start through pyrad's dictionaries.

The server names attributes by code (`aaa.radius.attributes`); operators name them as every RADIUS
dictionary does.  The files are in `aaa/radius/dictionaries`, `dictionaries/` at the top is the same place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pyrad.dictionary import Dictionary

DIRECTORY = Path(__file__).parent / "dictionaries"


@cache
def dictionary() -> Dictionary:
    """Return the shipped dictionaries, parsed once."""
    return Dictionary(str(DIRECTORY / "dictionary"))


def code_of(name: str) -> int | None:
    """
    Return the code of an attribute by its dictionary name, None when no dictionary has it.

    >>> code_of("User-Name"), code_of("h323-credit-time") == 9 * 256 + 102, code_of("No-Such-Thing")
    (1, True, None)
    """
    known = dictionary()
    if name not in known.attributes:
        return None
    entry = known.attributes[name]
    vendor = int(known.vendors.GetForward(entry.vendor)) if entry.vendor else 0
    return (vendor << 8) | int(entry.code)


def type_of(name: str) -> str:
    """Return the dictionary's type of an attribute: string, integer, ipaddr, octets, date, ..."""
    return str(dictionary().attributes[name].type)
