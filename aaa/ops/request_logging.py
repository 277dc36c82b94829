"""
Logging of a serving process: the line per request, dropped packets, traces; as `[log]` says, also after a reload.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from aaa.config.sections import Log
from aaa.diameter.server import DiameterServer
from aaa.node.node import ChargingNode
from aaa.ops import logs
from aaa.ops.log_events import radius_dropped, trace_answer, trace_request
from aaa.ops.request_log import LineWriter, RequestLog
from aaa.radius.server import RadiusServer

SECONDS_PER_WARNING = 1.0
KEYS_MAX = 10_000


class RequestLogging:
    """
    Connects a node and its faces to the log.

    Args:
        handle: Where lines per request go: standard error, as all lines.
    """

    def __init__(
        self,
        log: Log,
        node: ChargingNode,
        radius: RadiusServer | None,
        diameter: DiameterServer | None = None,
        handle: int | None = None,
    ) -> None:
        self._node = node
        self._writer = LineWriter(sys.stderr.fileno() if handle is None else handle)
        self._writer.start()
        if radius is not None:
            radius.service.on_drop = DropWarnings(time.monotonic)
            radius.service.traces.emit = _traced
        if diameter is not None:
            diameter.service.traces.emit = _traced
        self.take_up(log)

    @property
    def dropped(self) -> int:
        """Lines that found no room because nobody read standard error."""
        return self._writer.dropped

    def take_up(self, log: Log) -> None:
        """Log as this table says from now on."""
        logs.configure(log.level, log.format, mask_numbers=log.mask_numbers)
        is_wanted = log.requests and log.level in ("debug", "info")
        is_console = log.format == "console" or (log.format == "auto" and sys.stderr.isatty())
        self._node.tally.released = (
            RequestLog(
                self._writer.put,
                self._account_name,
                self._reserved_micro,
                is_console=is_console,
                mask_numbers=log.mask_numbers,
            )
            if is_wanted
            else None
        )

    def stop(self) -> None:
        """Write what waits."""
        self._writer.stop()

    def _account_name(self, number: int) -> str:
        cached = self._node.cache.accounts.get(number)
        return cached.account.profile.name if cached is not None else ""

    def _reserved_micro(self, session_id: int) -> int | None:
        session = self._node.cache.sessions.get(session_id)
        return session.reserved_micro if session is not None else None


class DropWarnings:
    """
    Warns of dropped packets, once a second for each reason and client: a flood must not become one of lines.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quiet: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, reason: str, nas: str, address: str) -> None:
        """Warn, or count what is left out."""
        now = self._clock()
        until, left_out = self._quiet.get((reason, nas), (0.0, 0))
        if now < until:
            self._quiet[reason, nas] = (until, left_out + 1)
            return
        if len(self._quiet) >= KEYS_MAX:
            self._quiet.clear()
        self._quiet[reason, nas] = (now + SECONDS_PER_WARNING, 0)
        more: dict[str, Any] = {"left_out": left_out} if left_out else {}
        radius_dropped(reason=reason, nas=nas, address=address, **more)


def _traced(event: str, **fields: Any) -> None:
    """A message of a traced subscriber."""
    (trace_request if event == "trace.request" else trace_answer)(**fields)
