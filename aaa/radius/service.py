"""
The RADIUS service without sockets: datagrams in, answers out through the port they came by.

`receive` takes a datagram as far as it can be judged alone (client, packet, authenticators, duplicate)
and returns a request or nothing; `serve` gives it to its flow; `arrange` puts what was received together
into the order of service.  Every way ends in `answer` or in `drop`, and is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from random import random
from typing import Protocol

from aaa.bounded import forget_oldest
from aaa.engine.ports import Directory, Node
from aaa.keys import Keys
from aaa.node.refusals import Refusals
from aaa.ops.histogram import Histogram
from aaa.radius import attributes as a
from aaa.radius import checks, packet
from aaa.radius.access import AccessFlow
from aaa.radius.accounting import AccountingFlow
from aaa.radius.attributes import PROXY_STATE
from aaa.radius.auth import Authenticator
from aaa.radius.checks import Learned, Refused
from aaa.radius.clients import ADDRESSES_MAX, Clients, Nas
from aaa.radius.datagrams import Address, UdpPort
from aaa.radius.dedup import Dedup, Seen
from aaa.radius.dynauth import DynauthClient
from aaa.radius.limits import Limits
from aaa.radius.packet import (
    ACCESS_ACCEPT,
    ACCESS_REQUEST,
    ACCOUNTING_REQUEST,
    ACCOUNTING_RESPONSE,
    Malformed,
    TooLong,
)
from aaa.radius.passwords import HashPool
from aaa.radius.request import Request
from aaa.radius.tickets import Tickets
from aaa.radius.trace import Traces

_CODES = [str(code) for code in range(256)]


class Port(Protocol):
    """Where a datagram came in and its answer goes out."""

    number: int
    kind: int  # checks.AUTH, ACCT or STREAM

    def send(self, data: bytes, address: Address) -> None: ...


class RadiusService:
    """
    Everything of the RADIUS face but the sockets.

    Args:
        call_from_thread: Runs a function on the reactor thread; for the password pool.
        is_serving: False silences Status-Server, so that clients fail over (RFC 5997 4.2).
        on_error: Told of an exception that one packet led to: a bug, which must not end the service for all.
    """

    def __init__(
        self,
        node: Node,
        directory: Directory,
        clients: Clients,
        keys: Keys,
        call_from_thread: Callable[..., object],
        is_serving: Callable[[], bool] = lambda: True,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.node = node
        self.directory = directory
        self.clients = clients
        self.keys = keys
        self.tickets = Tickets(keys)
        self.counters: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.durations: defaultdict[tuple[int, str], Histogram] = defaultdict(Histogram)
        self.dedup = Dedup()
        self.last_seen: dict[str, int] = {}  # when a client last sent a sound packet
        self.refusals = Refusals()
        self.traces = Traces()
        self.on_drop: Callable[[str, str, str], None] = _untold
        self._call_from_thread = call_from_thread
        self.pool = HashPool(self._later)
        self.authenticator = Authenticator(keys, self.pool)
        dynauth = DynauthClient(lambda: 2 * random() - 1)  # noqa: S311 - spreads retransmissions, keeps no secret
        self.limits = Limits(dynauth, self.counters)
        self.access = AccessFlow(self)
        self.accounting = AccountingFlow(self)
        self._is_serving = is_serving
        self._on_error = on_error or _raised
        self._status_asked: dict[str, tuple[int, int]] = {}  # second, how often in it, by client
        self._learned: dict[str, Learned] = {}

    def take(self, ports: Sequence[UdpPort], most: int) -> None:
        """
        Take what these ports have, in the order of service, until they are empty or so many datagrams were taken.

        What comes while the first ones are decided is taken too: one commit is then for all of them.
        """
        left = most
        while left > 0:
            taken = self._take(ports, left)
            if taken == 0:
                return
            left -= taken

    def _take(self, ports: Sequence[UdpPort], most: int) -> int:
        now_us = self.node.now_us()
        access: list[Request] = []
        accounting: list[Request] = []
        taken = 0
        for port in ports:
            waiting = access if port.kind == checks.AUTH else accounting
            for data, address in port.receive(most):
                taken += 1
                request = self.receive(data, address, port, now_us)
                if request is not None:
                    waiting.append(request)
        for request in self.arrange(access, accounting):
            self.serve(request)
        return taken

    def handle(self, data: bytes, address: Address, port: Port, now_us: int) -> None:
        """Take one datagram all the way; the caller calls `flush` when it has no more."""
        request = self.receive(data, address, port, now_us)
        if request is not None:
            self.serve(request)

    def receive(self, data: bytes, address: Address, port: Port, now_us: int) -> Request | None:
        """Return the request in a datagram if it is sound, from a known client, and not a repeat."""
        try:
            nas = self.clients.find(address[0])
            if nas is None:
                self.counters["dropped", "", "unknown_nas"] += 1
                self.on_drop("unknown_nas", "", address[0])
                return None
            return self.receive_of(nas, data, address, port, now_us)[0]
        except Exception as error:
            self.failed(error, "", address[0])
            return None

    def receive_of(
        self, nas: Nas, data: bytes, address: Address, port: Port, now_us: int
    ) -> tuple[Request | None, str]:
        """
        Return the request in a packet of a known client, or None with why it was dropped.

        A repeat is no request and no problem: its answer, if there is one, is sent again.
        """
        try:
            read = packet.decode(data)
            secret = self._checked(read, nas, port, address[0])
        except (Malformed, Refused) as error:
            self.counters["dropped", nas.name, error.reason] += 1
            self.on_drop(error.reason, nas.name, address[0])
            return None, error.reason
        number = port.number << 8 | read.ident
        seen, entry = self.dedup.see(address, number, read.authenticator, read.data, now_us)
        if seen is not Seen.NEW:
            self.counters["duplicates", nas.name, seen.value] += 1
            if seen is Seen.ANSWERED and entry.answer is not None:
                port.send(entry.answer, address)
            return None, ""
        self.last_seen[nas.name] = now_us
        request = Request(read, nas, secret, address, port, entry, now_us)
        if self.traces.people.until:
            self.traces.request(request)
        return request, ""

    def serve(self, request: Request) -> None:
        """Give a request to its flow."""
        code = request.packet.code
        try:
            if code == ACCOUNTING_REQUEST:
                self.accounting.serve(request)
            elif code == ACCESS_REQUEST:
                self.access.serve(request)
            else:
                self._status(request)
        except Exception as error:
            self.drop(request, "internal_error")
            self._on_error(error)

    def arrange(self, access: list[Request], accounting: list[Request]) -> list[Request]:
        """
        Order what was received together: Access-Requests first, but a Stop of the same payer before
        them, so that what it frees can be granted; never reordered within one session (RADIUS.md).
        """
        if not access:
            return accounting
        if not accounting:
            return access
        stops = [one for one in accounting if a.number(one.packet.attributes, a.ACCT_STATUS_TYPE) == a.STOP]
        if stops:
            asking = {self._payer(request) for request in access}
            stops = [request for request in stops if self._payer(request) in asking]
        return _stops_first(access, accounting, stops) if stops else access + accounting

    def answer(self, request: Request, code: int, body: bytes, result: str) -> None:
        """Sign and send an answer, and keep it for repeats; one that would be too long is not sent."""
        nas = request.nas
        is_signed = code != ACCOUNTING_RESPONSE and nas.profile.signs_answers
        asked = request.packet
        if PROXY_STATE in asked.attributes:
            body += packet.proxy_states(asked.attributes)
        try:
            data = packet.answer(code, asked, body, request.secret, is_signed)
        except TooLong:
            self.drop(request, "answer_too_long")
            return
        request.entry.answer = data
        request.port.send(data, request.address)
        self.counters["responses", nas.name, _CODES[code], result] += 1
        self.durations[code, result].observe((self.node.now_us() - request.now_us) / 1e6)
        if self.traces.people.until:
            self.traces.answer(request, code, packet.decode(data).attributes, result)

    def drop(self, request: Request, reason: str) -> None:
        """End a request without an answer; its repeat will be tried again."""
        request.entry.forget()
        self.counters["dropped", request.nas.name, reason] += 1
        self.on_drop(reason, request.nas.name, request.address[0])

    def failed(self, error: Exception, nas: str, address: str) -> None:
        """Count and tell of an exception that something received led to: a bug, which must not end the service."""
        self.counters["dropped", nas, "internal_error"] += 1
        self.on_drop("internal_error", nas, address)
        self._on_error(error)

    def flush(self) -> None:
        """Have everything that was served committed and answered."""
        self.node.flush()

    def flush_later(self) -> None:
        """Have what an answer submitted committed too, when the reactor has done with that answer."""
        self._call_from_thread(self.flush)

    def stop(self) -> None:
        """End the password threads."""
        self.pool.stop()

    def _later(self, function: Callable[..., object], *arguments: object) -> None:
        """Run on the reactor thread, outside a wake-up of the sockets, so with a flush of its own."""

        def run() -> None:
            function(*arguments)
            self.flush()

        self._call_from_thread(run)

    def _checked(self, read: packet.Packet, nas: Nas, port: Port, source: str) -> packet.Secret:
        if read.code not in checks.CODES[port.kind]:
            raise Refused("unknown_code")
        if read.code == ACCOUNTING_REQUEST:
            return checks.accounting(read, nas)
        if read.code == ACCESS_REQUEST:
            learned = self._learned.get(source)
            if learned is None:
                if len(self._learned) >= ADDRESSES_MAX:
                    forget_oldest(self._learned)
                learned = self._learned[source] = Learned()
            return checks.access(read, nas, learned)
        return checks.status_server(read, nas)

    def _status(self, request: Request) -> None:
        """Answer a Status-Server; its other attributes say nothing (RFC 5997 3)."""
        nas = request.nas
        self.counters["requests", nas.name, "status"] += 1
        if not nas.status_server:
            self.drop(request, "status_off")
            return
        second, asked = self._status_asked.get(nas.name, (0, 0))
        now_s = request.now_us // 1_000_000
        asked = asked + 1 if second == now_s else 1
        self._status_asked[nas.name] = (now_s, asked)
        if asked > nas.status_per_second:
            self.drop(request, "status_limited")
            return
        if not self._is_serving():
            self.drop(request, "not_serving")
            return
        code = ACCOUNTING_RESPONSE if request.port.kind == checks.ACCT else ACCESS_ACCEPT
        self.answer(request, code, b"", "status")

    def _payer(self, request: Request) -> tuple[str, tuple[str, str]] | None:
        identities = request.identities()
        return (request.nas.name, identities[0]) if identities else None


def _raised(error: Exception) -> None:
    """Nobody wants to know: let it be seen where it happened."""
    raise error


def _untold(_reason: str, _nas: str, _address: str) -> None:
    """Nobody wants to hear of packets that were dropped; they are counted."""


def _stops_first(access: list[Request], accounting: list[Request], stops: list[Request]) -> list[Request]:
    """Put Stops before the Access-Requests, with whatever came of their sessions before them."""
    starting = {name for request in access for name in _session_ids(request)}
    first = [request for request in stops if starting.isdisjoint(_session_ids(request))]
    stopping = {name for request in first for name in _session_ids(request)}
    first = [one for one in accounting if one in first or not stopping.isdisjoint(_session_ids(one))]
    return first + access + [request for request in accounting if request not in first]


def _session_ids(request: Request) -> list[bytes]:
    """The session ids in a request, for telling requests of one session apart from others."""
    attributes = request.packet.attributes
    return [
        value
        for code in (a.ACCT_SESSION_ID, a.ACCT_MULTI_SESSION_ID, a.H323_CONF_ID)
        for value in a.every(attributes, code)
    ]
