"""
Longest-prefix lookup for many tariffs at once.

All tariffs of a world list much the same prefixes.  They share one `PrefixIndex` (text to number); each
table of a tariff adds only columns of small integers over those numbers: 50 tariffs of 100,000 prefixes
take some 30 MB instead of 350, and a lookup probes one dict per existing length, longest first.
"""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Sequence


class PrefixIndex:
    """Numbers for prefixes, given out as they come; never shrinks, dies with the last tariff using it."""

    __slots__ = ("__weakref__", "number", "prefixes")

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.prefixes: list[str] = []

    def add(self, prefixes: Sequence[str]) -> list[int]:
        """Number these prefixes, new ones included."""
        number, known = self.number, self.prefixes
        try:
            return [number[prefix] for prefix in prefixes]
        except KeyError:
            pass
        for prefix in prefixes:
            if prefix not in number:
                number[prefix] = len(known)
                known.append(prefix)
        return [number[prefix] for prefix in prefixes]


_latest: weakref.ref[PrefixIndex] | None = None


def index_for(prefixes: Sequence[str]) -> PrefixIndex:
    """
    Choose the index a table joins: the latest one when it fits, else a new one.

    It fits when at least half of the prefixes are known and the columns would not be mostly empty.
    Sharing saves memory and changes no result, as interning of strings does.
    """
    global _latest  # noqa: PLW0603
    index = _latest() if _latest is not None else None
    if index is not None:
        known = sum(map(index.number.__contains__, prefixes))
        if known * 2 >= len(prefixes) and len(index.prefixes) <= 4 * len(prefixes):
            return index
    index = PrefixIndex()
    if len(prefixes) >= 1_000:
        _latest = weakref.ref(index)
    return index


class PrefixTable:
    """
    What one tariff says about prefixes: two small integers (rate set, name) per prefix.

    Args:
        rate_sets: Per prefix, which of the tariff's rate sets applies.
        names: Per prefix, which of the tariff's destination names it bears.
    """

    __slots__ = ("_index", "_lengths", "_names", "_rate_sets", "size")

    def __init__(self, prefixes: Sequence[str], rate_sets: Sequence[int], names: Sequence[int]) -> None:
        self._index = index_for(prefixes)
        numbers = self._index.add(prefixes)
        self.size = len(prefixes)
        self._rate_sets = _column(numbers, [value + 1 for value in rate_sets])
        self._names = _column(numbers, names)
        self._lengths = tuple(sorted({len(prefix) for prefix in prefixes}, reverse=True))

    def match(self, destination: str) -> int | None:
        """The number of the longest prefix of this destination that the tariff lists."""
        number, rate_sets = self._index.number, self._rate_sets
        size = len(rate_sets)
        for length in self._lengths:
            found = number.get(destination[:length])
            if found is not None and found < size and rate_sets[found]:
                return found
        return None

    def shorter(self, found: int) -> int | None:
        """The number of the next shorter prefix of a prefix."""
        prefix = self.prefix(found)
        return self.match(prefix[:-1]) if prefix else None

    def prefix(self, found: int) -> str:
        """The text of a prefix."""
        return self._index.prefixes[found]

    def rate_set(self, found: int) -> int:
        """The rate set of a prefix."""
        return self._rate_sets[found] - 1

    def name(self, found: int) -> int:
        """The destination name of a prefix."""
        return self._names[found]


def _column(numbers: Sequence[int], values: Sequence[int]) -> array[int]:
    """Values placed at their numbers, 0 elsewhere, in the narrowest integers that hold them."""
    kind = "H" if max(values, default=0) < 1 << 16 else "I"
    size = max(numbers, default=-1) + 1
    if size == len(numbers) and numbers == list(range(size)):
        return array(kind, values)
    column = array(kind, bytes(array(kind).itemsize * size))
    for number, value in zip(numbers, values, strict=True):
        column[number] = value
    return column
