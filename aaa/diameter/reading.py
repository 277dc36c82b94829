"""
All plain connections read in one turn of the reactor.

The reactor takes a detour of its own for every connection that is readable.  With many connections of a few
requests each that costs more than the requests do, so their sockets are kept in a set of their own, which the
reactor sees as one reader; and what came on all of them is read before any of it is taken.  What has come by
then is read as well, and so on: one commit is for all of it.  A connection that is over is given back to its
transport, which finds out by itself what happened.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

READ_SIZE = 1 << 16
READ_MOST = 256  # times a connection is read in one turn


class Readable(Protocol):
    """A connection whose octets are read for it."""

    transport: Any

    def dataReceived(self, data: bytes) -> None: ...


@implementer(IReadDescriptor)
class Sockets:
    """
    The sockets of connections, as one reader.

    Args:
        take: Called after what was there has been handed to its connections; more may have come then.
        done: Called after all of it was taken.
        on_error: Told about what a connection raises, which it does not survive.
    """

    def __init__(
        self,
        reactor: Any,
        take: Callable[[], None],
        done: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._reactor = reactor
        self._take = take
        self._done = done
        self._on_error = on_error
        self._ready = select.epoll()
        self._by_number: dict[int, tuple[Readable, Any]] = {}
        self._numbers: dict[Readable, int] = {}

    def add(self, connection: Readable, socket: Any) -> None:
        """Read a connection's socket from now on, in the place of its transport."""
        if not self._by_number:
            self._reactor.addReader(self)
        connection.transport.stopReading()
        number = self._numbers[connection] = socket.fileno()
        self._by_number[number] = connection, socket
        self._ready.register(number, select.EPOLLIN)

    def remove(self, connection: Readable) -> None:
        """Leave a connection alone; the kernel has forgotten its socket when that is closed."""
        number = self._numbers.pop(connection, None)
        if number is None:
            return
        del self._by_number[number]
        with suppress(OSError):
            self._ready.unregister(number)
        if not self._by_number:
            self._reactor.removeReader(self)

    # -- what the reactor calls -------------------------------------------------------------------

    def fileno(self) -> int:
        return self._ready.fileno()

    def doRead(self) -> None:
        try:
            left = READ_MOST
            while left > 0 and (ready := self._ready.poll(0, left)):
                left -= len(ready)
                for number, _ in ready:
                    found = self._by_number.get(number)
                    if found is not None:
                        self._read(*found)
                self._take()
        finally:
            self._done()

    def _read(self, connection: Readable, socket: Any) -> None:
        try:
            data = socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.remove(connection)
            connection.transport.startReading()
            return
        try:
            connection.dataReceived(data)
        except Exception as error:
            self._on_error(error)
            connection.transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:
        """The reactor gives its readers up when it ends."""

    def logPrefix(self) -> str:
        return "diameter"
