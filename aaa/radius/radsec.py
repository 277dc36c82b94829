"""
RadSec: RADIUS over TLS (RFC 6614), on one stream for all packet types.

Both sides show certificates; a client is known by its source address, as over UDP, and its certificate
has to name it: the client entry's name or the address, as a subject alternative name.  The shared secret
is `radsec` for everybody, TLS protects what MD5 cannot.  What is silence over UDP closes the connection
here when the stream cannot be trusted any more (RFC 6613 2.6.4).  A bug that one packet leads to costs that packet,
as over UDP: the rest of the stream is still in step.  One outside of a packet costs the connection.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from OpenSSL import crypto
from twisted.internet.protocol import Factory, Protocol

from aaa.radius import attributes as a
from aaa.radius import checks
from aaa.radius.clients import Nas
from aaa.radius.packet import (
    COA_NAK,
    COA_REQUEST,
    DISCONNECT_NAK,
    DISCONNECT_REQUEST,
    HEADER_LENGTH,
    LENGTH_MAX,
    Malformed,
    Secret,
    answer,
    decode,
    has_valid_request_authenticator,
    integer,
)
from aaa.radius.service import RadiusService
from aaa.value import replace

SECRET = Secret(b"radsec")  # RFC 6614 2.3
CONNECTIONS_MAX = 256
READ_TIMEOUT_S = 10  # for the rest of a packet that began
IDLE_TIMEOUT_S = 900
UNWANTED = 406  # Error-Cause, RFC 6614 2.5
# What only this packet suffers for; the rest of the stream is still in step.
_HARMLESS = frozenset(("unknown_code", "no_credentials", "bad_attributes"))


class RadSecProtocol(Protocol):
    """
    One connection, which is a port of the service.

    `number` is unlike that of any other port, so that Identifiers of connections do not meet.
    """

    kind = checks.STREAM

    def __init__(self, service: RadiusService, number: int, factory: RadSecFactory) -> None:
        self._service = service
        self._owner = factory
        self.number = number
        self._nas: Nas | None = None
        self._address: tuple[str, int] = ("", 0)
        self._buffer = b""
        self._timer: Any = None
        self._is_admitted = False
        self._transport: Any = None  # as TLS makes it; Protocol's own type knows nothing of certificates

    # -- what the transport calls -----------------------------------------------------------------

    def connectionMade(self) -> None:
        self._transport = self.transport
        peer = self._transport.getPeer()
        self._address = (peer.host, peer.port)
        found = self._service.clients.find(peer.host)
        if found is None or len(self._owner.open) >= CONNECTIONS_MAX:
            self._close("unknown_nas" if found is None else "too_many_connections")
            return
        self._owner.open.add(self)
        self._nas = replace(found, secrets=(SECRET,), require_message_authenticator="no", limit_proxy_state="no")
        self._wait(READ_TIMEOUT_S)

    def dataReceived(self, data: bytes) -> None:
        if self._nas is None:
            return
        try:
            self._read(data, self._nas)
        except Exception as error:
            self._failed(error)
            self._close("")

    def connectionLost(self, reason: Any = None) -> None:
        self._nas = None
        self._owner.open.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    # -- what the service calls -------------------------------------------------------------------

    def send(self, data: bytes, address: tuple[Any, ...]) -> None:
        """Write an answer; when the connection is gone its answers are too (RFC 6613 2.6.1)."""
        if self._nas is not None:
            self._transport.write(data)

    # -- inside -----------------------------------------------------------------------------------

    def _read(self, data: bytes, nas: Nas) -> None:
        """Take what has arrived: whole packets are served, the rest is kept."""
        if not self._is_admitted and not self._admit(nas):
            return
        self._buffer += data
        while len(self._buffer) >= HEADER_LENGTH:
            length = int.from_bytes(self._buffer[2:4], "big")
            if not HEADER_LENGTH <= length <= LENGTH_MAX:
                self._close("length")
                return
            if len(self._buffer) < length:
                break
            packet, self._buffer = self._buffer[:length], self._buffer[length:]
            try:
                if not self._take(packet, nas):
                    return
            except Exception as error:
                self._failed(error)
        self._service.flush()
        self._wait(READ_TIMEOUT_S if self._buffer else IDLE_TIMEOUT_S)

    def _failed(self, error: Exception) -> None:
        """Tell of an exception and on which connection it came up."""
        host, port = self._address
        error.add_note(f"on the RadSec connection of {host}:{port}")
        self._service.failed(error, self._nas.name if self._nas else "", f"{host}:{port}")

    def _take(self, data: bytes, nas: Nas) -> bool:
        """Take one packet; False when the connection was closed for it."""
        if data[0] in (DISCONNECT_REQUEST, COA_REQUEST):
            return self._refuse_dynauth(data)
        now_us = self._service.node.now_us()
        request, problem = self._service.receive_of(nas, data, self._address, self, now_us)
        if request is not None:
            self._service.serve(request)
        elif problem and problem not in _HARMLESS:
            self._close("")
            return False
        return True

    def _refuse_dynauth(self, data: bytes) -> bool:
        """Answer what only a NAS takes, so that the asker need not wait (RFC 6614 2.5)."""
        try:
            request = decode(data)
        except Malformed as error:
            self._close(error.reason)
            return False
        if not has_valid_request_authenticator(request, SECRET):
            self._close("bad_authenticator")
            return False
        code = DISCONNECT_NAK if request.code == DISCONNECT_REQUEST else COA_NAK
        self.send(answer(code, request, integer(a.ERROR_CAUSE, UNWANTED), SECRET, is_signed=True), self._address)
        return True

    def _admit(self, nas: Nas) -> bool:
        """Check, once the handshake is done, that the certificate names this client (RFC 6614 2.3)."""
        certificate: crypto.X509 | None = self._transport.getPeerCertificate()
        if certificate is None or not names_client(certificate.to_cryptography(), nas.name, self._address[0]):
            self._close("certificate")
            return False
        self._is_admitted = True
        return True

    def _close(self, reason: str) -> None:
        if reason:
            self._service.counters["dropped", self._nas.name if self._nas else "", reason] += 1
        self._nas = None
        self._transport.loseConnection()

    def _wait(self, timeout_s: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.reset(timeout_s)
        else:
            self._timer = self._owner.reactor.callLater(timeout_s, self._close, "idle")


class RadSecFactory(Factory):
    """Connections of all clients."""

    noisy = False

    def __init__(self, service: RadiusService, reactor: Any) -> None:
        self.reactor = reactor
        self.open: set[RadSecProtocol] = set()
        self._service = service
        self._next = 1 << 16

    def buildProtocol(self, addr: Any) -> RadSecProtocol:
        self._next += 1
        return RadSecProtocol(self._service, self._next, self)


def names_client(certificate: x509.Certificate, name: str, address: str) -> bool:
    """Tell whether a certificate is for a client: its name or its address among the alternative names."""
    try:
        alternatives = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return False
    if not isinstance(alternatives, x509.SubjectAlternativeName):
        return False
    named = {text.lower() for text in alternatives.get_values_for_type(x509.DNSName)}
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return name.lower() in named or ipaddress.ip_address(address) in addresses
