"""
The base of the values that every request passes through.

A value is made once and never changed; `msgspec.structs.replace` makes the next one.  It is a struct and not a
named tuple because a request makes and reads dozens of them, and a struct is made in a third of the time and
read in half.  Stored, it is a JSON array of its fields in their order, so fields are only ever appended.
Values refer to values alone, never in a circle, so the garbage collector need not look at them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct

ValueT = TypeVar("ValueT", bound="Value")


class Value(Struct, frozen=True, gc=False, array_like=True):
    """An immutable record."""


def replace(value: ValueT, **changes: Any) -> ValueT:
    """
    The next value, for modules that are never compiled.

    Where a value's own module is compiled it is a class of C and no struct, which `msgspec.structs.replace` does
    not know; compiled modules name that function, and the compiled build puts the class's own in its place.
    """
    return value.__replace__(**changes)


def fields_of(value: Any) -> tuple[object, ...]:
    """The fields of a value that is a class of C, for an encoder of JSON, which knows structs alone."""
    fields: tuple[object, ...] = value.__fields__()
    return fields
