"""
The Diameter server: who may connect, and when what its connections brought is committed and answered.

What arrived on any connection in one turn of the reactor is handled first and committed together; every
connection is written once per turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.protocol import Factory
from twisted.logger import Logger

from aaa.diameter.capabilities import Identity
from aaa.diameter.connection import Connection
from aaa.diameter.listen import endpoint
from aaa.diameter.peer import State, Timers
from aaa.diameter.peers import Peers
from aaa.diameter.reading import Sockets
from aaa.diameter.service import DiameterService
from aaa.engine.ports import Directory, Node
from aaa.errors import ConfigError
from aaa.keys import Keys

REBOOTING = 0
CONNECTIONS_MAX = 1_024


@dataclass(slots=True, frozen=True)
class Settings:
    """Who we are, how long we wait, and which services the contexts that are not 3GPP's stand for."""

    origin_host: str
    origin_realm: str
    timers: Timers = Timers()
    contexts: Mapping[str, str] = field(default_factory=dict)
    connections_max: int = CONNECTIONS_MAX


def _logged(error: Exception) -> None:
    """Log the exception that is being handled."""
    Logger().failure("a message led to {error!r}", error=error)


class DiameterServer:
    """
    The Diameter face of a node.

    Args:
        node, directory: What requests are given to, and who pays for them.
        peers: Who may connect; `reload` replaces them.
        on_error: Told of exceptions that a message led to; logged when nobody is.
    """

    def __init__(
        self,
        node: Node,
        directory: Directory,
        peers: Peers,
        keys: Keys,
        settings: Settings,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.settings = settings
        self.peers = peers
        self.keys = keys
        self.identity = Identity(settings.origin_host, settings.origin_realm)
        self.on_error = on_error or _logged
        self.service = DiameterService(node, directory, self.identity, settings.contexts, self.on_error)
        self.connections: set[Connection] = set()
        self.reactor: Any = None
        self._sockets: Sockets | None = None
        self._ports: list[Any] = []
        self._bind_errors: list[str] = []
        self._touched: list[Connection] = []
        self._is_flush_due = False

    @property
    def counters(self) -> dict[tuple[str, ...], int]:
        """
        (messages, peer, command, in or out, Result-Code) of requests and their answers, both ways, and
        (connections, peer, how they began or ended); a peer that is none is nameless.
        """
        return self.service.counters

    @property
    def bound_ports(self) -> list[tuple[str, tuple[str, int]]]:
        """The addresses that are served."""
        return [("diameter", (port.getHost().host, port.getHost().port)) for port in self._ports]

    def connected(self) -> dict[tuple[str, str, str], int]:
        """How many open connections there are by Origin-Host, realm and address."""
        found: Counter[tuple[str, str, str]] = Counter()
        for one in list(self.connections):
            if one.machine.state is State.OPEN:
                found[one.origin_host, one.machine.origin_realm, one.address] += 1
        return found

    def start(self, reactor: Any, listen: Sequence[str]) -> None:
        """
        Listen on Twisted endpoint strings (`tcp:3868`, `ssl:5868:privateKey=..:certKey=..:caKey=..`).

        Raises:
            ConfigError: A listener that cannot be used; nothing stays bound then.
        """
        self.reactor = reactor
        self._sockets = Sockets(reactor, self.service.take, self._taken, self.on_error)
        try:
            endpoints = [endpoint(text, reactor) for text in listen]
        except ConfigError:
            self.stop()
            raise
        for made in endpoints:
            made.listen(_ConnectionFactory(self)).addCallbacks(self._ports.append, self._bind_errors_add)
        if self._bind_errors:
            errors, self._bind_errors = self._bind_errors, []
            self.stop()
            raise ConfigError([f"[diameter] listen: {error}" for error in errors])

    def stop(self) -> None:
        """Take leave of all peers and close; they send what is pending to another node."""
        for port in self._ports:
            port.stopListening()
        self._ports = []
        for connection in list(self.connections):
            connection.leave(REBOOTING)

    def reload(self, peers: Peers) -> None:
        """Admit by other entries from now on; connections of peers that are gone are ended."""
        self.peers = peers
        for connection in list(self.connections):
            if not connection.is_still_admitted():
                connection.leave(REBOOTING)

    def disconnect(self, origin_host: str) -> int:
        """End the connections of a peer; returns how many there were."""
        ended = [one for one in self.connections if one.origin_host == origin_host.lower()]
        for connection in ended:
            connection.leave(REBOOTING)
        return len(ended)

    def abort(self, key: str) -> bool:
        """Ask the client of a session to end it (ASR)."""
        return self.service.links.abort(key)

    def reauthorize(self, key: str, ended: Collection[int | None] = ()) -> bool:
        """Ask the client of a session to report and ask anew (RAR), of one rating group if only that one `ended`."""
        return self.service.links.reauthorize(key, ended)

    def replenished(self, account_id: int) -> list[str]:
        """Ask the clients of an account's sessions that had come to the end of its money (RAR); returns which."""
        return self.service.links.replenished(account_id)

    def arrived(self) -> None:
        """Something was taken: have it committed once this turn of the reactor has read everything."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self.reactor.callLater(0, self._flush)

    def touched(self, connection: Connection) -> None:
        """A connection has something to send; it is written at once outside of a flush."""
        self._touched.append(connection)
        if not self._is_flush_due:
            self._write()

    def read(self, connection: Connection, socket: Any) -> None:
        """Read a plain connection together with all others."""
        if self._sockets is not None:
            self._sockets.add(connection, socket)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self._sockets is not None:
            self._sockets.remove(connection)

    def _taken(self) -> None:
        """All sockets were read."""
        if self._is_flush_due:
            self._flush()

    def _flush(self) -> None:
        if not self._is_flush_due:
            return  # what was due has been taken along
        try:
            self.service.flush()
        finally:
            self._is_flush_due = False
            self._write()

    def _write(self) -> None:
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.write()

    def _bind_errors_add(self, failure: Any) -> None:
        self._bind_errors.append(str(failure.value))


class _ConnectionFactory(Factory):
    """Makes a connection for everybody who may be a peer."""

    noisy = False

    def __init__(self, server: DiameterServer) -> None:
        self._server = server

    def buildProtocol(self, addr: Any) -> Connection | None:
        server = self._server
        if len(server.connections) >= server.settings.connections_max or not server.peers.admits(addr.host):
            server.counters["connections", "", "refused"] += 1
            return None
        return Connection(server, addr.host)
