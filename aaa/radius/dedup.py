"""
The first layer against repeats: the same datagram gets the same bytes, and is worked on once.

RFC 5080 2.2.2.  A request is known by source address and port, socket, Identifier and Request
Authenticator.  The second layer is the engine's (S7); it survives a restart, and sees a repeat that comes
with a new Identifier.  Pure and bounded: two generations, the older one dropped at each rotation, so that
an entry lives for one period at least and for less than three (5..30 s are asked for).
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


class Dedup:
    """
    Requests of the last seconds with their answers.

    Guarantees:
        A key that was seen is NEW again only after it was forgotten, after another request took its
        place (same source and Identifier, other authenticator), or after a full period.
    """

    def __init__(self, period_us: int = PERIOD_US, entries_max: int = ENTRIES_MAX) -> None:
        self._period_us = period_us
        self._entries_max = entries_max
        self._young: dict[Hashable, Entry] = {}
        self._old: dict[Hashable, Entry] = {}
        self._rotates_us = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def see(self, key: Hashable, authenticator: bytes, data: bytes, now_us: int) -> tuple[Seen, Entry]:
        """
        Say what a request is and remember it if it is new; its answer, when it is made, is put into its entry.

        Args:
            key: Source, socket and Identifier.
            data: The whole packet; one with the authenticator of another but other bytes is a conflict.

        Returns:
            The state, with the entry of the request that was asked about or, on a conflict, that it conflicts with.
        """
        if now_us >= self._rotates_us or len(self._young) >= self._entries_max:
            self._rotate(now_us)
        entry = self._young.get(key) or self._old.get(key)
        digest = hash(data)
        if entry is not None and entry.authenticator == authenticator:
            if entry.digest != digest:
                return Seen.CONFLICT, entry
            return Seen.IN_PROGRESS if entry.answer is None else Seen.ANSWERED, entry
        entry = self._young[key] = Entry(authenticator, digest)
        return Seen.NEW, entry

    def forget(self, key: Hashable, entry: Entry) -> None:
        """Forget a request that ended without an answer: its repeat is to be tried again."""
        for generation in (self._young, self._old):
            if generation.get(key) is entry:
                del generation[key]

    def _rotate(self, now_us: int) -> None:
        if now_us < self._rotates_us:
            self.evictions += len(self._old)
        self._old = self._young if now_us < self._rotates_us + self._period_us else {}
        self._young = {}
        self._rotates_us = now_us + self._period_us
