"""
The RADIUS server's sockets: thin, because everything is decided in `aaa.radius.service`.

Our own UDP sockets under the reactor's readers, drained in bulk: up to 256 datagrams per wake-up, then one
flush, so that what came together is committed together (PERFORMANCE.md).
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from aaa import mutual_tls
from aaa.engine.commands import Identity, LineRequest, Update
from aaa.engine.model import Session
from aaa.engine.ports import Directory, Node
from aaa.errors import ConfigError
from aaa.keys import Keys
from aaa.radius import checks, udp
from aaa.radius.clients import Clients
from aaa.radius.datagrams import Captures, UdpPort
from aaa.radius.dynauth import Done, Outcome, Result
from aaa.radius.dynauth_port import DynauthPort
from aaa.radius.event_socket_port import EventSockets
from aaa.radius.service import RadiusService

DRAIN_MAX = 256
RECEIVE_BUFFER = 8 << 20


@dataclass(slots=True, frozen=True)
class Settings:
    """Sizes of the sockets; tests make them small."""

    drain_max: int = DRAIN_MAX
    receive_buffer: int = RECEIVE_BUFFER


def _logged(error: Exception) -> None:
    """Log the exception that is being handled."""
    Logger().failure("a packet led to {error!r}", error=error)


class RadiusServer:
    """
    The RADIUS face of a node over UDP.

    Args:
        node, directory: What requests are given to, and who their senders are.
        clients: The client entries; `reload` replaces them.
        is_serving: False silences Status-Server.
        on_error: Told of exceptions that a packet led to; logged when nobody is.
    """

    def __init__(
        self,
        node: Node,
        directory: Directory,
        clients: Clients,
        keys: Keys,
        settings: Settings | None = None,
        is_serving: Callable[[], bool] = lambda: True,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._reactor: Any = None
        self.service = RadiusService(
            node, directory, clients, keys, self._call_from_thread, is_serving, on_error or _logged
        )
        self._ports: list[UdpPort] = []
        self._reader: udp.UdpReader | None = None
        self._is_send_due = False
        self._captures = Captures()
        self._dynauth: DynauthPort | None = None
        self._streams: list[Any] = []
        self._bind_errors: list[str] = []

    @property
    def counters(self) -> defaultdict[tuple[str, ...], int]:
        """Requests, responses, duplicates and drops by client and kind."""
        return self.service.counters

    @property
    def bound_ports(self) -> list[tuple[str, tuple[str, int]]]:
        """The addresses that are served, each with `auth`, `acct` or `tls`."""
        names = {checks.AUTH: "auth", checks.ACCT: "acct"}
        udp = [(names[port.kind], port.socket.getsockname()[:2]) for port in self._ports]
        return udp + [("tls", (stream.getHost().host, stream.getHost().port)) for stream in self._streams]

    def start(
        self,
        reactor: Any,
        auth_addresses: list[str],
        acct_addresses: list[str],
        tls_endpoints: Sequence[str] = (),
        inherited: Iterable[socket.socket] = (),
    ) -> None:
        """
        Bind and begin to serve.

        Args:
            auth_addresses, acct_addresses: `host:port` or `[host]:port` each; port 0 takes a free one.
            tls_endpoints: RadSec listeners, as `aaa.mutual_tls.endpoint` reads them.
            inherited: Bound sockets to serve instead of binding these addresses, in the same order.

        Raises:
            ConfigError: An address that cannot be bound; nothing stays bound then.
        """
        self._reactor = reactor
        given = iter(inherited)
        try:
            for kind, addresses in ((checks.AUTH, auth_addresses), (checks.ACCT, acct_addresses)):
                for address in addresses:
                    made = next(given, None) or udp.bound(address, self.settings.receive_buffer, False)
                    wide = udp.is_wildcard(made)
                    self._ports.append(
                        UdpPort(len(self._ports), kind, made, wide, self._gathering, self._captures.may_run)
                    )
        except OSError as error:
            self.stop()
            raise ConfigError([f"[radius] {address}: {error.strerror or error}"]) from error
        self._reader = udp.UdpReader((port.socket for port in self._ports), self._drain)
        reactor.addReader(self._reader)
        if tls_endpoints:
            self._listen(reactor, tls_endpoints)
        self._dynauth = DynauthPort(self.service.limits.dynauth, reactor, self.service.node.now_us)
        self.service.limits.wake = self._dynauth.wake
        self.service.limits.event_sockets = EventSockets(reactor)

    def stop(self) -> None:
        """Close all sockets; what is being worked on ends without an answer."""
        self._send()
        if self._reader is not None:
            self._reactor.removeReader(self._reader)
            self._reader.close()
            self._reader = None
        for port in self._ports:
            port.socket.close()
        for stream in self._streams:
            stream.stopListening()
        self._ports, self._streams = [], []
        self._captures.close()
        if self._dynauth is not None:
            self._dynauth.stop()
            self._dynauth = None
        self.service.stop()

    def reload(self, clients: Clients) -> None:
        """Serve other client entries from the next datagram on."""
        self.service.clients = clients

    def disconnect(self, key: str, aliases: tuple[str, ...], subscriber: str, done: Done) -> None:
        """
        Ask the NAS of a session to end it (RFC 5176).

        The session is over only when its Stop has come, or its deadline; an ACK is a promise.

        Args:
            key, aliases: As the session is stored.
            done: Gets the outcome; a NAK at once when the client has no `coa` address.
        """
        nas = self.service.clients.by_name.get(key.partition("|")[0])
        if nas is None:
            done(Result(Outcome.NAK))
            return
        self.service.limits.disconnect(nas, key, aliases, subscriber, self.service.node.now_us(), done)

    def extend(self, session: Session) -> bool:
        """
        Use new money of its account for a running session, and tell its NAS of the longer limit (CoA).

        Returns:
            False when the NAS asks by itself, or cannot be told.
        """
        nas = self.service.clients.by_name.get(session.head.key.partition("|")[0])
        if nas is None or nas.coa is None or nas.profile.refill != "interim":
            return False
        node = self.service.node
        now_us = node.now_us()
        command = Update(
            key=session.head.key,
            identity=Identity(f"c{now_us}"),
            lines=tuple(LineRequest(key=key) for key in dict.fromkeys(line.head.key for line in session.lines)),
            origin=nas.name,
        )
        limits = self.service.limits
        node.submit(command, None, lambda answer: limits.after_credit(nas, session, answer, node.now_us()))
        return True

    def _drain(self) -> None:
        """
        Take what all sockets have, in the order of service, and commit and answer it as one.

        Every socket is read when any is readable: what arrived together is arranged together.
        """
        self._is_send_due = True
        try:
            self.service.take(self._ports, self.settings.drain_max)
            self.service.flush()
        except Exception as error:
            self.service.failed(error, "", "")  # the reactor would give the socket up
        finally:
            self._send()

    def _gathering(self) -> None:
        """An answer waits to be sent: it is sent at the end of the drain, or of this turn of the reactor."""
        if not self._is_send_due:
            self._is_send_due = True
            self._reactor.callLater(0, self._send)

    def _send(self) -> None:
        self._is_send_due = False
        for port in self._ports:
            port.send_gathered()
            if port.lost:
                self.counters["dropped", "", "unsent"] += port.lost
                port.lost = 0

    def _listen(self, reactor: Any, endpoints: Sequence[str]) -> None:
        """Listen for RadSec; nothing stays bound when one endpoint cannot be used."""
        from aaa.radius import radsec  # noqa: PLC0415 - brings OpenSSL along, which few installations need

        try:
            streams = [mutual_tls.endpoint(text, reactor, "[radius] tls", 2083) for text in endpoints]
        except ConfigError:
            self.stop()
            raise
        for stream in streams:
            listening = stream.listen(radsec.RadSecFactory(self.service, reactor))
            listening.addCallbacks(self._streams.append, self._not_bound)
        if self._bind_errors:
            self.stop()
            raise ConfigError([f"[radius] tls: {error}" for error in self._bind_errors])

    def _not_bound(self, failure: Any) -> None:
        self._bind_errors.append(str(failure.value))

    def _call_from_thread(self, function: Callable[..., object], *arguments: object) -> None:
        self._reactor.callFromThread(function, *arguments)
