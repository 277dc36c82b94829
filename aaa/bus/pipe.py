"""
A link between a parent and one worker: JSON lines over a unix socket pair under the reactor.

The end of the pipe is news of its own: whoever held the other end is gone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from msgspec.json import decode, encode
from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface import implementer

from aaa.bus.hub import Message

MESSAGE_MAX = 4 << 20  # octets; the figures of a worker with thousands of clients are the longest
QUEUE_MAX = 8 << 20  # octets that the other end may leave unread
READ_SIZE = 1 << 18


@implementer(IReadWriteDescriptor)
class PipeLink:
    """
    One end of the pipe.

    Args:
        received: Gets every message.
        closed: Called once when the other end is gone.
    """

    def __init__(
        self,
        reactor: Any,
        end: socket.socket,
        received: Callable[[Message, PipeLink], None],
        closed: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._reactor = reactor
        self._socket = end
        self._received = received
        self._closed = closed
        self._inbound = b""
        self._outbound = b""
        self._is_open = True
        reactor.addReader(self)

    def send(self, message: Message) -> bool:
        """Send as soon as the other end reads; False when it has left too much unread."""
        data = encode(message) + b"\n"
        if not self._is_open or len(data) > MESSAGE_MAX or len(self._outbound) + len(data) > QUEUE_MAX:
            return False
        self._outbound += data
        self.doWrite()
        return self._is_open

    def close(self) -> None:
        """End the link without a word to `closed`."""
        if self._is_open:
            self._is_open = False
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self._socket.close()

    # -- what the reactor calls -------------------------------------------------------------------

    def doRead(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._inbound = (self._inbound + data).split(b"\n")
        if len(self._inbound) > MESSAGE_MAX:
            self._lost()
            return
        for line in lines:
            message = decode(line)
            if isinstance(message, dict):
                self._received(message, self)

    def doWrite(self) -> None:
        try:
            sent = self._socket.send(self._outbound)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost()
            return
        self._outbound = self._outbound[sent:]
        if self._outbound:
            self._reactor.addWriter(self)
        else:
            self._reactor.removeWriter(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def connectionLost(self, reason: Any) -> None:
        self._lost()

    def logPrefix(self) -> str:
        return "bus"

    def _lost(self) -> None:
        if self._is_open:
            self.close()
            self._closed()
