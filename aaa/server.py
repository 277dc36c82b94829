"""
The running server: one process, alone, as a parent or as a worker (DESIGN 6, OPERATIONS 4).

Start: store, tariffs, node, bus, faces, control API.  A parent has no faces but workers; a worker has faces and no
control API, and its parent tells it when to drain, to reload and to end.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aaa.bus.hub import Hub
from aaa.config import Config
from aaa.entries import client_defaults
from aaa.errors import ConfigError
from aaa.faces import Faces, listeners_of
from aaa.keys import Keys
from aaa.life import Life
from aaa.neighbours import Neighbours
from aaa.node.clock import system_clock
from aaa.node.control import NodeControl
from aaa.node.directory import StoreDirectory
from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.ops.figures import told
from aaa.ops.listener import LagProbe, MetricsListener
from aaa.ops.metrics import Sources
from aaa.ops.periodic import every
from aaa.radius.clients import nas_from
from aaa.store.emergency import ensure_emergency_account
from aaa.store.open import open_store
from aaa.store.port import Failed
from aaa.store.read import open_reader
from aaa.switches import Switches
from aaa.watch import INTERVAL_S, Documents, Watch, documents_of
from aaa.workers.group import WorkerGroup
from aaa.workers.inherit import Inherited, Reserved

SWEEP_S = 1.0
PURGE_S = 60.0
PURGE_MOST = 20_000
FIGURES_S = 1.0
ERRORS_KEPT = 10
PARENT = -1  # the parent's place among the figures of its workers
NEEDS_RESTART = ("store", "radius", "diameter", "api", "server", "metrics", "redis")


@dataclass(frozen=True)
class Part:
    """
    Which part of the service a process is.

    Args:
        role: What is served: `all`, `radius`, `diameter` or `api`.
        workers: How many processes serve it under this one, which then serves no protocol; 0: this one alone.
        inherited: What a worker was handed by its parent.
        arguments: The command line of this process, for its workers.
    """

    role: str = "all"
    workers: int = 0
    inherited: Inherited | None = None
    arguments: tuple[str, ...] = ()


class Server:
    """
    Everything one process serves with.

    Args:
        reload_config: Reads the configuration again, or raises ConfigError.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        reactor: Any,
        reload_config: Callable[[], Config],
        version: str,
        part: Part | None = None,
    ) -> None:
        self.config = config
        self.exit_code = 0
        self.part = part or Part()
        self._keys = keys
        self._reactor = reactor
        self._reload_config = reload_config
        self._version = version
        self._errors: deque[str] = deque(maxlen=ERRORS_KEPT)
        self._started_us = system_clock()
        self._is_stopped = False
        worker = self.part.inherited
        name = config.server.node if worker is None else f"{config.server.node}/{worker.index}"
        self.store = open_store(config.store.url, reactor)
        if self.part.workers and self.store.is_single_writer:
            self.store.close()
            raise ConfigError(["--workers: several processes need PostgreSQL, [store] url is SQLite"])
        ensure_emergency_account(self.store, system_clock())
        number = self.store.new_node(name, system_clock())
        self.node = ChargingNode(self.store, TariffBook(self.store), system_clock, number, self._failed)
        self.directory = StoreDirectory(self.store, system_clock, self.node.flush)
        self.faces = Faces(
            config,
            keys,
            self.node,
            self.directory,
            documents_of(self.store),
            role="api" if self.part.workers else self.part.role,
            is_serving=lambda: self.node.is_store_up and self.watch.is_clock_right,
            on_error=self._failed,
        )
        self.watch = Watch(self.node, reactor, system_clock, self.faces_changed, self._failed)
        hub = Hub(self._failed)
        self.switches = Switches(self.node, hub, reactor, number, self.faces.radius, self.faces.diameter)
        self.life = Life(
            reactor,
            self.node,
            drain_timeout_s=lambda: self.config.server.drain_timeout,
            group=lambda: self.neighbours.group,
            stop=self.stop,
            reload=self.reload,
        )
        self.neighbours = Neighbours(
            hub,
            reactor,
            self.faces,
            None if self.store.is_single_writer else self.watch,
            {
                "drain": lambda: self._drain(True),
                "undrain": lambda: self._drain(False),
                "reload": self.life.hangup,
                "terminate": self.life.terminate,
                "stop": self.stop,
            },
            self.stop,
        )
        self.control = NodeControl(
            self.node,
            reactor.callFromThread,
            self._provisioned,
            self._describe,
            self.switches.end,
            self.switches.extend,
            self._drained,
        )
        self.api: Any = None
        self._lag = LagProbe(reactor)
        self._reloads: Counter[tuple[str, ...]] = Counter()
        self._reloaded_at_s = self._started_us / 1e6
        self._metrics: MetricsListener | None = None

    def start(self) -> None:
        """
        Bind everything and begin.

        Raises:
            ConfigError: A socket that cannot be bound.
        """
        part = self.part
        if part.workers:
            reserved = Reserved(self.config, part.role, part.workers, self._reactor)
            self.neighbours.group = WorkerGroup(
                self._reactor,
                part.workers,
                reserved,
                part.arguments,
                self.neighbours.hub,
                ready=self._serving,
                ended=self._workers_ended,
            )
        self.faces.start(self._reactor, part.inherited)
        if part.inherited is None and self.config.metrics.listen is not None:
            self._metrics = MetricsListener(self._reactor, self.config.metrics.listen, self._sources())
        self.neighbours.join(self.config, part.inherited)
        self._reactor.callWhenRunning(self._running)

    def stop(self) -> None:
        """Commit what is staged, close everything, end the reactor."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self.api is not None:
            self.api.stop()
            self.api = None
        if self._metrics is not None:
            self._metrics.stop()
            self._metrics = None
        self.node.flush()
        self.neighbours.stop()
        self.faces.stop()
        self.store.close()
        self._reactor.callLater(0, self._reactor.stop)  # what peers are told on leaving goes out first

    def reload(self) -> list[str]:
        """
        Take up a changed configuration, all of it or nothing.

        Returns:
            The tables whose changes need a restart.

        Raises:
            ConfigError: With every problem; the old one stays in force.
        """
        try:
            config = self._reload_config()
            self.faces.reload(config)
        except ConfigError:
            self._reloads["rejected",] += 1
            raise
        self._reloads["ok",] += 1
        self._reloaded_at_s = system_clock() / 1e6
        needs = [name for name in NEEDS_RESTART if getattr(config, name) != getattr(self.config, name)]
        self.config = config
        if self.api is not None:
            self.api.context.config = config
        if self.neighbours.group is not None:
            self.neighbours.group.command("reload")
        return needs

    # -- life -------------------------------------------------------------------------------------

    def _running(self) -> None:
        part = self.part
        try:
            if part.inherited is None and part.role in ("all", "api"):
                from aaa.api.server import start_api  # noqa: PLC0415 - workers, which start often, need none of it

                self.api = start_api(
                    self.config,
                    self.control,
                    keys=self._keys,
                    clock=system_clock,
                    version=self._version,
                    reload=self._reload_from_api,
                    check_nas=lambda document: nas_from(document, client_defaults(self.config)),
                )
        except ConfigError as error:
            sys.stderr.write(f"aaad: {error}\n")
            self.exit_code = 3
            self.stop()
            return
        self.life.begin(part.inherited is not None, self._failed)
        self._lag.start()
        if not self.store.is_single_writer:
            self.watch.look()
            self._every(INTERVAL_S, self.watch.look)
        if part.inherited is None:
            self._every(SWEEP_S, self.node.sweep)
            self._every(PURGE_S, self._purge)
        else:
            self._every(SWEEP_S, self.node.tidy)  # its parent sweeps
            self._every(FIGURES_S, self._tell_figures)
        if self.neighbours.group is not None:
            self._every(FIGURES_S, self._count_own)
            self.neighbours.group.start()
        elif part.inherited is not None:
            self.neighbours.is_serving(self.faces.listeners)
        else:
            self._serving()

    def _serving(self) -> None:
        """Tell everybody that all is served."""
        self.life.serving()
        for listener in self._listeners():
            sys.stderr.write(f"aaad: {listener}\n")
        name, socket = self.config.server.node, self.config.api.socket
        control = f", control {socket}" if self.api is not None else ""
        sys.stderr.write(f"aaad: ready, node {name}{control}\n")

    def _workers_ended(self, code: int) -> None:
        self.exit_code = code
        self.stop()

    def _reload_from_api(self) -> list[str]:
        needs: list[str] = self.control.call(self.reload).result(timeout=30)
        return needs

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        every(self._reactor, seconds, work, self._failed)

    def _purge(self) -> None:
        now = system_clock()
        self.store.purge(now - self.config.retention.session_closed * 1_000_000, now, PURGE_MOST, _ignore)

    def _drain(self, draining: bool) -> None:
        self.node.is_draining = draining

    def _drained(self, draining: bool) -> None:
        if self.neighbours.group is not None:
            self.neighbours.group.drain(draining)

    # -- what was changed -------------------------------------------------------------------------

    def faces_changed(self, documents: Documents) -> None:
        """Clients, peers, subscriptions may have changed through another node."""
        self.directory.forget()
        self.faces.provisioned(documents)

    def _provisioned(self) -> None:
        """This node changed the store: forget what was cached outside it, and have the others look."""
        self.neighbours.changed()
        self.faces_changed(documents_of(self.store))

    # -- figures ----------------------------------------------------------------------------------

    def _counters(self) -> dict[str, Any]:
        return {
            "node": self.node.counters,
            "radius": self.faces.radius_counters,
            "diameter": self.faces.diameter_counters,
            "switches": self.switches.counters,
            "bus": self.neighbours.hub.counters,
        }

    def _tell_figures(self) -> None:
        self.neighbours.tell_figures(told(self._counters(), {"lag": self._lag.histogram}, {}))

    def _count_own(self) -> None:
        """A parent adds its own figures to those of its workers."""
        if self.neighbours.group is not None:
            own = told(self._counters(), {"lag": self._lag.histogram}, {})
            self.neighbours.group.total.heard(PARENT, own)

    def _sources(self) -> Sources:
        """Where the metrics read."""
        total = self.neighbours.group.total if self.neighbours.group is not None else None
        counters: Any = total.counters if total is not None else self._counters()
        return Sources(
            engine=open_reader(self.config.store.url),
            version=self._version,
            node=counters["node"],
            radius=counters["radius"],
            gauges=self._gauges,
            reloads=self._reloads,
            reloaded_at_s=lambda: self._reloaded_at_s,
            lag=total.histograms["lag"] if total is not None else self._lag.histogram,
        )

    def _gauges(self) -> dict[str, float]:
        return {**self.neighbours.gauges(), "aaa_clock_offset_seconds": self.watch.offset_us / 1e6}

    def _listeners(self) -> list[str]:
        group = self.neighbours.group
        return self.faces.listeners if group is None else group.listeners

    def _describe(self) -> dict[str, Any]:
        group = self.neighbours.group
        counters: Any = self._counters() if group is None else group.total.counters
        return {
            "version": self._version,
            "node": self.config.server.node,
            "pid": os.getpid(),
            "role": self.part.role,
            "uptime_s": (system_clock() - self._started_us) // 1_000_000,
            "config_digest": self.config.digest,
            "listeners": self._listeners(),
            "listeners_wanted": listeners_of(self.config, self.part.role),
            "clock_offset_us": self.watch.offset_us,
            "radius": _named(counters["radius"]),
            "counters": _named(counters["node"]),
            "switches": _named(counters["switches"]),
            **self.neighbours.describe(),
            "errors": list(self._errors),
        }

    def _failed(self, error: Exception) -> None:
        worker = self.part.inherited
        text = f"{type(error).__name__}: {error}"
        self._errors.append(text)
        sys.stderr.write(f"aaad: {'' if worker is None else f'worker {worker.index}: '}{text}\n")
        traceback.print_exception(error, limit=-8)


def _named(counters: Mapping[tuple[str, ...], int]) -> dict[str, int]:
    """Counters by dotted names."""
    return {".".join(part for part in name if part): count for name, count in sorted(dict(counters).items())}


def _ignore(_count: int | Failed) -> None:
    """A purge that failed is tried again at the next turn."""
