"""
Which session names an embedded store has ever been given: asked before every Begin, so that most need no read.

A Bloom filter over Python's own hash of the text, which the name's dictionary look-ups have computed
anyway.  It may say yes for a name that was never stored, which costs a read; it never says no for one that
was.  Purged names stay in it until the next start: that too costs reads, never truth.
"""

from __future__ import annotations

from collections.abc import Iterable

BITS = 27  # 16 MB: one false yes in 600 with 2 million names, one in 25 with 10 million
_MASK = (1 << BITS) - 1
_SHIFT = 64 - BITS


class NameFilter:
    """Names that may be stored."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray(1 << (BITS - 3))

    def add(self, name: str) -> None:
        """Remember a name that is, or may soon be, stored."""
        bits, number = self._bits, hash(name)
        first, second = number & _MASK, number >> _SHIFT & _MASK
        bits[first >> 3] |= 1 << (first & 7)
        bits[second >> 3] |= 1 << (second & 7)

    def may_hold(self, names: Iterable[str]) -> bool:
        """Whether one of these names may be stored; a session named by its number always may."""
        bits = self._bits
        for name in names:
            if name[0] == "#":
                return True
            number = hash(name)
            first = number & _MASK
            if bits[first >> 3] >> (first & 7) & 1:
                second = number >> _SHIFT & _MASK
                if bits[second >> 3] >> (second & 7) & 1:
                    return True
        return False
