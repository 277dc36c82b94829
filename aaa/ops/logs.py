"""
Structured logs on stderr: one line per event, JSON for machines, key=value for a terminal.

Secrets never reach a line whatever somebody passes; numbers are masked when the operator wants it; an
event that repeats is limited, and how many were left out is said.  Events below the level cost one
comparison, so that the hot path may name them.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from aaa.ops.log_events import library

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
HIDDEN = "***"
SECONDS_PER_LINE = 1.0
BURST = 20
KEYS_MAX = 10_000
RECENT = 200

_SECRET_KEYS = re.compile(r"secret|password|passwd|token|authorization|credential|chap|digest_response|key_file", re.I)
_NUMBER_KEYS = frozenset(("destination", "received", "caller", "calling", "called", "subscriber", "number"))
_NUMBER = re.compile(r"\d{5,}")

Event = MutableMapping[str, Any]
_recent: deque[Event] = deque(maxlen=RECENT)


def configure(
    level: str = "info",
    form: str = "auto",
    *,
    mask_numbers: bool = False,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """
    Set up logging for the process.

    Args:
        form: `json`, `console`, or `auto`: console on a terminal.
        clock: Seconds, for the limits.
    """
    stream = stream or sys.stderr
    is_console = form == "console" or (form == "auto" and stream.isatty())
    renderer: Processor
    if is_console:
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), sort_keys=False)
    else:
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    structlog.configure(
        processors=[
            RateLimit(clock),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            Redact(mask_numbers),
            _remember,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    bridge = logging.getLogger()
    bridge.handlers = [_Bridge()]
    bridge.setLevel(max(LEVELS[level], logging.WARNING))


def recent() -> list[Event]:
    """The last warnings and errors of this process, the oldest first, as they were logged."""
    return list(_recent)


def _remember(_logger: Any, method: str, event: Event) -> Event:
    if method in ("warning", "error", "exception", "critical"):
        _recent.append(dict(event))
    return event


def observe_twisted() -> None:
    """Let what Twisted reports, failures nobody handled above all, come out as lines too."""
    from twisted.python.log import PythonLoggingObserver  # noqa: PLC0415 - for the daemon only

    PythonLoggingObserver().start()  # type: ignore[no-untyped-call]


class Redact:
    """Hide what must never be logged (S24), and mask numbers when asked to."""

    def __init__(self, mask_numbers: bool) -> None:
        self._mask_numbers = mask_numbers

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """The event without secrets."""
        for key, value in event.items():
            if key == "pin":
                event[key] = f"{HIDDEN}{str(value)[-2:]}"
            elif _SECRET_KEYS.search(key):
                event[key] = HIDDEN
            elif self._mask_numbers and key in _NUMBER_KEYS:
                event[key] = masked(str(value))
        return event


def masked(number: str) -> str:
    """
    A number whose last digits are hidden; the prefix that rates it stays readable.

    >>> masked("442071234567"), masked("sip:442071234567@x")
    ('44207*******', 'sip:44207*******@x')
    """
    return _NUMBER.sub(lambda found: found[0][:5] + "*" * (len(found[0]) - 5), number)


class RateLimit:
    """
    Let warnings and errors of one (event, nas) pass in bursts of 20 and then one per second.

    The next line that passes says how many were left out.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._allowed: dict[tuple[str, str], tuple[float, float, int]] = {}

    def __call__(self, _logger: Any, method: str, event: Event) -> Event:
        """The event, or DropEvent."""
        if method not in ("warning", "error"):
            return event
        key = (str(event.get("event")), str(event.get("nas", "")))
        now = self._clock()
        tokens, since, left_out = self._allowed.get(key, (float(BURST), now, 0))
        tokens = min(float(BURST), tokens + (now - since) / SECONDS_PER_LINE)
        if tokens < 1:
            self._allowed[key] = (tokens, now, left_out + 1)
            raise structlog.DropEvent
        if len(self._allowed) >= KEYS_MAX:
            self._allowed.clear()
        self._allowed[key] = (tokens - 1, now, 0)
        if left_out:
            event["left_out"] = left_out
        return event


class _Bridge(logging.Handler):
    """Lines of libraries (uvicorn, SQLAlchemy, Twisted) in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        extra: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        library(record.levelno, name=record.name, message=record.getMessage(), **extra)
