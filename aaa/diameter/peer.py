"""
One Diameter connection as a machine without sockets or clock (RFC 6733 5.3-5.6, RFC 3539).

`received` takes octets, `to_send` gives octets, `events` what happened, `next_timer` and `on_timer` the
passing of time.  The machine frames, exchanges capabilities, keeps the watchdog and takes leave; every
other request is an event that somebody answers with `send`.

States: waiting for the CER, open, closing (a DPA or an error is the last thing sent), closed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ask import Ask
from aaa.diameter.capabilities import BASE_COMMANDS, Identity, check, check_applications, offer
from aaa.diameter.codec import ERROR, PROXIABLE, REQUEST, RETRANSMITTED, Invalid, Message
from aaa.diameter.peers import Peer
from aaa.value import Value

SECOND_US = 1_000_000
PENDING_MAX = 1_024
_OURS = frozenset(command.to_bytes(3, "big") for command in BASE_COMMANDS)
_BASE = n.APPLICATION_BASE.to_bytes(4, "big")


class State(Enum):
    """Where a connection is."""

    WAIT_CER = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Timers(NamedTuple):
    """Timers and limits of a connection; seconds end in `_s`."""

    cer_s: int = 10
    watchdog_s: int = 30
    request_s: int = 10
    message_max: int = 1 << 18


class Opened(Value, frozen=True):
    """Capabilities were exchanged: this peer is connected."""

    peer: Peer
    origin_host: str
    state_id: int = 0  # its Origin-State-Id; 0: it told none


class Requested(Value, frozen=True):
    """Requests that are not the machine's own business, as they were received; to be answered with `send`."""

    messages: list[bytes]


class Answered(NamedTuple):
    """What became of a request of ours; no message: nobody answered in time, or ever will on this connection."""

    ask: Ask
    message: Message | None


class Closed(Value, frozen=True):
    """The connection is to be closed once everything is sent; comes once."""

    reason: str


Event = Opened | Requested | Answered | Closed
Finder = Callable[[str, str], Peer | None]


def _nobody() -> None:
    """Nobody has to be told: whoever sends looks."""


