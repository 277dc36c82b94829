"""
The life of a process: its signals, its drain, its word with the supervisor (OPERATIONS 4).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

from aaa.errors import ConfigError
from aaa.node.clock import system_clock
from aaa.node.node import ChargingNode
from aaa.ops.log_events import config_rejected
from aaa.ops.periodic import every
from aaa.ops.supervisor import Supervisor
from aaa.store.port import Failed
from aaa.workers.group import WorkerGroup

DRAIN_LOOK_S = 0.5
LEAVE_S = 5.0  # what a worker may need after its drain to close everything


class Life:
    """
    Ends and reloads a process in order.

    Args:
        drain_timeout_s: How long running sessions are still served, as configured now.
        group: The workers of a parent: they drain, it waits for them.
        stop: Ends the process.
        reload: Takes up a changed configuration; returns what needs a restart, raises ConfigError.
    """

    def __init__(
        self,
        reactor: Any,
        node: ChargingNode,
        *,
        drain_timeout_s: Callable[[], int],
        group: Callable[[], WorkerGroup | None],
        stop: Callable[[], None],
        reload: Callable[[], list[str]],
    ) -> None:
        self._reactor = reactor
        self._node = node
        self._drain_timeout_s = drain_timeout_s
        self._group = group
        self._stop = stop
        self._reload = reload
        self._supervisor = Supervisor()
        self._is_stopping = False
        self._is_worker = False

    def begin(self, is_worker: bool, on_error: Callable[[Exception], None]) -> None:
        """Take the signals; a worker's drain is never cut short by a signal, since its parent decides."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_signal)
        self._is_worker = is_worker
        if self._supervisor.interval_s:
            every(self._reactor, self._supervisor.interval_s, self._supervisor.alive, on_error)

    def serving(self) -> None:
        """Everything is bound and served."""
        self._supervisor.ready("serving")

    def _on_signal(self, number: int, _frame: object) -> None:
        # Signal handlers run between two bytecodes of whatever is going on; the work belongs into the reactor.
        self._reactor.callFromThread(self.hangup if number == signal.SIGHUP else self._on_terminate)

    def _on_terminate(self) -> None:
        if not self._is_stopping:
            self.terminate()
        elif not self._is_worker:
            group = self._group()
            if group is not None:
                group.terminate(at_once=True, within_s=LEAVE_S)
            else:
                self._stop()

    def terminate(self) -> None:
        """Drain, then end."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._supervisor.stopping()
        self._node.is_draining = True
        group = self._group()
        if group is not None:
            group.terminate(at_once=False, within_s=self._drain_timeout_s() + LEAVE_S)
        else:
            self._drain(system_clock() + self._drain_timeout_s() * 1_000_000)

    def _drain(self, deadline_us: int) -> None:
        """Serve running sessions until there are none, at most until the deadline."""
        self._node.flush()

        def counted(live: int | Failed) -> None:
            if live == 0 or system_clock() >= deadline_us:
                self._stop()
            else:
                self._reactor.callLater(DRAIN_LOOK_S, self._drain, deadline_us)

        self._node.store.live_sessions(counted)

    def hangup(self) -> None:
        """Reload, and say what came of it."""
        self._supervisor.reloading()
        try:
            needs = self._reload()
        except ConfigError as error:
            self._supervisor.ready("serving with the old configuration")
            sys.stderr.write(f"aaad: config.rejected: {error}\n")
            config_rejected(problems=list(error.problems))
            return
        self._supervisor.ready("serving")
        sys.stderr.write(f"aaad: config.reloaded{'; needs restart: ' + ', '.join(needs) if needs else ''}\n")
