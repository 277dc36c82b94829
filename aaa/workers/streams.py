"""
TCP listeners that several workers share (Diameter, RadSec): connections spread over them.

Each worker listens on the address with SO_REUSEPORT, and the kernel gives a new connection to one of those who
listen; a worker that died is not among them.  The parent holds the address without listening, so that a port 0 is
the same for all and nobody else takes the port while every worker is down.

Both sides go through Twisted's endpoints with a reactor of their own making: endpoint strings keep their meaning.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

_refused: Any = CannotListenError  # not annotated


class _Held:
    """An address that is held: what a listening port can be asked."""

    def __init__(self, made: socket.socket) -> None:
        self.socket = made

    def stopListening(self) -> None:
        self.socket.close()


class Reserving:
    """
    The reactor endpoints are given in the parent: where they would listen, an address is held.

    Attributes:
        held: One socket per listener, in the order of the endpoints.
    """

    def __init__(self, reactor: Any) -> None:
        self.held: list[socket.socket] = []
        self._reactor = reactor

    def listenTCP(self, port: int, factory: Factory, backlog: int = 50, interface: str = "") -> _Held:
        try:
            with _bound(interface, port, False) as probe:
                number = probe.getsockname()[1]
            made = _bound(interface, number, True)
        except OSError as error:
            raise _refused(interface, port, error) from error
        self.held.append(made)
        return _Held(made)

    def listenSSL(
        self, port: int, factory: Factory, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> _Held:
        return self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(self, address: str, *_arguments: Any, **_settings: Any) -> None:
        raise _refused(None, address, OSError("a unix socket cannot be shared by workers"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class Sharing:
    """
    The reactor endpoints are given in a worker: they listen beside the other workers.

    Args:
        ports: What the parent holds, in the order of the endpoints.
    """

    def __init__(self, reactor: Any, ports: list[int]) -> None:
        self._reactor = reactor
        self._ports = list(ports)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        number = self._ports.pop(0) if self._ports else port
        try:
            made = _bound(interface, number, True)
        except OSError as error:
            raise _refused(interface, number, error) from error
        with made:  # the reactor works on a duplicate
            made.listen(backlog)
            return self._reactor.adoptStreamPort(made.fileno(), made.family, factory)

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = "") -> Any:
        wrapped: Any = TLSMemoryBIOFactory
        return self.listenTCP(port, wrapped(contextFactory, False, factory), backlog, interface)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


def _bound(interface: str, port: int, shares: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in interface else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shares:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((interface, port))
    except OSError:
        made.close()
        raise
    return made
