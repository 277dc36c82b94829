"""
The running server: one node, its faces, its signals, its periodic work (DESIGN 6, OPERATIONS 4).

Start: store, tariffs, node, RADIUS sockets, control API.  SIGTERM drains: new sessions are refused or
met with silence, running ones are still served, until none is left or `drain_timeout` is over; a second
SIGTERM ends at once.  SIGHUP reads the configuration again, all or nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from aaa.api.server import ApiServer, start_api
from aaa.api.shapes import instant
from aaa.config import Config
from aaa.diameter.peers import Peers
from aaa.diameter.server import DiameterServer
from aaa.diameter.server import Settings as DiameterSettings
from aaa.engine.model import Session
from aaa.entries import client_defaults, configured_clients, configured_peers, configured_profiles
from aaa.errors import ConfigError
from aaa.keys import Keys
from aaa.node.clock import system_clock
from aaa.node.control import NodeControl
from aaa.node.directory import StoreDirectory
from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.ops.listener import LagProbe, MetricsListener
from aaa.ops.logs import logger
from aaa.ops.metrics import Sources
from aaa.ops.questions import questions
from aaa.ops.request_logging import RequestLogging
from aaa.ops.supervisor import Supervisor
from aaa.provision.credentials import unsealed_nas
from aaa.radius.clients import Clients, nas_from
from aaa.radius.server import RadiusServer
from aaa.store.emergency import ensure_emergency_account
from aaa.store.open import open_store
from aaa.store.port import Failed
from aaa.store.read import open_reader

SWEEP_S = 1.0
PURGE_S = 60.0
PURGE_MOST = 20_000
ERRORS_KEPT = 10
NEEDS_RESTART = ("store", "radius", "diameter", "api", "server", "metrics")


class Server:
    """
    Everything one process serves with.

    Args:
        reload_config: Reads the configuration again, or raises ConfigError.
    """

    def __init__(
        self, config: Config, keys: Keys, reactor: Any, reload_config: Callable[[], Config], version: str
    ) -> None:
        self.config = config
        self.exit_code = 0
        self._keys = keys
        self._reactor = reactor
        self._reload_config = reload_config
        self._version = version
        self._errors: deque[str] = deque(maxlen=ERRORS_KEPT)
        self._started_us = system_clock()
        self._is_stopping = False
        self.store = open_store(config.store.url, reactor)
        ensure_emergency_account(self.store, system_clock())
        number = self.store.new_node(config.server.node, system_clock())
        self.node = ChargingNode(self.store, TariffBook(self.store), system_clock, number, self._failed)
        self.directory = StoreDirectory(self.store, system_clock, self.node.flush)
        self.radius = RadiusServer(
            self.node,
            self.directory,
            self._clients(config),
            keys,
            is_serving=lambda: self.node.is_store_up,
            on_error=self._failed,
        )
        self.control = NodeControl(
            self.node,
            reactor.callFromThread,
            self._provisioned,
            self._describe,
            self._killed,
            questions(self.node, self.radius.service.refusals, self.radius.service.traces),
        )
        self.logging = RequestLogging(config.log, self.node, self.radius.service)
        self.diameter: DiameterServer | None = None
        peers = self._peers(config)
        if config.diameter.listen:
            identity = DiameterSettings(config.diameter.origin_host or "", config.diameter.origin_realm or "")
            self.diameter = DiameterServer(self.node, self.directory, peers, keys, identity, self._failed)
        self.api: ApiServer | None = None
        self._lag = LagProbe(reactor)
        self._supervisor = Supervisor()
        self._reloads: Counter[tuple[str, ...]] = Counter()
        self._reloaded_at_s = self._started_us / 1e6
        self._metrics: MetricsListener | None = None

    def start(self) -> None:
        """
        Bind everything and begin.

        Raises:
            ConfigError: A socket that cannot be bound.
        """
        radius = self.config.radius
        self.radius.start(self._reactor, list(radius.auth), list(radius.acct), radius.tls)
        if self.diameter is not None:
            self.diameter.start(self._reactor, self.config.diameter.listen)
        if self.config.metrics.listen is not None:
            self._metrics = MetricsListener(self._reactor, self.config.metrics.listen, self._sources())
        self._reactor.callWhenRunning(self._running)

    def stop(self) -> None:
        """Commit what is staged, close everything, end the reactor."""
        if self.api is not None:
            self.api.stop()
            self.api = None
        if self._metrics is not None:
            self._metrics.stop()
            self._metrics = None
        self.node.flush()
        if self.diameter is not None:
            self.diameter.stop()
        self.radius.stop()
        self.store.close()
        self.logging.stop()
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
            clients, peers = self._clients(config), self._peers(config)
        except ConfigError:
            self._reloads["rejected",] += 1
            raise
        self._reloads["ok",] += 1
        self._reloaded_at_s = system_clock() / 1e6
        needs = [name for name in NEEDS_RESTART if getattr(config, name) != getattr(self.config, name)]
        self.radius.reload(clients)
        if self.diameter is not None:
            self.diameter.reload(peers)
        self.logging.take_up(config.log)
        self.config = config
        if self.api is not None:
            self.api.context.config = config
        return needs

    # -- life -------------------------------------------------------------------------------------

    def _running(self) -> None:
        try:
            self.api = start_api(
                self.config,
                self.control,
                keys=self._keys,
                clock=system_clock,
                version=self._version,
                reload=self._reload_from_api,
                check_nas=lambda document: nas_from(
                    document, client_defaults(self.config), configured_profiles(self.config)
                ),
            )
        except ConfigError as error:
            sys.stderr.write(f"aaad: {error}\n")
            self.exit_code = 3
            self.stop()
            return
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_signal)
        self._lag.start()
        self._every(SWEEP_S, self._sweep)
        self._every(PURGE_S, self._purge)
        if self._supervisor.interval_s:
            self._every(self._supervisor.interval_s, self._supervisor.alive)
        self._supervisor.ready("serving")
        for listener in self._listeners():
            sys.stderr.write(f"aaad: {listener}\n")
        sys.stderr.write(f"aaad: ready, node {self.config.server.node}, control {self.config.api.socket}\n")

    def _on_signal(self, number: int, _frame: object) -> None:
        # Signal handlers run between two bytecodes of whatever is going on; the work belongs into the reactor.
        self._reactor.callFromThread(self._on_hangup if number == signal.SIGHUP else self._on_terminate)

    def _on_terminate(self) -> None:
        if self._is_stopping:
            self.stop()
            return
        self._is_stopping = True
        self._supervisor.stopping()
        self.node.is_draining = True
        deadline_us = system_clock() + self.config.server.drain_timeout * 1_000_000
        self._drain(deadline_us)

    def _drain(self, deadline_us: int) -> None:
        """Serve running sessions until there are none, at most until the deadline."""
        self.node.flush()

        def counted(live: int | Failed) -> None:
            if live == 0 or system_clock() >= deadline_us:
                self.stop()
            else:
                self._reactor.callLater(0.5, self._drain, deadline_us)

        self.store.live_sessions(counted)

    def _on_hangup(self) -> None:
        self._supervisor.reloading()
        try:
            needs = self.reload()
        except ConfigError as error:
            self._supervisor.ready("serving with the old configuration")
            sys.stderr.write(f"aaad: config.rejected: {error}\n")
            logger().error("config.rejected", problems=list(error.problems))
            return
        self._supervisor.ready("serving")
        sys.stderr.write(f"aaad: config.reloaded{'; needs restart: ' + ', '.join(needs) if needs else ''}\n")

    def _reload_from_api(self) -> list[str]:
        needs: list[str] = self.control.call(self.reload).result(timeout=30)
        return needs

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something again and again; one failure must not end it."""

        def run() -> None:
            if self._reactor.running:
                try:
                    work()
                except Exception as error:
                    self._failed(error)
                self._reactor.callLater(seconds, run)

        self._reactor.callLater(seconds, run)

    def _sweep(self) -> None:
        self.node.sweep()

    def _purge(self) -> None:
        now = system_clock()
        self.store.purge(now - self.config.retention.session_closed * 1_000_000, now, PURGE_MOST, _ignore)

    # -- what others ask --------------------------------------------------------------------------

    def _clients(self, config: Config) -> Clients:
        stored = tuple(unsealed_nas(json.loads(text), self._keys) for text in self.store.nas_documents())
        return configured_clients(config, stored)

    def _provisioned(self) -> None:
        """Forget what was cached outside the node; the clients may have changed too."""
        self.directory.forget()
        self.radius.reload(self._clients(self.config))
        if self.diameter is not None:
            self.diameter.reload(self._peers(self.config))

    def _sources(self) -> Sources:
        """Where the metrics read."""
        return Sources(
            engine=open_reader(self.config.store.url),
            version=self._version,
            node=self.node.counters,
            radius=self.radius.counters,
            reloads=self._reloads,
            reloaded_at_s=lambda: self._reloaded_at_s,
            lag=self._lag.histogram,
            tally=self.node.tally.counters,
            transactions=self.node.tally.transactions,
            durations=self.radius.service.durations,
            gauges=self._gauges,
        )

    def _gauges(self) -> dict[str, float]:
        return {
            "aaa_reply_cache_entries": len(self.radius.service.dedup),
            "aaa_reply_cache_evictions": self.radius.service.dedup.evictions,
            "aaa_exposure_amount": 0.0,  # nothing is granted without a reservation
            "aaa_log_lines_dropped": self.logging.dropped,
        }

    def _peers(self, config: Config) -> Peers:
        return configured_peers(config, tuple(json.loads(text) for text in self.store.peer_documents()))

    def _listeners(self) -> list[str]:
        bound = [f"radius {kind} on {host}:{port}" for kind, (host, port) in self.radius.bound_ports]
        if self.diameter is not None:
            bound += [f"{kind} on {host}:{port}" for kind, (host, port) in self.diameter.bound_ports]
        return bound

    def _killed(self, session: Session) -> None:
        """A session is to end: ask its client to (RFC 5176, ASR); its end or its deadline settles it either way."""
        head = session.head
        if head.protocol == "diameter":
            if self.diameter is not None:
                self.diameter.abort(head.key)
        else:
            self.radius.disconnect(head.key, session.aliases, head.subscriber, lambda result: None)

    def _describe(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "node": self.config.server.node,
            "pid": os.getpid(),
            "uptime_s": (system_clock() - self._started_us) // 1_000_000,
            "config_digest": self.config.digest,
            "config_loaded_at": instant(int(self._reloaded_at_s * 1e6)),
            "nas_last_seen": {name: instant(at_us) for name, at_us in sorted(self.radius.service.last_seen.items())},
            "log_lines_dropped": self.logging.dropped,
            "listeners": self._listeners(),
            "radius": {".".join(part for part in name if part): n for name, n in sorted(self.radius.counters.items())},
            "errors": list(self._errors),
        }

    def _failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self._errors.append(text)
        logger().error("internal_error", error=text, exc_info=error)


def _ignore(_count: int | Failed) -> None:
    """A purge that failed is tried again at the next turn."""
