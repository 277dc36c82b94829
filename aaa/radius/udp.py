"""
One bound UDP socket: drained in bulk, answering from the address that was asked.

On a host with several addresses the kernel chooses the source of a datagram by its routes.  A client drops
an answer that comes from another address than it asked (RFC 2865 3), so a socket bound to all addresses
asks the kernel for each datagram's destination and answers from there.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from aaa.radius.packet import LENGTH_MAX
from aaa.radius.service import Address

DATAGRAM_MAX = LENGTH_MAX + 1024  # more than a packet can be: the rest is padding, or too long
_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_CONTROL_SIZE = socket.CMSG_SPACE(20)


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
        if _is_wildcard(made):
            if is_v6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    except OSError:
        made.close()
        raise
    return made


def _is_wildcard(made: socket.socket) -> bool:
    return ip_address(made.getsockname()[0]).is_unspecified


@implementer(IReadDescriptor)
class UdpPort:
    """
    A bound socket as the reactor's reader and as the service's port.

    Args:
        number: Unlike that of any other port; part of what a duplicate is known by.
        kind: checks.AUTH or checks.ACCT.
    """

    def __init__(self, number: int, kind: int, made: socket.socket, drain: Callable[[], None]) -> None:
        self.number = number
        self.kind = kind
        self.socket = made
        self.lost = 0
        self._drain = drain
        self._is_wildcard = _is_wildcard(made)
        self._is_v6 = made.family == socket.AF_INET6

    def receive(self, most: int) -> list[tuple[bytes, Address]]:
        """Return the datagrams that are there, at most so many."""
        read = self._read_from_any if self._is_wildcard else self.socket.recvfrom
        found: list[tuple[bytes, Address]] = []
        for _ in range(most):
            try:
                found.append(read(DATAGRAM_MAX))
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error of an earlier answer; the next datagram is behind it
        return found

    def send(self, data: bytes, address: Address) -> None:
        """Send an answer; one that the kernel does not take is lost, as on the wire."""
        try:
            if self._is_wildcard:
                self._send_from(data, address[:-1], address[-1])
            else:
                self.socket.sendto(data, address)
        except OSError:
            self.lost += 1

    def _read_from_any(self, size: int) -> tuple[bytes, Address]:
        """A datagram, with the address it was sent to behind that of its sender."""
        data, control, _, address = self.socket.recvmsg(size, _CONTROL_SIZE)
        return data, (*address, control[0][2] if control else b"")

    def _send_from(self, data: bytes, address: Address, destination: bytes) -> None:
        if not destination:
            self.socket.sendto(data, address)
        elif self._is_v6:
            self.socket.sendmsg([data], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, destination)], 0, address)
        else:  # in_pktinfo: interface, local address, destination
            source = struct.pack("=i4s4s", 0, destination[4:8], bytes(4))
            self.socket.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, source)], 0, address)

    # -- what the reactor calls -------------------------------------------------------------------

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> None:
        self._drain()

    def connectionLost(self, reason: Any) -> None:
        self.socket.close()

    def logPrefix(self) -> str:
        return "radius"
