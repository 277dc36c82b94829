"""
The workers of a parent: started, watched, started again, told to drain, counted.

A worker is the same program with `Inherited` in its environment.  It lives in a session of its own, so that a
Ctrl-C at the terminal reaches the parent alone, and ends when its pipe does, so that none outlives the parent.
One that dies before it serves is started again after growing pauses; one that says nothing any more is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from aaa.bus.hub import Hub, Message
from aaa.bus.pipe import PipeLink
from aaa.ops.figures import Total
from aaa.workers.inherit import Inherited, Reserved

COUNTERS = ("node", "tally", "radius", "diameter", "switches", "bus", "outbox", "durations", "reply_cache")
PAUSE_FIRST_S = 0.1
PAUSE_MOST_S = 10.0
SILENT_MAX_S = 15.0
CHECK_S = 1.0
EXIT_CONFIG = 3
_NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Worker:
    """One place among the workers, and the process that fills it now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: subprocess.Popen[bytes] | None = None
        self.link: PipeLink | None = None
        self.listeners: list[str] = []
        self.is_serving = False
        self.starts = 0
        self.heard_s = 0.0
        self.pause_s = PAUSE_FIRST_S

    def describe(self) -> dict[str, Any]:
        """As the status shows it."""
        pid = None if self.process is None else self.process.pid
        return {"worker": self.index, "pid": pid, "serving": self.is_serving, "restarts": max(0, self.starts - 1)}


class WorkerGroup:
    """
    All workers.

    Args:
        arguments: The command line of a worker.
        ready: Called once, when all serve for the first time.
        ended: Called once when all have ended after `terminate`, or when one cannot start at all, with the
            exit code for the parent.
    """

    def __init__(
        self,
        reactor: Any,
        count: int,
        reserved: Reserved,
        arguments: Sequence[str],
        hub: Hub,
        *,
        ready: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:
        self.total = Total(COUNTERS, ("lag", "batch", "locked"))
        self.workers = [Worker(index) for index in range(count)]
        self._reactor = reactor
        self._reserved = reserved
        self._arguments = list(arguments)
        self._hub = hub
        self._ready: Callable[[], None] | None = ready
        self._ended = ended
        self._is_ending = False
        self._is_draining = False
        self._leaving: list[subprocess.Popen[bytes]] = []

    @property
    def serving(self) -> int:
        """How many workers serve."""
        return sum(worker.is_serving for worker in self.workers)

    @property
    def listeners(self) -> list[str]:
        """What is served, as the first worker that serves says."""
        return next((worker.listeners for worker in self.workers if worker.is_serving), [])

    def start(self) -> None:
        """Start all workers."""
        for worker in self.workers:
            self._spawn(worker)
        self._reactor.callLater(CHECK_S, self._check)

    def drain(self, draining: bool) -> None:
        """Have every worker refuse new sessions, or take them again; those that are started later too."""
        self._is_draining = draining
        self.command("drain" if draining else "undrain")

    def command(self, command: str) -> None:
        """Have every worker do something: `reload`, `drain`, `undrain`."""
        for worker in self.workers:
            if worker.link is not None:
                worker.link.send({"kind": "command", "command": command})

    def terminate(self, at_once: bool, within_s: float) -> None:
        """
        End all workers, after their drain or now; `ended` is called when the last one has.

        Args:
            within_s: Who has not ended by then is killed.
        """
        self._is_ending = True
        self.command("stop" if at_once else "terminate")
        self._reactor.callLater(within_s, self._kill)
        self._all_ended()

    def _kill(self) -> None:
        for worker in self.workers:
            if worker.process is not None:
                worker.process.kill()

    def close(self) -> None:
        """The parent ends: whatever is left of the workers goes too, and the addresses are given back."""
        self._is_ending = True
        for worker in self.workers:
            if worker.link is not None:
                worker.link.close()
            if worker.process is not None:
                worker.process.kill()
                self._leaving.append(worker.process)
        for process in self._leaving:
            process.wait()
        self._reserved.close()

    # -- one worker -------------------------------------------------------------------------------

    def _spawn(self, worker: Worker) -> None:
        if self._is_ending:
            return
        ours, theirs = socket.socketpair()
        udp = self._reserved.udp(worker.index)
        share = Inherited(worker.index, theirs.fileno(), udp, self._reserved.ports)
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_WORKERS}
        with theirs:
            worker.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "aaa", *self._arguments],
                env={**environment, **share.environment()},
                pass_fds=(theirs.fileno(), *udp),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        worker.starts += 1
        worker.heard_s = self._reactor.seconds()

        def received(message: Message, link: PipeLink) -> None:
            self._received(worker, message, link)

        worker.link = PipeLink(self._reactor, ours, received, lambda: self._gone(worker))
        self._hub.join(worker.link)

    def _received(self, worker: Worker, message: Message, link: PipeLink) -> None:
        worker.heard_s = self._reactor.seconds()
        kind = message.get("kind")
        if kind == "figures":
            self.total.heard(worker.index, message["figures"])
        elif kind == "ready":
            worker.is_serving = True
            worker.listeners = message["listeners"]
            if self._is_draining:
                link.send({"kind": "command", "command": "drain"})
            if self._ready is not None and self.serving == len(self.workers):
                ready, self._ready = self._ready, None
                ready()
        else:
            self._hub.received(message, link)

    def _gone(self, worker: Worker) -> None:
        """The pipe has ended, so the worker has, or is to."""
        process, worker.process = worker.process, None
        if worker.link is not None:
            self._hub.leave(worker.link)
        worker.link = None
        was_serving, worker.is_serving = worker.is_serving, False
        self.total.ended(worker.index)
        if process is None:
            return
        code = self._reaped(process)
        if self._is_ending:
            self._all_ended()
            return
        if self._ready is not None and code == EXIT_CONFIG:
            self._is_ending = True  # it has said why
            self._ended(EXIT_CONFIG)
            return
        worker.pause_s = PAUSE_FIRST_S if was_serving else min(worker.pause_s * 2, PAUSE_MOST_S)
        sys.stderr.write(f"aaad: worker {worker.index} ended ({_how(code)}), next start in {worker.pause_s:.1f} s\n")
        self._reactor.callLater(worker.pause_s, self._spawn, worker)

    def _reaped(self, process: subprocess.Popen[bytes]) -> int | None:
        """The exit code of a process that has closed its pipe; one that lingers is killed a little later."""
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._leaving.append(process)
            return None

    def _check(self) -> None:
        """Reap what lingered; kill the silent."""
        if self._is_ending and not self._leaving:
            return
        for process in list(self._leaving):
            if process.poll() is None:
                process.kill()
            else:
                self._leaving.remove(process)
        now_s = self._reactor.seconds()
        for worker in self.workers:
            if worker.is_serving and worker.process is not None and now_s - worker.heard_s > SILENT_MAX_S:
                sys.stderr.write(f"aaad: worker {worker.index} has been silent for {SILENT_MAX_S:.0f} s: killed\n")
                worker.process.send_signal(signal.SIGKILL)
        self._reactor.callLater(CHECK_S, self._check)

    def _all_ended(self) -> None:
        if self._is_ending and all(worker.process is None for worker in self.workers):
            self._ended(0)


def _how(code: int | None) -> str:
    if code is None:
        return "it closed its pipe"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
