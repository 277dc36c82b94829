"""
Work that is done again and again under the reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def every(reactor: Any, seconds: float, work: Callable[[], None], on_error: Callable[[Exception], None]) -> None:
    """Do something every so many seconds, the first time after them; one failure does not end it."""

    def run() -> None:
        if reactor.running:
            try:
                work()
            except Exception as error:
                on_error(error)
            reactor.callLater(seconds, run)

    reactor.callLater(seconds, run)
