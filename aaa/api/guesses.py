"""
A lock against guessing PINs: after five wrong ones in a row a name waits a minute.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

FAILURES_MAX = 5
LOCK_US = 60_000_000
NAMES_MAX = 100_000


class GuessLock:
    """
    Counts failures per name, in memory; safe from any thread.

    Args:
        tell: Told of each wrong PIN of this process, so that the others count it too.
    """

    def __init__(self, tell: Callable[[str], object] | None = None) -> None:
        self._tell = tell
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def is_locked(self, name: str, now_us: int) -> bool:
        """Whether this name has to wait."""
        with self._lock:
            count, last_us = self._failures.get(name, (0, 0))
            return count >= FAILURES_MAX and now_us - last_us < LOCK_US

    def failed(self, name: str, now_us: int) -> None:
        """Count one wrong PIN and tell the other processes."""
        self.heard(name, now_us)
        if self._tell is not None:
            self._tell(name)

    def heard(self, name: str, now_us: int) -> None:
        """Count one wrong PIN, wherever it was; an old count starts anew."""
        with self._lock:
            count, last_us = self._failures.get(name, (0, now_us))
            if len(self._failures) >= NAMES_MAX and name not in self._failures:
                self._failures.popitem(last=False)
            self._failures[name] = (count + 1 if now_us - last_us < LOCK_US else 1, now_us)

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failures.pop(name, None)
