"""
One Diameter connection: thin, because everything is decided in the machine and the service.

Octets are written straight to the socket of a plain connection; what it does not take waits in the transport, and
everything after it here, up to a bound, until the transport is empty.
"""

from __future__ import annotations

import ipaddress
from random import uniform
from typing import TYPE_CHECKING, Any

from twisted.internet import protocol
from twisted.internet.interfaces import IPullProducer, IPushProducer, ISSLTransport, ITCPTransport
from zope.interface import implementer

from aaa.diameter.ask import Ask
from aaa.diameter.cca import result_in
from aaa.diameter.codec import UNKNOWN_SESSION_ID
from aaa.diameter.peer import SECOND_US, Answered, Closed, Opened, PeerMachine, Requested, State
from aaa.diameter.peers import Peer
from aaa.diameter.service import OTHER
from aaa.diameter.text import COMMANDS
from aaa.diameter.turns import InOrder

if TYPE_CHECKING:
    from aaa.diameter.server import DiameterServer

TIMEOUT = "timeout"
SENT_LATER_MAX = 4 << 20  # octets a slow reader may leave unread


@implementer(IPushProducer, IPullProducer)
class Connection(protocol.Protocol):
    """One connection: octets between the transport and the machine, requests between machine and service."""

    machine: PeerMachine
    transport: Any
    peer: Peer  # the entry it belongs to, once it is open
    origin_host = ""
    answers: InOrder

    def __init__(self, server: DiameterServer, address: str) -> None:
        self.address = address
        self._server = server
        self._timer: Any = None
        self._socket: Any = None  # of a connection without TLS
        self._is_paused = False
        self._is_touched = False
        self._unsent = bytearray()

    def request(self, ask: Ask) -> bool:
        """Send a request of ours about a session."""
        is_sent = self.machine.request(ask, self._now())
        self._touch()
        self._arm()
        return is_sent

    def leave(self, cause: int) -> None:
        """Say good-bye; the connection closes when the peer has answered."""
        now = self._now()
        self.machine.disconnect(cause, now)
        self._happened(now)
        self._arm()

    def is_still_admitted(self) -> bool:
        """Whether the entries still have this connection's peer; then it follows them."""
        machine = self.machine
        if machine.state is not State.OPEN:
            return True
        found = self._find(machine.origin_host, machine.origin_realm)
        self.peer = found or self.peer
        return found is not None

    # -- Twisted's side ---------------------------------------------------------------------------

    def connectionMade(self) -> None:
        server = self._server
        ours = self.transport.getHost().host
        jitter_us = round(uniform(-2, 2) * SECOND_US)  # noqa: S311 - spreads watchdogs, keeps no secret
        self.machine = PeerMachine(
            server.identity, self._find, _bare(ours), self._now(), server.settings.timers, jitter_us, self._touch
        )
        self.answers = InOrder(self.machine.send)
        transport = self.transport
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            self._socket = transport.getHandle()
            server.read(self, self._socket)
        else:
            transport.registerProducer(self, True)
        server.connections.add(self)
        self._arm()

    def dataReceived(self, data: bytes) -> None:
        now = self._now()
        self.machine.received(data, now)
        self._happened(now)

    def connectionLost(self, reason: Any = None) -> None:
        self._server.service.take()  # what it brought before it went counts
        self.machine.lost()
        self._server.forget(self)
        self._server.service.links.forget(self)
        self._happened(self._now())
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def pauseProducing(self) -> None:
        """The peer reads slowly: keep what is to be sent, up to a bound."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """The transport is empty: send what was kept."""
        if self._is_paused and self._socket is not None:
            self.transport.unregisterProducer()
        self._is_paused = False
        self.write()

    def stopProducing(self) -> None:
        self._is_paused = True

    def write(self) -> None:
        """Send what the machine has."""
        self._is_touched = False
        data = self.machine.to_send()
        if self._is_paused:
            self._unsent += data
            if len(self._unsent) > SENT_LATER_MAX:
                self.transport.abortConnection()
            return
        if self._unsent:
            data, self._unsent = bytes(self._unsent) + data, bytearray()
        if data:
            self._send(data)
        if self.machine.state in (State.CLOSING, State.CLOSED):
            self.transport.loseConnection()

    def _send(self, data: bytes) -> None:
        """Give octets to the socket itself: the detour through the reactor costs more than everything else here."""
        if self._socket is None:
            self.transport.write(data)
            return
        try:
            sent = self._socket.send(data)
        except OSError:  # it is full, or gone, which the transport will find out
            sent = 0
        if sent < len(data):
            self.transport.registerProducer(self, False)
            self._is_paused = True
            self.transport.write(data[sent:])

    # -- the machine's side -----------------------------------------------------------------------

    def _happened(self, now: int) -> None:
        """Act on what the machine has seen."""
        server, machine = self._server, self.machine
        service = server.service
        for event in machine.events():
            if isinstance(event, Requested):
                service.handle(event.messages, self, self.answers, now)
                server.arrived()
            elif isinstance(event, Opened):
                self.peer, self.origin_host = event.peer, event.origin_host
                server.counters["connections", event.origin_host, "opened"] += 1
                service.joined(self, machine.origin_realm, event.state_id)
            elif isinstance(event, Closed):
                server.counters["connections", self.origin_host, event.reason] += 1
            elif isinstance(event, Answered):
                self._answered(event)
        if machine.wants_to_send:
            self._touch()
        if self._timer is None:
            self._arm()

    def _answered(self, event: Answered) -> None:
        """A request of ours was answered, or is to be sent over another connection."""
        server, ask = self._server, event.ask
        code = 0 if event.message is None else result_in(event.message)
        told = TIMEOUT if event.message is None else str(code)
        server.counters["messages", self.origin_host, COMMANDS.get(ask.command, OTHER), "in", told] += 1
        if not ask.about:
            return
        if event.message is None:
            server.arrived()  # so that what goes another way now goes there at once
            server.service.links.unanswered(ask, self)
        elif code == UNKNOWN_SESSION_ID:
            server.service.lost(ask.about)
            server.arrived()

    def _touch(self) -> None:
        """Have this connection written once what arrived with it is answered."""
        if not self._is_touched:
            self._is_touched = True
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
        """
        Have the machine's next timer called.

        What arrives only ever puts the timer off, so while one is set only requests of ours may need an earlier one.
        """
        due = self.machine.next_timer()
        if due is None:
            return
        delay_s = max(0.0, (due - self._now()) / SECOND_US)
        if self._timer is None:
            self._timer = self._server.reactor.callLater(delay_s, self._on_timer)
        elif self._timer.getTime() > self._server.reactor.seconds() + delay_s:
            self._timer.reset(delay_s)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._now()
        self.machine.on_timer(now)
        self._happened(now)

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
