"""
The Diameter server's connections: thin, because everything is decided in the machine and the service.

One protocol per connection.  What arrived on any connection in one turn of the reactor is handled first
and committed together; every connection is written once per turn.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import uniform
from typing import Any

from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from aaa.diameter.cca import result_in
from aaa.diameter.listen import endpoint
from aaa.diameter.peer import SECOND_US, Answered, Closed, Identity, Opened, PeerMachine, Requested, State, Timers
from aaa.diameter.peers import Peer, Peers
from aaa.diameter.service import OTHER, DiameterService
from aaa.diameter.text import COMMANDS
from aaa.diameter.turns import InOrder
from aaa.engine.ports import Directory, Node
from aaa.errors import ConfigError
from aaa.keys import Keys

REBOOTING = 0
CONNECTIONS_MAX = 1_024
TIMEOUT = "timeout"
SENT_LATER_MAX = 4 << 20  # octets a slow reader may leave unread


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

    def reauthorize(self, key: str) -> bool:
        """Ask the client of a session to report and ask anew (RAR)."""
        return self.service.links.reauthorize(key)

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

    def _flush(self) -> None:
        try:
            self.service.flush()
        finally:
            self._is_flush_due = False
            self._write()

    def _write(self) -> None:
        touched, self._touched = self._touched, []
        for connection in dict.fromkeys(touched):
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


@implementer(IPushProducer)
class Connection(Protocol):
    """One connection: octets between the transport and the machine, requests between machine and service."""

    machine: PeerMachine
    transport: Any

    def __init__(self, server: DiameterServer, address: str) -> None:
        self.address = address
        self._server = server
        self._timer: Any = None
        self._is_paused = False
        self._unsent = bytearray()
        self.answers = InOrder(self._answer)

    @property
    def peer(self) -> Peer:
        """The entry this connection belongs to, once it is open."""
        assert self.machine.peer is not None, "only open connections have requests"  # noqa: S101
        return self.machine.peer

    @property
    def origin_host(self) -> str:
        return self.machine.origin_host

    def request(self, command: int, body: bytes) -> bool:
        """Send a request of ours."""
        is_sent = self.machine.request(command, body, self._now())
        self._server.touched(self)
        self._arm()
        return is_sent

    def leave(self, cause: int) -> None:
        """Say good-bye; the connection closes when the peer has answered."""
        self.machine.disconnect(cause, self._now())
        self._happened()

    def is_still_admitted(self) -> bool:
        """Whether the entries still have this connection's peer; then it follows them."""
        machine = self.machine
        if machine.state is not State.OPEN:
            return True
        machine.peer = self._find(machine.origin_host, machine.origin_realm) or machine.peer
        return self._find(machine.origin_host, machine.origin_realm) is not None

    # -- Twisted's side ---------------------------------------------------------------------------

    def connectionMade(self) -> None:
        server = self._server
        ours = self.transport.getHost().host
        jitter_us = round(uniform(-2, 2) * SECOND_US)  # noqa: S311 - spreads watchdogs, keeps no secret
        self.machine = PeerMachine(
            server.identity, self._find, _bare(ours), self._now(), server.settings.timers, jitter_us
        )
        self.transport.registerProducer(self, True)
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        server.connections.add(self)
        self._arm()

    def dataReceived(self, data: bytes) -> None:
        self.machine.received(data, self._now())
        self._happened()

    def connectionLost(self, reason: Any = None) -> None:
        self.machine.lost()
        self._server.connections.discard(self)
        self._server.service.links.forget(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._happened()

    def pauseProducing(self) -> None:
        """The peer reads slowly: keep what is to be sent, up to a bound."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self.write()

    def stopProducing(self) -> None:
        self._is_paused = True

    def write(self) -> None:
        """Send what the machine has."""
        data = self.machine.to_send()
        if self._is_paused:
            self._unsent += data
            if len(self._unsent) > SENT_LATER_MAX:
                self.transport.abortConnection()
            return
        if self._unsent:
            data, self._unsent = bytes(self._unsent) + data, bytearray()
        if data:
            self.transport.write(data)
        if self.machine.state in (State.CLOSING, State.CLOSED):
            self.transport.loseConnection()

    # -- the machine's side -----------------------------------------------------------------------

    def _happened(self) -> None:
        """Act on what the machine has seen."""
        now = self._now()
        server, service = self._server, self._server.service
        for event in self.machine.events():
            if isinstance(event, Requested):
                service.handle(event.data, self, self.answers, now)
                server.arrived()
            elif isinstance(event, Opened):
                server.counters["connections", event.origin_host, "opened"] += 1
                service.joined(self, self.machine.origin_realm, event.state_id)
            elif isinstance(event, Closed):
                server.counters["connections", self.origin_host, event.reason] += 1
            elif isinstance(event, Answered):
                code = TIMEOUT if event.message is None else str(result_in(event.message))
                name = COMMANDS.get(event.command, OTHER)
                server.counters["messages", self.origin_host, name, "in", code] += 1
        server.touched(self)
        self._arm()

    def _answer(self, data: bytes) -> None:
        self.machine.send(data)
        self._server.touched(self)

    def _find(self, host: str, realm: str) -> Peer | None:
        return self._server.peers.find(host, realm, self.address, self._certified())

    def _certified(self) -> frozenset[str] | None:
        """The names of the peer's certificate; None on a connection without TLS."""
        if not ISSLTransport.providedBy(self.transport):
            return None
        certificate = self.transport.getPeerCertificate()
        if certificate is None:
            return frozenset()
        return _names_of(certificate.to_cryptography())

    def _arm(self) -> None:
        """Have the machine's next timer called."""
        due = self.machine.next_timer()
        if due is None:
            return
        delay_s = max(0.0, (due - self._now()) / SECOND_US)
        if self._timer is None or not self._timer.active():
            self._timer = self._server.reactor.callLater(delay_s, self._on_timer)
        elif self._timer.getTime() > self._server.reactor.seconds() + delay_s:
            self._timer.reset(delay_s)

    def _on_timer(self) -> None:
        self.machine.on_timer(self._now())
        self._happened()

    def _now(self) -> int:
        return self._server.service.node.now_us()


def _names_of(certificate: Any) -> frozenset[str]:
    """The DNS names and the common names of a certificate, lower case."""
    from cryptography import x509  # noqa: PLC0415 - only installations with TLS need it

    names = {one.value for one in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)}
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names.update(extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        pass
    return frozenset(name.lower() for name in names)


def _bare(address: str) -> str:
    """An address without its zone, an IPv4 one as such."""
    place = ipaddress.ip_address(address.partition("%")[0])
    mapped = place.ipv4_mapped if isinstance(place, ipaddress.IPv6Address) else None
    return str(mapped or place)
