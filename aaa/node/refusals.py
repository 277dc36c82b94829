"""
The last refusals of a process: what `aaactl session why NUMBER` answers from.

A bounded ring in memory.  Faces note what they refuse before the engine is asked (no proof, unknown
subscriber), the node what the engine denied; a restart forgets it all, the counters do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

KEPT = 2_000
SHOWN_MAX = 200
DIGITS_MIN = 4  # a shorter number would match nearly everything


class Refusal(NamedTuple):
    """One request that was refused, with everything a person may look for it by."""

    at_us: int
    face: str  # radius | diameter | api
    origin: str  # NAS or peer
    subscriber: str
    caller: str
    destination: str
    received: str  # the called number as it was sent
    reason: str
    detail: str = ""


class Refusals:
    """The newest refusals, at most `kept` of them."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[Refusal] = deque(maxlen=kept)
        self.told: Callable[[Refusal], None] | None = None
        """Called with each refusal that is noted here: whoever tells other processes."""

    def __len__(self) -> int:
        return len(self._ring)

    def note(self, refusal: Refusal) -> None:
        """Remember one; the oldest is forgotten when there are too many."""
        self._ring.append(refusal)
        if self.told is not None:
            self.told(refusal)

    def about(self, name: str) -> list[Refusal]:
        """The refusals that concern a subscriber or a number, the newest first."""
        return [refusal for refusal in reversed(self._ring) if concerns(refusal, name)]


def concerns(refusal: Refusal, name: str) -> bool:
    """
    Whether a refusal is about this subscriber, caller or called number, however it is written.

    >>> told = Refusal(0, "radius", "sbc", "alice", "4930123456", "442071234567", "00442071234567", "no_credit")
    >>> [concerns(told, name) for name in ("alice", "+44 20 7123 4567", "030-123456", "bob", "67")]
    [True, True, True, False, False]
    """
    fields = (refusal.subscriber, refusal.caller, refusal.destination, refusal.received)
    if name in fields:
        return True
    wanted = _digits(name).lstrip("0")
    return len(wanted) >= DIGITS_MIN and any(_digits(field).endswith(wanted) for field in fields)


def newest(rings: Iterable[Refusals], name: str) -> list[dict[str, Any]]:
    """What several rings know about a name, the newest first, as plain documents."""
    found = [refusal for ring in rings for refusal in ring.about(name)]
    found.sort(key=lambda refusal: refusal.at_us, reverse=True)
    return [refusal._asdict() for refusal in found[:SHOWN_MAX]]


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isdigit())
