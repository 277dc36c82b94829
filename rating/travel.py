"""
How the values of a tariff travel to another process: as what they are made from.

Classes that are compiled cannot be pickled field by field, as plain ones are.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def remade(value: Any) -> tuple[Any, ...]:
    """What `__reduce__` of a dataclass tells: its class, and the arguments that make it again."""
    return type(value), tuple([getattr(value, field.name) for field in fields(value)])
