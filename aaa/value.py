"""
The base of the values that every request passes through.

A value is made once and never changed; `msgspec.structs.replace` makes the next one.  It is a struct and not a
named tuple because a request makes and reads dozens of them, and a struct is made in a third of the time and
read in half.  Stored, it is a JSON array of its fields in their order, so fields are only ever appended.
Values refer to values alone, never in a circle, so the garbage collector need not look at them.
"""

from __future__ import annotations

from msgspec import Struct


class Value(Struct, frozen=True, gc=False, array_like=True):
    """An immutable record."""