class PeerMachine:
    """
    One connection.

    Args:
        find: Gives the peer entry for an Origin-Host and Origin-Realm on this connection, or None.
        address: Our address on this connection, told in the CEA.
        jitter_us: Added to the watchdog interval (RFC 3539 3.4.1: two seconds either way).
        woken: Called when there is an answer to send, after there was nothing.
    """

    def __init__(
        self,
        identity: Identity,
        find: Finder,
        address: str,
        now: int,
        timers: Timers | None = None,
        jitter_us: int = 0,
        woken: Callable[[], None] = _nobody,
    ) -> None:
        self.identity = identity
        self.timers = timers or Timers()
        self.state = State.WAIT_CER
        self.peer: Peer | None = None
        self.origin_host = ""
        self.origin_realm = ""
        self._find = find
        self._address = address
        self._rest = b""
        self._out: list[bytes] = []
        self._woken = woken
        self._events: list[Event] = []
        self._watchdog_us = self.timers.watchdog_s * SECOND_US + jitter_us
        self._timer = now + self.timers.cer_s * SECOND_US
        self._unanswered = 0  # watchdog requests of ours
        self._pending: dict[int, tuple[Ask, int]] = {}  # by Hop-by-Hop Identifier, with the deadline
        self._is_leaving = False  # a DPR of ours is out: nothing more is asked over this connection
        self._hop_by_hop = now & 0xFFFFFFFF

    # -- octets and events ------------------------------------------------------------------------

    def received(self, data: bytes, now: int) -> None:
        """Take octets as they came; whole messages are handled, the rest is kept."""
        if self.state in (State.CLOSING, State.CLOSED):
            return
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while end - at >= 4:
            length = int.from_bytes(data[at + 1 : at + 4], "big")
            if data[at] != 1 or length < codec.HEADER_SIZE or length & 3 or length > self.timers.message_max:
                self._close("framing")
                return
            if end - at < length:
                break
            self._handle(data[at : at + length], now)
            at += length
            if self.state in (State.CLOSING, State.CLOSED):
                return
        self._rest = data[at:]

    def to_send(self) -> bytes:
        """The octets to send now."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    @property
    def wants_to_send(self) -> bool:
        """Whether there is something to send, or to close once everything is sent."""
        return bool(self._out) or self.state is not State.OPEN

    def events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def send(self, data: bytes) -> None:
        """Send an answer; dropped when the connection is no longer open."""
        if self.state is State.OPEN:
            self._out.append(data)
            if len(self._out) == 1:
                self._woken()

    def request(self, ask: Ask, now: int) -> bool:
        """Send a request of ours in the credit-control application; False when it cannot be."""
        if self.state is not State.OPEN or self._is_leaving or len(self._pending) >= PENDING_MAX:
            return False
        number = self._next()
        self._pending[number] = (ask, now + self.timers.request_s * SECOND_US)
        flags = REQUEST | PROXIABLE | (RETRANSMITTED if ask.tried else 0)  # RFC 6733 5.5.4
        application = n.APPLICATION_CREDIT_CONTROL
        self._out.append(codec.message(flags, ask.command, application, number, ask.end_to_end, (ask.body,)))
        return True

    def disconnect(self, cause: int, now: int) -> None:
        """Take leave: a DPR with this Disconnect-Cause (RFC 6733 5.4); the DPA or a timer closes."""
        if self.state is not State.OPEN:
            self._close("disconnect")
            return
        number = self._next()
        body = (self.identity.avps(), codec.u32(n.DISCONNECT_CAUSE, cause))
        self._out.append(codec.message(REQUEST, n.DISCONNECT_PEER, 0, number, number, body))
        self._pending[number] = (Ask(n.DISCONNECT_PEER, b"", "", number), now + self.timers.cer_s * SECOND_US)
        self._is_leaving = True

    def lost(self) -> None:
        """The other side is gone."""
        self._close("lost")

    # -- time -------------------------------------------------------------------------------------

    def next_timer(self) -> int | None:
        """When `on_timer` wants to be called, or None."""
        if self.state in (State.CLOSING, State.CLOSED):
            return None
        return min([self._timer, *(deadline for _, deadline in self._pending.values())])

    def on_timer(self, now: int) -> None:
        """Do what is due."""
        for number, (ask, deadline) in list(self._pending.items()):
            if deadline <= now:
                del self._pending[number]
                self._events.append(Answered(ask, None))
                if ask.command == n.DISCONNECT_PEER:
                    self._close("no DPA")
        if self.state in (State.CLOSING, State.CLOSED) or now < self._timer:
            return
        if self.state is State.WAIT_CER:
            self._close("no CER")
        elif self._unanswered > 1:
            self._close("watchdog")
        else:
            if not self._unanswered:
                number = self._next()
                body = (self.identity.avps(), codec.u32(n.ORIGIN_STATE_ID, self.identity.state_id))
                self._out.append(codec.message(REQUEST, n.DEVICE_WATCHDOG, 0, number, number, body))
            self._unanswered += 1  # 1: waiting, 2: suspect (RFC 3539 3.4)
            self._timer = now + self._watchdog_us

    # -- messages ---------------------------------------------------------------------------------

    def _handle(self, data: bytes, now: int) -> None:
        is_ours = data[8:12] == _BASE
        if self.state is State.OPEN and data[4] & REQUEST and not (is_ours and data[5:8] in _OURS):
            self._timer = now + self._watchdog_us
            self._unanswered = 0
            self._requested(data)
            return
        message = codec.decode(data)
        if self.state is State.WAIT_CER:
            if message.command != n.CAPABILITIES_EXCHANGE or not message.is_request:
                self._close("not a CER")
            else:
                self._capabilities(message, now)
            return
        self._timer = now + self._watchdog_us
        self._unanswered = 0
        if not message.is_request:
            self._answered(message)
        elif message.command == n.CAPABILITIES_EXCHANGE:
            self._capabilities(message, now)
        else:
            self._base(message)

    def _requested(self, data: bytes) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, Requested):
            last.messages.append(data)
        else:
            self._events.append(Requested([data]))

    def _base(self, message: Message) -> None:
        """Answer a watchdog or a leave-taking."""
        try:
            check(message)
        except Invalid as error:
            self._refuse(message, error)
            return
        extra = b""
        if message.command == n.DEVICE_WATCHDOG:
            extra = codec.u32(n.ORIGIN_STATE_ID, self.identity.state_id)
        self._answer(message, codec.SUCCESS, extra)
        if message.command == n.DISCONNECT_PEER:
            self._close("disconnected by the peer")

    def _capabilities(self, message: Message, now: int) -> None:
        """Answer a CER: open the connection or say why not, and close it then (RFC 6733 5.3)."""
        is_first = self.state is State.WAIT_CER
        try:
            check(message)
            host, realm = message.text(n.ORIGIN_HOST), message.text(n.ORIGIN_REALM)
            check_applications(message)
            security = [codec.read_u32(one) for one in message.every(n.INBAND_SECURITY_ID)]
            if security and 0 not in security:
                raise Invalid(codec.NO_COMMON_SECURITY)
            peer = self._find(host, realm)
            if peer is None:
                raise Invalid(codec.UNKNOWN_PEER)
            if not is_first and host.lower() != self.origin_host:
                raise Invalid(codec.UNABLE_TO_COMPLY)
        except Invalid as error:
            self._refuse(message, error)
            if is_first:
                self._close(f"refused with {error.code}")
            return
        self._answer(message, codec.SUCCESS, offer(self.identity, self._address))
        if is_first:
            self.state = State.OPEN
            self.peer, self.origin_host, self.origin_realm = peer, host.lower(), realm
            self._timer = now + self._watchdog_us
            state = message.first(n.ORIGIN_STATE_ID)
            self._events.append(Opened(peer, self.origin_host, codec.read_u32(state) if state else 0))

    def _answered(self, message: Message) -> None:
        """Match an answer with what we asked; others are ignored, so late ones and second ones are (RFC 6733 3)."""
        ask, _ = self._pending.pop(message.hop_by_hop, (None, 0))
        if ask is None:
            return
        if ask.command == n.DISCONNECT_PEER:
            self._close("disconnected")
        else:
            self._events.append(Answered(ask, message))

    def _answer(self, message: Message, code: int, extra: bytes) -> None:
        flags = message.flags & PROXIABLE | (ERROR if 3000 <= code < 4000 else 0)
        body = (codec.u32(n.RESULT_CODE, code), self.identity.avps(), extra)
        self._out.append(
            codec.message(flags, message.command, message.application, message.hop_by_hop, message.end_to_end, body)
        )

    def _refuse(self, message: Message, error: Invalid) -> None:
        self._answer(message, error.code, codec.avp(n.FAILED_AVP, error.failed) if error.failed else b"")

    def _close(self, reason: str) -> None:
        if self.state in (State.CLOSING, State.CLOSED):
            return
        self.state = State.CLOSED if reason == "lost" else State.CLOSING
        self._rest = b""
        for ask, _ in self._pending.values():
            self._events.append(Answered(ask, None))
        self._pending.clear()
        self._events.append(Closed(reason))

    def _next(self) -> int:
        self._hop_by_hop = (self._hop_by_hop + 1) & 0xFFFFFFFF
        return self._hop_by_hop
