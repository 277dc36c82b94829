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


class _Entry:
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
        self._young: dict[Hashable, _Entry] = {}
        self._old: dict[Hashable, _Entry] = {}
        self._rotates_us = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def see(self, key: Hashable, authenticator: bytes, data: bytes, now_us: int) -> tuple[Seen, bytes | None]:
        """
        Say what a request is and remember it if it is new.

        Args:
            key: Source, socket and Identifier.
            data: The whole packet; one with the authenticator of another but other bytes is a conflict.

        Returns:
            The state, with the answer when there is one.
        """
        if now_us >= self._rotates_us or len(self._young) >= self._entries_max:
            self._rotate(now_us)
        entry = self._young.get(key) or self._old.get(key)
        digest = hash(data)
        if entry is not None and entry.authenticator == authenticator:
            if entry.digest != digest:
                return Seen.CONFLICT, None
            if entry.answer is None:
                return Seen.IN_PROGRESS, None
            return Seen.ANSWERED, entry.answer
        self._young[key] = _Entry(authenticator, digest)
        return Seen.NEW, None

    def answered(self, key: Hashable, authenticator: bytes, answer: bytes) -> None:
        """Keep the answer of a request for its repeats; another request in its place keeps its own."""
        entry = self._young.get(key) or self._old.get(key)
        if entry is not None and entry.authenticator == authenticator:
            entry.answer = answer

    def forget(self, key: Hashable, authenticator: bytes) -> None:
        """Forget a request that ended without an answer: its repeat is to be tried again."""
        for generation in (self._young, self._old):
            entry = generation.get(key)
            if entry is not None and entry.authenticator == authenticator:
                del generation[key]

    def _rotate(self, now_us: int) -> None:
        if now_us < self._rotates_us:
            self.evictions += len(self._old)
        self._old = self._young if now_us < self._rotates_us + self._period_us else {}
        self._young = {}
        self._rotates_us = now_us + self._period_us
