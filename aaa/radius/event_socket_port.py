"""
The connections to event sockets: thin, because everything is decided in `aaa.radius.event_socket`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone

from aaa.radius.dynauth import Outcome, Result
from aaa.radius.event_socket import TIMEOUT_S, EventSocketKill

CONNECTIONS_MAX = 50

# Twisted's classes and functions are not annotated.
_protocol: Any = Protocol
_connect: Any = connectProtocol


class _Kill(_protocol):  # type: ignore[misc]
    """One connection for one conversation."""

    def __init__(self, kill: EventSocketKill, ended: Callable[[Outcome], None]) -> None:
        self._kill = kill
        self._ended = ended

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self._kill.received(data))
        if self._kill.outcome is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self._ended(self._kill.outcome or Outcome.TIMEOUT)


class EventSockets:
    """Ends channels over event sockets, a bounded number at once, each within five seconds."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._open = 0

    def kill(self, address: tuple[str, int], password: str, channel: str, done: Callable[[Result], None]) -> None:
        """End a channel; `done` gets the outcome, once."""
        if self._open >= CONNECTIONS_MAX:
            done(Result(Outcome.OVERLOAD))
            return
        self._open += 1
        protocol: Any = None

        def ended(outcome: Outcome) -> None:
            self._open -= 1
            if timer.active():
                timer.cancel()
            done(Result(outcome))

        def give_up() -> None:
            if protocol is not None and protocol.transport is not None:
                protocol.transport.abortConnection()  # `ended` follows
            else:
                connecting.cancel()

        protocol = _Kill(EventSocketKill(password, channel), ended)
        timer = self._reactor.callLater(TIMEOUT_S, give_up)
        endpoint = HostnameEndpoint(self._reactor, address[0].encode(), address[1], timeout=TIMEOUT_S)
        connecting = _connect(endpoint, protocol)
        connecting.addErrback(lambda _failure: ended(Outcome.TIMEOUT))
