"""
A request of ours about a session (RAR, ASR), which stays the same over every connection it is sent on.
"""

from __future__ import annotations

from collections.abc import Callable
from random import randrange
from typing import Any, NamedTuple

SECOND_US = 1_000_000
_LOW_BITS = 20  # of an End-to-End Identifier; above them are the low 12 bits of the time (RFC 6733 3)


class Ask(NamedTuple):
    """
    One request of ours.

    The End-to-End Identifier tells the client that it has seen the request already, whichever way it came; the
    Hop-by-Hop Identifier belongs to a connection and is not here (RFC 6733 3).
    """

    command: int
    body: bytes
    about: str  # the session's key; empty: of the connection itself, which nobody else can be asked
    end_to_end: int
    tried: tuple[Any, ...] = ()  # connections it was sent over before, in vain (`aaa.diameter.turns.Link`)


def end_to_end_numbers(now_us: int) -> Callable[[], int]:
    """Make End-to-End Identifiers that do not repeat within four minutes, not even after a restart (RFC 6733 3)."""
    low = randrange(1 << _LOW_BITS)  # noqa: S311 - tells starts apart, keeps no secret
    number = (now_us // SECOND_US << _LOW_BITS | low) & 0xFFFFFFFF

    def following() -> int:
        nonlocal number
        number = (number + 1) & 0xFFFFFFFF
        return number

    return following
