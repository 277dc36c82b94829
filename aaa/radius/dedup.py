"""
The first layer against repeats: the same datagram gets the same bytes, and is worked on once.

RFC 5080 2.2.2.  A request is known by source address and port, socket, Identifier and Request
Authenticator; a source that asks again and again is looked up once, and its requests by number.  The second
layer is the engine's (S7); it survives a restart, and sees a repeat that comes with a new Identifier.  Pure and
bounded: two generations, the older one dropped at each rotation, so that an entry lives for one period at least
and for less than three (5..30 s are asked for).
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum

PERIOD_US = 10_000_000
ENTRIES_MAX = 131_072  # per generation


class Seen(Enum):
    """What a request is to the cache."""

    NEW = "new"
    IN_PROGRESS = "in_progress"
    ANSWERED = "answered"
    CONFLICT = "conflict"


class Entry:
    """One request, with its answer once it has one."""

    __slots__ = ("answer", "authenticator", "digest")

    def __init__(self, authenticator: bytes, digest: int) -> None:
        self.authenticator = authenticator
        self.digest = digest
        self.answer: bytes | None = None

    def forget(self) -> None:
        """The request ended without an answer: its repeat is to be tried again."""
        self.authenticator = b""  # no repeat has that


class _Source:
    """What one source asked in a generation, and in the one before."""

    __slots__ = ("before", "entries")

    def __init__(self, before: dict[int, Entry]) -> None:
        self.before = before
        self.entries: dict[int, Entry] = {}


class Dedup:
    """
    Requests of the last seconds with their answers.

    Guarantees:
        A request that was seen is NEW again only after it was forgotten, after another one took its
        place (same source and number, other authenticator), or after a full period.
    """

    def __init__(self, period_us: int = PERIOD_US, entries_max: int = ENTRIES_MAX) -> None:
        self._period_us = period_us
        self._entries_max = entries_max
        self._young: dict[Hashable, _Source] = {}
        self._old: dict[Hashable, _Source] = {}
        self._young_entries = 0
        self._old_entries = 0
        self._rotates_us = 0
        self.evictions = 0

    def __len__(self) -> int:
        return self._young_entries + self._old_entries

    def see(self, source: Hashable, number: int, authenticator: bytes, data: bytes, now_us: int) -> tuple[Seen, Entry]:
        """
        Say what a request is and remember it if it is new; its answer, when it is made, is put into its entry.

        Args:
            source: Its address and port.
            number: Its Identifier, with the socket's number above it.
            data: The whole packet; one with the authenticator of another but other bytes is a conflict.

        Returns:
            The state, with the entry of the request that was asked about or, on a conflict, that it conflicts with.
        """
        if now_us >= self._rotates_us or self._young_entries >= self._entries_max:
            self._rotate(now_us)
        asked = self._young.get(source)
        if asked is None:
            before = self._old.get(source)
            asked = self._young[source] = _Source({} if before is None else before.entries)
        young = asked.entries.get(number)
        entry = asked.before.get(number) if young is None else young
        digest = hash(data)
        if entry is not None and entry.authenticator == authenticator:
            if entry.digest != digest:
                return Seen.CONFLICT, entry
            return Seen.IN_PROGRESS if entry.answer is None else Seen.ANSWERED, entry
        if young is None:
            self._young_entries += 1
        entry = asked.entries[number] = Entry(authenticator, digest)
        return Seen.NEW, entry

    def _rotate(self, now_us: int) -> None:
        if now_us < self._rotates_us:
            self.evictions += self._old_entries
        is_next = now_us < self._rotates_us + self._period_us
        self._old, self._old_entries = (self._young, self._young_entries) if is_next else ({}, 0)
        self._young, self._young_entries = {}, 0
        self._rotates_us = now_us + self._period_us
