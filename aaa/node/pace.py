"""
When a batch is worth sending (PERFORMANCE: group commit).

A transaction of a database server costs much of its own, whatever it holds.  Where requests come fast and batches
are small all the same, as with several workers, the next one is therefore sent a moment after the last, together with
what its answers have brought.  Nothing waits behind a batch that was large, nor in one that has become so, nor where
requests come one at a time: the moment would bring nothing.
"""

from __future__ import annotations

from collections.abc import Callable

WORTH_A_BATCH = 32  # requests
REST_S = 0.001
BUSY_PER_S = 3_000  # requests; from here on a moment brings some


class Pace:
    """
    How fast requests come, by the batches they came in.

    `later` runs something after so many seconds; without it, where a store commits in the reactor's own thread and
    everything gathers meanwhile anyhow, there is no rest.
    """

    def __init__(self) -> None:
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self.is_resting = False
        self._per_s = 0
        self._sent_us = 0
        self._size = 0

    def sent(self, requests: int, now: int) -> None:
        """A batch goes to the store now (microseconds)."""
        self._size = requests
        since_us, self._sent_us = max(1, now - self._sent_us), now
        self._per_s = (3 * self._per_s + requests * 1_000_000 // since_us) // 4

    def rest(self, then: Callable[[], None]) -> None:
        """A batch is done: `then` is called after a rest, if a rest makes the next one larger."""
        if self.later is None or self.is_resting or self._per_s < BUSY_PER_S or self._size >= WORTH_A_BATCH:
            return

        def rested() -> None:
            self.is_resting = False
            then()

        self.is_resting = True
        self.later(REST_S, rested)
