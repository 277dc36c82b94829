"""
Requests on their way, and the order in which their answers leave a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aaa.diameter.ask import Ask
from aaa.diameter.ccr import Ccr
from aaa.diameter.peers import Peer
from aaa.diameter.plan import Asked
from aaa.engine.answers import Answer
from aaa.engine.ports import Subscriber

FORGOTTEN_AT = 64  # answers


class Link(Protocol):
    """An open connection, as far as the service needs it."""

    peer: Peer
    origin_host: str

    def request(self, ask: Ask) -> bool: ...


class Taker(Protocol):
    """Who works on requests: told when one goes on."""

    def found(self, turn: Turn, payer: Subscriber | None) -> None: ...

    def answered(self, turn: Turn, decided: Answer) -> None: ...


class InOrder:
    """Answers of one connection, given out in the order of their requests."""

    __slots__ = ("_done", "_send", "_turns")

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._turns: list[Turn] = []
        self._done = 0  # so many of them were sent

    def __len__(self) -> int:
        return len(self._turns) - self._done

    def append(self, turn: Turn) -> None:
        """The next request: its answer is sent once everything before it was."""
        self._turns.append(turn)

    def advance(self) -> None:
        """Send what is due."""
        turns = self._turns
        while self._done < len(turns):
            data = turns[self._done].data
            if data is None:
                break
            self._done += 1
            self._send(data)
        if self._done >= FORGOTTEN_AT or self._done == len(turns):
            del turns[: self._done]
            self._done = 0


class Turn:
    """
    One request, from its octets to its answer.

    `ccr`, `asked`, `name` and `key` are set as far as it got: a request that was not understood has none.
    """

    data: bytes | None = None  # the answer
    ccr: Ccr | None = None
    asked: Asked  # of a CCR that is to be decided
    name = ""  # how its client calls the session
    key = ""  # and under which name it is in use
    payer: Subscriber | None = None
    is_report = False  # it goes to a session that is known, whoever pays for that
    is_found = False  # who pays was looked up
    reuses = 0  # how many sessions of its name were over
    traced = ""

    def __init__(self, taker: Taker, link: Link, request: bytes, since_us: int, order: InOrder) -> None:
        self.taker = taker
        self.link = link
        self.request = request
        self.since_us = since_us
        self.order = order

    def found(self, payer: Subscriber | None) -> None:
        """Who pays is known now, or that nobody does."""
        self.is_found = True
        self.taker.found(self, payer)

    def answered(self, decided: Answer) -> None:
        """The engine has decided."""
        self.taker.answered(self, decided)

    def fill(self, data: bytes) -> None:
        """Here is its answer."""
        self.data = data
        self.order.advance()
