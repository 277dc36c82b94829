"""
When a batch is worth sending (PERFORMANCE: group commit).

A transaction of a database server costs much of its own, whatever it holds.  Under load the next one is therefore
sent a moment after the last, together with what its answers have brought; a full batch does not wait.  Where
requests come one at a time nothing waits at all: the moment would bring nothing.
"""

from __future__ import annotations

WORTH_A_BATCH = 64  # requests
REST_S = 0.001
BUSY_PER_S = 3_000  # requests; from here on a moment brings some


class Pace:
    """How fast requests come, by the batches they came in."""

    def __init__(self) -> None:
        self._per_s = 0
        self._sent_us = 0

    @property
    def is_busy(self) -> bool:
        """Whether a moment's rest makes the next batch larger."""
        return self._per_s >= BUSY_PER_S

    def sent(self, requests: int, now: int) -> None:
        """A batch goes to the store now (microseconds)."""
        since_us, self._sent_us = max(1, now - self._sent_us), now
        self._per_s = (3 * self._per_s + requests * 1_000_000 // since_us) // 4
