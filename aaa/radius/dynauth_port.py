"""
The sockets of the dynauth client: thin, because everything is decided in `aaa.radius.dynauth`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from aaa.radius.dynauth import DynauthClient
from aaa.radius.packet import LENGTH_MAX

SHORTEST_S = 0.001


@implementer(IReadDescriptor)
class DynauthPort:
    """
    Sends what the client has to send, over one socket for both address families, and keeps its timer.

    Args:
        clock: Integer microseconds since the epoch.
    """

    def __init__(self, client: DynauthClient, reactor: Any, clock: Callable[[], int]) -> None:
        self._client = client
        self._reactor = reactor
        self._clock = clock
        self._timer: Any = None
        self._is_dual = socket.has_dualstack_ipv6()
        self._socket = socket.socket(socket.AF_INET6 if self._is_dual else socket.AF_INET, socket.SOCK_DGRAM)
        if self._is_dual:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.setblocking(False)
        self._socket.bind(("", 0))
        reactor.addReader(self)

    def wake(self) -> None:
        """Send what is due and tell outcomes; to be called whenever the client was given something."""
        now_us = self._clock()
        for data, (host, port) in self._client.to_send(now_us):
            try:
                is_mapped = self._is_dual and ":" not in host
                self._socket.sendto(data, (f"::ffff:{host}" if is_mapped else host, port))
            except OSError:
                continue  # as lost on the wire: it is sent again
        self._tell()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        next_us = self._client.next_timer_us()
        if next_us is not None:
            self._timer = self._reactor.callLater(max(SHORTEST_S, (next_us - now_us) / 1e6), self.wake)

    def stop(self) -> None:
        """Close the socket; what is under way is not answered any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._reactor.removeReader(self)
        self._socket.close()

    def doRead(self) -> None:
        while True:
            try:
                data, address = self._socket.recvfrom(LENGTH_MAX + 1)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error of something that was sent
            host = address[0].removeprefix("::ffff:")
            self._client.received(data, (host, address[1]), self._clock())
        self._tell()

    def _tell(self) -> None:
        for done, result in self._client.events():
            try:
                done(result)
            except Exception:
                Logger().failure("whoever waited for a NAS failed at its answer")

    def fileno(self) -> int:
        return self._socket.fileno()

    def connectionLost(self, reason: Any) -> None:
        self._socket.close()

    def logPrefix(self) -> str:
        return "radius-dynauth"
