"""
Guess limiting: who was wrong five times waits before anything is checked again (S24).

Counted per identity and per caller, each within its client entry; the caller is what the client says
of it (Calling-Station-Id), because a client's own address stands for all its users.  Pure and bounded.
"""

from __future__ import annotations

from collections import OrderedDict

FAILURES_MAX = 5
WINDOW_US = 60_000_000
COOL_DOWN_US = 30_000_000
ENTRIES_MAX = 100_000


class Guesses:
    """Failures of the last minute by who made them."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()  # count, instant of the last

    @property
    def are_any(self) -> bool:
        """Whether there is anybody to look for."""
        return bool(self._failures)

    def are_cooling(self, who: tuple[str, ...], now_us: int) -> bool:
        """Tell whether any of these has to wait."""
        for one in who:
            found = self._failures.get(one)
            if found and found[0] >= FAILURES_MAX and now_us < found[1] + COOL_DOWN_US:
                return True
        return False

    def failed(self, who: tuple[str, ...], now_us: int) -> None:
        """Count a failure; an older one than a minute before is forgotten."""
        for one in who:
            count, last_us = self._failures.pop(one, (0, 0))
            if now_us - last_us > WINDOW_US or count >= FAILURES_MAX:
                count = 0
            if len(self._failures) >= ENTRIES_MAX:
                self._failures.popitem(last=False)
            self._failures[one] = (count + 1, now_us)

    def succeeded(self, who: tuple[str, ...]) -> None:
        """Forget the failures of those who were right."""
        for one in who:
            self._failures.pop(one, None)
