"""
Who is traced on a live server, and until when: a few subscribers, each for a while and a bounded number of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

TRACES_MAX = 16
LINES_MAX = 10_000  # of one trace; then it ends by itself

Emit = Callable[..., None]


class Traced:
    """The traced subscribers of one process, for all its faces."""

    def __init__(self) -> None:
        self.until: dict[str, int] = {}  # who is traced, empty nearly always: one look tells
        self._left: dict[str, int] = {}

    def set(self, subscriber: str, until_us: int) -> bool:
        """Trace a subscriber until then, or stop (0); False when too many are traced already."""
        if until_us == 0:
            self._stop(subscriber)
            return True
        if subscriber not in self.until and len(self.until) >= TRACES_MAX:
            return False
        self.until[subscriber] = until_us
        self._left[subscriber] = LINES_MAX
        return True

    def running(self, now_us: int) -> dict[str, int]:
        """Who is traced now, and until when."""
        self._expire(now_us)
        return dict(self.until)

    def find(self, names: Iterable[str], now_us: int) -> str:
        """The first of these names that is traced now, or nothing."""
        self._expire(now_us)
        return next((name for name in names if name in self.until), "")

    def showed(self, name: str) -> None:
        """One more message of a subscriber was shown."""
        if name in self._left:
            self._left[name] -= 1
            if self._left[name] <= 0:
                self._stop(name)

    def _expire(self, now_us: int) -> None:
        for name in [name for name, until_us in self.until.items() if until_us <= now_us]:
            self._stop(name)

    def _stop(self, name: str) -> None:
        self.until.pop(name, None)
        self._left.pop(name, None)


def unseen(_event: str, **_fields: object) -> None:
    """Nobody looks at traces."""


class Tracer:
    """
    Shows messages of who is traced; a face adds whose its messages are, and how they read.

    While nobody is traced a message pays one test of an empty table.

    Args:
        emit: Called with the event's name and its fields, for every message of a traced subscriber.
    """

    def __init__(self, emit: Emit = unseen) -> None:
        self.emit = emit
        self.people = Traced()

    def show(self, event: str, name: str, **fields: Any) -> None:
        """Show one message of a traced subscriber."""
        self.emit(event, subscriber=name, **fields)
        self.people.showed(name)


def as_documents(running: dict[str, int]) -> list[dict[str, Any]]:
    """Who is traced, as plain documents."""
    return [{"subscriber": name, "until_us": until_us} for name, until_us in sorted(running.items())]
