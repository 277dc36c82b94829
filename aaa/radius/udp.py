"""
Bound UDP sockets, and how the reactor reads them.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from aaa.radius.datagrams import IP_PKTINFO


def bound(address: str, receive_buffer: int, reuse_port: bool) -> socket.socket:
    """
    Bind one UDP socket to `host:port` or `[host]:port`.

    Raises:
        OSError: It cannot be bound.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    is_v6 = bool(host) and ip_address(host).version == 6
    made = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if is_v6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.bind((host, int(port)))
        if is_wildcard(made):
            if is_v6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    except OSError:
        made.close()
        raise
    return made


def is_wildcard(made: socket.socket) -> bool:
    """Whether a socket is bound to all addresses of the host."""
    return ip_address(made.getsockname()[0]).is_unspecified


@implementer(IReadDescriptor)
class UdpReader:
    """
    Bound sockets as one reader of the reactor, whose way to a reader costs as much as a few datagrams.

    Args:
        drain: Takes what the sockets have, when one has something.
    """

    def __init__(self, sockets: Iterable[socket.socket], drain: Callable[[], None]) -> None:
        self._ready = select.epoll()
        for each in sockets:
            self._ready.register(each.fileno(), select.EPOLLIN)
        self._drain = drain

    def fileno(self) -> int:
        return self._ready.fileno()

    def doRead(self) -> None:
        self._drain()

    def connectionLost(self, reason: Any) -> None:
        """The reactor gives its readers up when it ends."""

    def logPrefix(self) -> str:
        return "radius"

    def close(self) -> None:
        """Watch no more; the sockets are closed by who bound them."""
        self._ready.close()
