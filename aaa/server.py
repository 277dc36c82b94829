"""
The running server: one process, alone, as a parent or as a worker (DESIGN 6, OPERATIONS 4).

Start: store, tariffs, node, bus, faces, control API.  A parent has no faces but workers; a worker has faces and no
control API, and its parent tells it when to drain, to reload and to end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aaa.bus.hub import Hub
from aaa.config import Config
from aaa.entries import advice, client_defaults, configured_profiles
from aaa.errors import ConfigError
from aaa.faces import Faces
from aaa.keys import Keys
from aaa.life import Life
from aaa.neighbours import Neighbours
from aaa.node.clock import system_clock
from aaa.node.control import NodeControl
from aaa.node.directory import StoreDirectory
from aaa.node.journal import Journal
from aaa.node.node import ChargingNode
from aaa.node.outage import Outage
from aaa.node.tariffs import TariffBook
from aaa.ops.listener import MetricsListener
from aaa.ops.log_events import config_advice
from aaa.ops.periodic import every
from aaa.ops.questions import questions
from aaa.ops.request_logging import RequestLogging
from aaa.outbox.consumers import consumers_of, courier_of
from aaa.part import Part
from aaa.radius.clients import nas_from
from aaa.report import Report
from aaa.store.emergency import ensure_emergency_account
from aaa.store.open import open_store
from aaa.store.port import Failed
from aaa.switches import Switches
from aaa.watch import INTERVAL_S, Documents, Watch, documents_of
from aaa.workers.group import WorkerGroup
from aaa.workers.inherit import Reserved

SWEEP_S = 1.0
PURGE_S = 60.0
REPLAY_S = 0.5
PURGE_MOST = 20_000
FIGURES_S = 1.0
NEEDS_RESTART = ("store", "radius", "diameter", "api", "server", "metrics", "redis", "outbox")


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
        self.config = self._started_with = config
        self.exit_code = 0
        self._advised: list[str] = []
        self.part = part or Part()
        self._keys = keys
        self._reactor = reactor
        self._reload_config = reload_config
        self._version = version
        self._is_stopped = False
        self.report = Report(config, self.part, version, reactor)
        self._failed = self.report.failed
        worker = self.part.inherited
        name = config.server.node if worker is None else f"{config.server.node}/{worker.index}"
        self.store = open_store(config.store.url, reactor, self._failed)
        if self.part.workers and self.store.is_single_writer:
            self.store.close()
            raise ConfigError(["--workers: several processes need PostgreSQL, [store] url is SQLite"])
        self.store.consumers = consumers_of(config.outbox)
        ensure_emergency_account(self.store, system_clock())
        number = self.store.new_node(name, system_clock())
        self.node = ChargingNode(self.store, TariffBook(self.store), system_clock, number, self._failed)
        self.node.desk.keeps_before = bool(config.outbox)
        if not self.store.is_single_writer:
            self.node.pace.later = reactor.callLater
        self._open_journal(name)
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
        self.watch = Watch(self.node, reactor, system_clock, self._changed_elsewhere, self._failed)
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
            self.report.describe,
            self.switches.end,
            self.switches.extend,
            self._drained,
            questions(self.node, self.faces.radius, self.faces.diameter, hub),
        )
        self.logging = RequestLogging(config.log, self.node, self.faces.radius, self.faces.diameter)
        self.courier = (
            courier_of(config, keys, self.control, f"{name}:{self.part.role}", system_clock, self.report.problem)
            if worker is None
            else None
        )
        self.report.of(self.node, self.faces, self.watch, self.switches, self.neighbours, self.courier, self.logging)
        self.api: Any = None
        self._metrics: MetricsListener | None = None

    def start(self) -> None:
        """
        Bind everything and begin.

        Raises:
            ConfigError: A socket that cannot be bound.
        """
        part = self.part
        if part.workers:
            self.neighbours.group = WorkerGroup(
                self._reactor,
                part.workers,
                Reserved(self.config, part.role, part.workers, self._reactor),
                part.arguments,
                self.neighbours.hub,
                ready=self._serving,
                ended=self._workers_ended,
            )
        self.faces.start(self._reactor, part.inherited)
        self._advise()
        if not part.is_worker and self.config.metrics.listen is not None:
            self._metrics = MetricsListener(self._reactor, self.config.metrics.listen, self.report.sources())
        self.neighbours.join(self.config, part.inherited)
        self._reactor.callWhenRunning(self._running)

    def stop(self) -> None:
        """Commit what is staged, close everything, end the reactor."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self.courier is not None:
            self.courier.stop()
        if self.api is not None:
            self.api.stop()
            self.api = None
        if self._metrics is not None:
            self._metrics.stop()
            self._metrics = None
        self.node.flush()
        self.neighbours.stop()
        self.faces.stop()
        if self.node.outage is not None:
            self.node.outage.close()
            self.node.outage = None
        self.store.close()
        self.logging.stop()
        self._reactor.callLater(0, self._reactor.stop)  # what peers are told on leaving goes out first

    def reload(self) -> list[str]:
        """
        Take up a changed configuration, all of it or nothing.

        Returns:
            What differs from the start and needs a restart to be taken up: tables, or a key of one.

        Raises:
            ConfigError: With every problem; the old one stays in force.
        """
        try:
            config = self._reload_config()
            self.faces.reload(config)
        except ConfigError:
            self.report.reloaded(False)
            raise
        self.report.reloaded(True)
        needs = [name for name in NEEDS_RESTART if getattr(config, name) != getattr(self._started_with, name)]
        if config.charging.outage_exposure != self._started_with.charging.outage_exposure:
            needs.append("charging.outage_exposure")
        self.logging.take_up(config.log)
        self._advise()
        self.config = self.report.config = config
        if self.api is not None:
            self.api.context.config = config
        if self.neighbours.group is not None:
            self.neighbours.group.command("reload")
        return needs

    def _advise(self) -> None:
        """Warn of settings that can never do what they say, once each time they change."""
        if self.faces.advice != self._advised and not self.part.is_worker:
            self._advised = self.faces.advice
            for line in self._advised:
                config_advice(advice=line)

    # -- life -------------------------------------------------------------------------------------

    def _running(self) -> None:
        part = self.part
        try:
            if part.has_api:
                self._start_api()
        except ConfigError as error:
            sys.stderr.write(f"aaad: {error}\n")
            self.exit_code = 3
            self.stop()
            return
        self.life.begin(part.is_worker, self._failed)
        self.report.lag.start()
        if not self.store.is_single_writer:
            self.watch.look()
            self._every(INTERVAL_S, self.watch.look)
            self._every(REPLAY_S, self.node.replay)
        if part.is_worker:
            self._every(SWEEP_S, self.node.tidy)  # its parent sweeps
        else:
            self._every(SWEEP_S, self.node.sweep)
            self._every(PURGE_S, self._purge)
        if self.courier is not None:
            self.courier.start()
        if part.is_worker or part.workers:
            self._every(FIGURES_S, self.report.tell)
        if self.neighbours.group is not None:
            self.neighbours.group.start()
        elif part.is_worker:
            self.neighbours.is_serving(self.faces.listeners)
        else:
            self._serving()

    def _open_journal(self, name: str) -> None:
        """Where sessions are noted that are granted while a remote store is down; a parent of workers serves none."""
        exposure_micro = self.config.charging.outage_exposure
        if not exposure_micro or self.store.is_single_writer or self.part.workers:
            return
        journal = Journal(Path(self.config.server.state_directory) / f"outage-{name.replace('/', '-')}.journal")
        node = self.node
        node.survive(Outage(journal, node.tariffs, node.numbers, exposure_micro, node.submit_again, self._failed))

    def _start_api(self) -> None:
        from aaa.api.guesses import GuessLock  # noqa: PLC0415
        from aaa.api.server import start_api  # noqa: PLC0415 - workers, which start often, need none of it

        hub = self.neighbours.hub
        guesses = GuessLock(lambda name: self._reactor.callFromThread(hub.publish, "pin_guess", account=name))
        hub.handle("pin_guess", lambda message: guesses.heard(message["account"], system_clock()))
        self.api = start_api(
            self.config,
            self.control,
            keys=self._keys,
            clock=system_clock,
            version=self._version,
            reload=lambda: self.control.call(self.reload).result(timeout=30),
            disconnect_peer=lambda host: self.control.call(lambda: self.switches.leave(host)).result(timeout=30),
            check_nas=lambda document: nas_from(
                document, client_defaults(self.config), configured_profiles(self.config)
            ),
            advise_nas=lambda document: advice(
                self.config, [nas_from(document, client_defaults(self.config), configured_profiles(self.config))]
            ),
            consumers=self.store.consumers,
            guesses=guesses,
        )

    def _serving(self) -> None:
        """Tell everybody that all is served."""
        self.life.serving()
        for listener in self.report.listeners():
            sys.stderr.write(f"aaad: {listener}\n")
        control = f", control {self.config.api.socket}" if self.api is not None else ""
        sys.stderr.write(f"aaad: ready, node {self.config.server.node}{control}\n")

    def _workers_ended(self, code: int) -> None:
        self.exit_code = code
        self.stop()

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

    def _changed_elsewhere(self, documents: Documents) -> None:
        """Clients, peers, subscriptions may have changed through another node."""
        self.directory.forget()
        self.faces.provisioned(documents)
        self._advise()

    def _provisioned(self) -> None:
        """This node changed the store: forget what was cached outside it, and have the others look."""
        self.neighbours.changed()
        self._changed_elsewhere(documents_of(self.store))


def _ignore(_count: int | Failed) -> None:
    """A purge that failed is tried again at the next turn."""
