"""
A RADIUS service on fakes of a few lines, and a client that talks to it without sockets.

The client signs and verifies with its own hashlib and hmac calls, so that a mistake in the codec under
test is not made twice.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections import Counter
from typing import Any

from aaa.engine.answers import Ack, Denial, Grant, LineGrant, Outcome
from aaa.engine.commands import Begin, End, Event, Update
from aaa.engine.ports import Subscriber
from aaa.engine.terms import Reason
from aaa.keys import Keys
from aaa.radius import checks
from aaa.radius.clients import Clients, Nas, nas_from
from aaa.radius.service import RadiusService

SECRET = b"testing123"
HOME = ("127.0.0.1", 40_000)
NOON_US = 1_700_000_000_000_000
KEYS = Keys([bytes(range(32))])


class FakeNode:
    """A node that answers by script: a function from the command, or the default grants of 60 s."""

    def __init__(self, script=None):
        self.script = script or (lambda command, account_id: granted(60))
        self.submitted: list[tuple[Any, int | None]] = []
        self.restarted: list[tuple[str, int]] = []
        self.epochs: Counter[str] = Counter()
        self.waiting: list[tuple[Any, Any]] = []
        self.is_up = True
        self.on_report = lambda command: Ack(Outcome.DONE, 1)

    def submit(self, command, account_id, reply):
        self.submitted.append((command, account_id))
        if isinstance(command, Begin):
            answer = self.script(command, account_id)
        elif isinstance(command, Event):
            answer = Ack(Outcome.DONE, 0, 0, 10_000_000, "EUR")
        else:
            answer = self.on_report(command)
        self.waiting.append((reply, answer if self.is_up else Denial(Reason.STORE_DOWN)))

    def restart_peer(self, identity, state_id, known):
        self.restarted.append((identity, state_id))
        known()

    def restart_nas(self, identity, event_us, reply):
        self.restarted.append((identity, event_us))
        self.epochs[identity] += 1
        self.waiting.append((reply, self.is_up))

    def knows(self, names):
        return False

    def epoch(self, identity):
        return self.epochs[identity]

    def flush(self):
        waiting, self.waiting = self.waiting, []
        for reply, answer in waiting:
            reply(answer)

    def now_us(self):
        return NOON_US

    def begun(self) -> list[Begin]:
        return [command for command, _ in self.submitted if isinstance(command, Begin)]

    def updated(self) -> list[Update]:
        return [command for command, _ in self.submitted if isinstance(command, Update)]

    def ended(self) -> list[End]:
        return [command for command, _ in self.submitted if isinstance(command, End)]


class FakeDirectory:
    """Subscribers in a dictionary."""

    def __init__(self, *subscribers: Subscriber):
        self.subscribers = {(one.type, one.value): one for one in subscribers}
        self.asked: list[list[tuple[str, str]]] = []

    def find(self, identities, found):
        self.asked.append(list(identities))
        for identity in identities:
            if identity in self.subscribers:
                found(self.subscribers[identity])
                return
        found(None)


class FakePort:
    """Keeps what was sent."""

    def __init__(self, kind: int):
        self.kind = kind
        self.number = kind
        self.sent: list[tuple[bytes, Any]] = []

    def send(self, data, address):
        self.sent.append((data, address))


def granted(told: int, number: int = 1, is_final: bool = False, session_id: int = 7) -> Grant:
    from aaa.engine.terms import ChargeKey

    return Grant(session_id, (LineGrant(ChargeKey(), told, told, is_final=is_final),), 10_000_000, "EUR", number)


def subscriber(
    value: str, password: str | None = None, account_id: int = 1, kind: str = "username", **more
) -> Subscriber:
    credential: dict[str, Any] = dict(more)
    if password is not None:
        credential["clear"] = KEYS.seal(password.encode())
    return Subscriber(account_id, f"acc-{value}", kind, value, credential)


def digest_people(password: str) -> tuple[Subscriber, ...]:
    """The payer of the digest vectors, under both names."""
    return subscriber("bob", password), subscriber("bob@biloxi.com", password)


def nas(**settings: Any) -> Nas:
    table = {
        "name": "nas1",
        "address": "127.0.0.0/8",
        "secret": SECRET.decode(),
        "require_message_authenticator": "no",
        "limit_proxy_state": "no",
    }
    charging = {"quantum": "adaptive", "emergency": ["112"]}
    return nas_from({**table, **settings}, charging)


class Bench:
    """A service with one or more clients, and what it sent."""

    def __init__(self, *entries: Nas, node=None, directory=None):
        self.node = node or FakeNode()
        self.directory = directory or FakeDirectory(subscriber("bob", "hello"))
        self.service = RadiusService(
            self.node, self.directory, Clients(entries or (nas(),)), KEYS, lambda work, *rest: work(*rest)
        )
        self.auth = FakePort(checks.AUTH)
        self.acct = FakePort(checks.ACCT)
        self.now_us = NOON_US

    def send(self, data: bytes, kind: int = checks.AUTH, address=HOME) -> bytes | None:
        """Send one datagram; return the answer's bytes, None for silence."""
        port = self.auth if kind == checks.AUTH else self.acct
        before = len(port.sent)
        self.service.handle(data, address, port, self.now_us)
        self.service.flush()
        sent = port.sent[before:]
        assert len(sent) <= 1
        assert all(to == address for _, to in sent)
        return sent[0][0] if sent else None

    def access(self, *attributes, secret: bytes = SECRET, signed: bool = False, address=HOME, **more) -> Reply | None:
        request = access_request(*attributes, secret=secret, signed=signed, **more)
        return read_reply(self.send(request, address=address), request, secret)

    def account(self, *attributes, secret: bytes = SECRET, address=HOME, ident: int = 1) -> Reply | None:
        request = accounting_request(*attributes, secret=secret, ident=ident)
        return read_reply(self.send(request, checks.ACCT, address), request, secret)

    def dropped(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for key, count in self.service.counters.items():
            if key[0] == "dropped":
                found[key[2]] += count
        return dict(found)


class Reply:
    """An answer whose authenticators were verified."""

    def __init__(self, code: int, attributes: list[tuple[int, bytes]]):
        self.code = code
        self.attributes = attributes

    def __getitem__(self, code: int) -> bytes:
        return dict(self.attributes)[code]

    def get(self, code: int) -> bytes | None:
        return dict(self.attributes).get(code)

    def number(self, code: int) -> int | None:
        value = self.get(code)
        return None if value is None else int.from_bytes(value, "big")

    @property
    def codes(self) -> list[int]:
        return [code for code, _ in self.attributes]


def encoded(attributes) -> bytes:
    body = b""
    for code, written in attributes:
        value = written
        if isinstance(written, str):
            value = written.encode()
        elif isinstance(written, int):
            value = struct.pack(">I", written)
        if code > 255:
            inside = struct.pack(">IBB", code >> 8, code & 255, len(value) + 2) + value
            body += struct.pack(">BB", 26, len(inside) + 2) + inside
        else:
            body += struct.pack(">BB", code, len(value) + 2) + value
    return body


def pap(password: str, secret: bytes, authenticator: bytes) -> bytes:
    padded = password.encode().ljust(-(-len(password.encode()) // 16) * 16 or 16, b"\0")
    out, last = b"", authenticator
    for at in range(0, len(padded), 16):
        key = hashlib.md5(secret + last).digest()
        last = bytes(x ^ y for x, y in zip(padded[at : at + 16], key, strict=True))
        out += last
    return out


def access_request(
    *attributes,
    secret: bytes = SECRET,
    signed: bool = False,
    password: str | None = None,
    ident: int = 1,
    code: int = 1,
) -> bytes:
    authenticator = os.urandom(16)
    listed = list(attributes)
    if password is not None:
        listed.append((2, pap(password, secret, authenticator)))
    body = encoded(listed)
    if signed:
        body = b"\x50\x12" + bytes(16) + body
    head = struct.pack(">BBH", code, ident, 20 + len(body))
    if signed:
        mac = hmac.new(secret, head + authenticator + body, "md5").digest()
        body = b"\x50\x12" + mac + body[18:]
    return head + authenticator + body


def accounting_request(*attributes, secret: bytes = SECRET, ident: int = 1) -> bytes:
    body = encoded(attributes)
    head = struct.pack(">BBH", 4, ident, 20 + len(body))
    return head + hashlib.md5(head + bytes(16) + body + secret).digest() + body


def resigned(data: bytes, was: bytes, now: bytes) -> bytes:
    """An Accounting-Request of a capture signed with another secret."""
    assert data[0] == 4 and hashlib.md5(data[:4] + bytes(16) + data[20:] + was).digest() == data[4:20]
    return data[:4] + hashlib.md5(data[:4] + bytes(16) + data[20:] + now).digest() + data[20:]


def read_reply(data: bytes | None, request: bytes, secret: bytes = SECRET) -> Reply | None:
    """Check an answer's authenticators and return what it says."""
    if data is None:
        return None
    assert data[1] == request[1]
    assert struct.unpack(">H", data[2:4])[0] == len(data) <= 4096
    assert hashlib.md5(data[:4] + request[4:20] + data[20:] + secret).digest() == data[4:20]
    attributes: list[tuple[int, bytes]] = []
    at = 20
    while at < len(data):
        kind, size = data[at], data[at + 1]
        assert size >= 2
        value = data[at + 2 : at + size]
        if kind == 80:
            assert at == 20, "Message-Authenticator must be the first attribute"
            zeroed = data[:4] + request[4:20] + data[20:22] + bytes(16) + data[38:]
            assert hmac.new(secret, zeroed, "md5").digest() == value
        if kind == 26:
            kind, value = (struct.unpack(">I", value[:4])[0] << 8) | value[4], value[6:]
        attributes.append((kind, value))
        at += size
    return Reply(data[0], attributes)
