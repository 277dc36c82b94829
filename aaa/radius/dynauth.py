"""
Disconnect and CoA requests to a NAS (RFC 5176), without sockets or clock.

Theory.  A request is sent until it is answered or given up: the same bytes, so the same Identifier and
authenticator, after 2 s and then twice as long each time up to 16 s, at most 5 retransmissions or 30 s in
all, each wait off by up to a tenth (RFC 5080 2.2.1).  An answer counts only when it comes from the address
that was asked, with the Identifier, the right authenticators and a fresh Event-Timestamp; what does not is
ignored and the sending goes on (DIGEST R-RAD-84).  An ACK that carries an error is an ACK; a NAK says why.

The caller sends what `to_send` returns, feeds `received`, calls `on_timer` when `next_timer_us` has
come, and takes outcomes from `events`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from aaa.engine.terms import SECOND_US
from aaa.radius import attributes as a
from aaa.radius.packet import (
    COA_ACK,
    COA_NAK,
    COA_REQUEST,
    DISCONNECT_ACK,
    DISCONNECT_NAK,
    DISCONNECT_REQUEST,
    Malformed,
    Packet,
    Secret,
    accounting_style_request,
    attribute,
    decode,
    has_valid_response_authenticator,
    has_valid_signature,
    integer,
)

FIRST_WAIT_US = 2 * SECOND_US
LONGEST_WAIT_US = 16 * SECOND_US
RETRANSMISSIONS_MAX = 5
DURATION_MAX_US = 30 * SECOND_US
WINDOW_S = 300  # Event-Timestamp, RFC 5176 3.4
WAITING_MAX = 1000  # requests not yet answered, over all NASes

# Error-Cause, RFC 5176 3.5
SESSION_NOT_FOUND, UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_EXTENSION = 503, 401, 406

_ANSWERS = {DISCONNECT_REQUEST: (DISCONNECT_ACK, DISCONNECT_NAK), COA_REQUEST: (COA_ACK, COA_NAK)}

Address = tuple[str, int]


class Outcome(Enum):
    """What became of a request."""

    ACK = "ack"
    NAK = "nak"
    TIMEOUT = "timeout"
    OVERLOAD = "overload"


class Result(NamedTuple):
    """The outcome, with the Error-Cause of a NAK (0: it told none)."""

    outcome: Outcome
    cause: int = 0


class Target(NamedTuple):
    """Where requests for a session go, and what names it there."""

    address: Address
    secret: Secret
    names: bytes  # encoded identification attributes


Done = Callable[[Result], None]


class _Pending:
    __slots__ = ("code", "data", "done", "ends_us", "key", "next_us", "secret", "sent", "wait_us")

    def __init__(self, key: tuple[Address, int], code: int, data: bytes, secret: Secret, done: Done, now_us: int):
        self.key = key
        self.code = code
        self.data = data
        self.secret = secret
        self.done = done
        self.sent = 0
        self.wait_us = FIRST_WAIT_US
        self.next_us = now_us
        self.ends_us = now_us + DURATION_MAX_US


class DynauthClient:
    """
    Requests under way to all NASes.

    Args:
        jitter: Returns a number in [-1, 1), drawn for each wait.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._pending: dict[tuple[Address, int], _Pending] = {}
        self._last_ident: dict[str, int] = {}
        self._events: list[tuple[Done, Result]] = []
        self.ignored = 0

    def __len__(self) -> int:
        return len(self._pending)

    def disconnect(self, target: Target, now_us: int, done: Done) -> None:
        """Ask a NAS to end a session: identification attributes alone (DIGEST R-RAD-83)."""
        self._begin(DISCONNECT_REQUEST, target, b"", now_us, done)

    def change(self, target: Target, limits: bytes, now_us: int, done: Done) -> None:
        """Ask a NAS to put other limits in force."""
        self._begin(COA_REQUEST, target, limits, now_us, done)

    def _begin(self, code: int, target: Target, body: bytes, now_us: int, done: Done) -> None:
        ident = self._free_ident(target.address)
        if ident is None:
            self._events.append((done, Result(Outcome.OVERLOAD)))
            return
        body = target.names + body + integer(a.EVENT_TIMESTAMP, now_us // SECOND_US)
        data = accounting_style_request(code, ident, body, target.secret, is_signed=True)
        key = (target.address, ident)
        self._pending[key] = _Pending(key, code, data, target.secret, done, now_us)

    def _free_ident(self, address: Address) -> int | None:
        """The next Identifier towards an address that no request uses; None when all are in use."""
        if len(self._pending) >= WAITING_MAX:
            return None
        last = self._last_ident.get(address[0], -1)
        for step in range(1, 257):
            ident = (last + step) & 255
            if (address, ident) not in self._pending:
                self._last_ident[address[0]] = ident
                return ident
        return None

    # -- the contract -----------------------------------------------------------------------------

    def to_send(self, now_us: int) -> list[tuple[bytes, Address]]:
        """Return the datagrams that are due, and set when each comes next."""
        due = []
        for pending in list(self._pending.values()):
            if pending.next_us > now_us:
                continue
            if pending.sent > RETRANSMISSIONS_MAX or now_us >= pending.ends_us:
                self._end(pending, Result(Outcome.TIMEOUT))
                continue
            due.append((pending.data, pending.key[0]))
            wait_us = pending.wait_us + int(pending.wait_us * 0.1 * self._jitter())
            pending.next_us = min(now_us + wait_us, pending.ends_us)
            pending.wait_us = min(2 * pending.wait_us, LONGEST_WAIT_US)
            pending.sent += 1
        return due

    def next_timer_us(self) -> int | None:
        """Return when something is due next, None when nothing is under way."""
        return min((pending.next_us for pending in self._pending.values()), default=None)

    def received(self, data: bytes, address: tuple[Any, ...], now_us: int) -> None:
        """Take an answer; whatever is wrong with it, it is as if it had not come."""
        try:
            answer = decode(data)
        except Malformed:
            self.ignored += 1
            return
        pending = self._pending.get(((address[0], address[1]), answer.ident))
        if pending is None or not _is_sound(answer, pending, now_us):
            self.ignored += 1
            return
        if answer.code == _ANSWERS[pending.code][0]:
            self._end(pending, Result(Outcome.ACK))
        else:
            self._end(pending, Result(Outcome.NAK, a.number(answer.attributes, a.ERROR_CAUSE) or 0))

    def events(self) -> list[tuple[Done, Result]]:
        """Return the outcomes since the last call, each with whom to tell."""
        events, self._events = self._events, []
        return events

    def _end(self, pending: _Pending, result: Result) -> None:
        del self._pending[pending.key]
        self._events.append((pending.done, result))


def _is_sound(answer: Packet, pending: _Pending, now_us: int) -> bool:
    """Check code, authenticators and age of an answer (RFC 5176 2.3, 3.4)."""
    asked_with = pending.data[4:20]
    if answer.code not in _ANSWERS[pending.code]:
        return False
    if not has_valid_response_authenticator(answer, asked_with, pending.secret):
        return False
    if answer.signature_at and not has_valid_signature(answer, pending.secret, asked_with):
        return False
    stamp = a.number(answer.attributes, a.EVENT_TIMESTAMP)
    return stamp is None or abs(now_us // SECOND_US - stamp) <= WINDOW_S


def names_of(key: str, aliases: tuple[str, ...], subscriber: str) -> bytes:
    """
    Encode what names a session at its NAS, from the keys it is stored under (RFC 5176 3).

    The NAS says itself under NAS-Identifier or by its address; the session under the ids it used.

    >>> names_of("nas|192.0.2.10|0|s:5f0a11c2", (), "").hex()
    '0406c000020a2c0a3566306131316332'
    """
    _, identity, _, _ = key.split("|", 3)
    body = _nas_name(identity)
    if subscriber:
        body += attribute(a.USER_NAME, subscriber.encode()[:253])
    seen = set()
    for name in (key, *aliases):
        kind, _, value = name.split("|", 3)[-1].partition(":")
        code = {"s": a.ACCT_SESSION_ID, "m": a.ACCT_MULTI_SESSION_ID}.get(kind)
        if code is not None and code not in seen and value:
            seen.add(code)
            body += attribute(code, value.encode()[:253])
    return body


def _nas_name(identity: str) -> bytes:
    parts = identity.split(".")
    if len(parts) == 4 and all(part.isdecimal() and int(part) < 256 for part in parts):
        return attribute(a.NAS_IP_ADDRESS, bytes(int(part) for part in parts))
    return attribute(a.NAS_IDENTIFIER, identity.encode()[:253])
