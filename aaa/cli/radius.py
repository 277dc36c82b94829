"""
A RADIUS client for one call at a time, from the standard library: what a switch sends, for `probe`.

Every answer is verified (RFC 2865 section 3, RFC 3579 section 3.2) before a word of it is believed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
import time
from dataclasses import dataclass, field

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE, ACCESS_CHALLENGE = (
    1,
    2,
    3,
    4,
    5,
    11,
)
STATUS_SERVER = 12
USER_NAME, USER_PASSWORD, REPLY_MESSAGE, STATE, CLASS, SESSION_TIMEOUT = 1, 2, 18, 24, 25, 27
CALLED, CALLING, NAS_IDENTIFIER = 30, 31, 32
ACCT_STATUS_TYPE, ACCT_SESSION_ID, ACCT_SESSION_TIME, MESSAGE_AUTHENTICATOR = 40, 44, 46, 80
START, STOP, INTERIM = 1, 2, 3
HEADER = struct.Struct("!BBH16s")
PACKET_MAX = 4096
NAMES = {ACCESS_ACCEPT: "Access-Accept", ACCESS_REJECT: "Access-Reject", ACCOUNTING_RESPONSE: "Accounting-Response"}

Attributes = list[tuple[int, bytes]]


class RadiusError(Exception):
    """No answer, or one that is not to be believed."""


@dataclass
class Answer:
    """A verified answer."""

    code: int
    attributes: Attributes = field(default_factory=list)

    def first(self, kind: int) -> bytes | None:
        """The first attribute of a kind."""
        return next((value for found, value in self.attributes if found == kind), None)

    def number(self, kind: int) -> int | None:
        """An integer attribute."""
        value = self.first(kind)
        return None if value is None else int.from_bytes(value, "big")


def integer(value: int) -> bytes:
    """An integer attribute's value."""
    return value.to_bytes(4, "big")


def hidden(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """User-Password as it travels (RFC 2865 section 5.2)."""
    padded = password + bytes(-len(password) % 16 or (16 if not password else 0))
    block, out = authenticator, b""
    for start in range(0, len(padded), 16):
        mask = hashlib.md5(secret + block, usedforsecurity=False).digest()
        block = bytes(a ^ b for a, b in zip(padded[start : start + 16], mask, strict=True))
        out += block
    return out


def encoded(attributes: Attributes) -> bytes:
    """Attributes as octets."""
    return b"".join(struct.pack("!BB", kind, len(value) + 2) + value for kind, value in attributes)


class Exchange:
    """
    Requests to one server.

    Args:
        timeout_s: For each of the tries, which are byte-identical retransmissions as a switch sends them.
    """

    def __init__(self, secret: bytes, timeout_s: float = 2.0, tries: int = 3) -> None:
        self._secret = secret
        self._timeout_s = timeout_s
        self._tries = tries
        self._identifier = os.urandom(1)[0]

    def access(self, server: tuple[str, int], attributes: Attributes, password: bytes | None = None) -> Answer:
        """Send an Access-Request, signed; the password is hidden with its authenticator."""
        authenticator = os.urandom(16)
        given = list(attributes)
        if password is not None:
            given.append((USER_PASSWORD, hidden(password, self._secret, authenticator)))
        return self._signed(server, ACCESS_REQUEST, authenticator, given)

    def status(self, server: tuple[str, int]) -> Answer:
        """Ask whether the server lives (RFC 5997)."""
        return self._signed(server, STATUS_SERVER, os.urandom(16), [])

    def accounting(self, server: tuple[str, int], attributes: Attributes) -> Answer:
        """Send an Accounting-Request (RFC 2866 section 3)."""
        body = encoded(attributes)
        head = HEADER.pack(ACCOUNTING_REQUEST, self._next(), HEADER.size + len(body), bytes(16))
        authenticator = hashlib.md5(head + body + self._secret, usedforsecurity=False).digest()
        return self._exchange(server, head[:4] + authenticator + body)

    def _signed(self, server: tuple[str, int], code: int, authenticator: bytes, attributes: Attributes) -> Answer:
        body = encoded([(MESSAGE_AUTHENTICATOR, bytes(16)), *attributes])
        packet = HEADER.pack(code, self._next(), HEADER.size + len(body), authenticator) + body
        signature = hmac.digest(self._secret, packet, "md5")
        return self._exchange(server, packet[: HEADER.size + 2] + signature + packet[HEADER.size + 18 :])

    def _next(self) -> int:
        self._identifier = (self._identifier + 1) % 256
        return self._identifier

    def _exchange(self, server: tuple[str, int], packet: bytes) -> Answer:
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(server)
                for _ in range(self._tries):
                    sock.send(packet)
                    until = time.monotonic() + self._timeout_s
                    while (left := until - time.monotonic()) > 0:
                        sock.settimeout(left)
                        try:
                            answer = self._verified(sock.recv(PACKET_MAX), packet)
                        except TimeoutError:
                            break
                        if answer is not None:
                            return answer
            except OSError as error:
                raise RadiusError(f"{server[0]}:{server[1]}: {error.strerror or error}") from error
        raise RadiusError(f"{server[0]}:{server[1]}: no answer in {self._tries} tries of {self._timeout_s:g} s")

    def _verified(self, answer: bytes, request: bytes) -> Answer | None:
        """The answer to this request, None when it is not one or cannot be believed."""
        if len(answer) < HEADER.size:
            return None
        code, identifier, length, authenticator = HEADER.unpack_from(answer)
        if identifier != request[1] or not HEADER.size <= length <= len(answer):
            return None
        answer = answer[:length]
        signed = answer[:4] + request[4:20] + answer[20:]
        if hashlib.md5(signed + self._secret, usedforsecurity=False).digest() != authenticator:
            return None
        attributes: Attributes = []
        place = HEADER.size
        while place + 2 <= length:
            kind, size = answer[place], answer[place + 1]
            if size < 2 or place + size > length:
                return None
            if kind == MESSAGE_AUTHENTICATOR:
                blank = signed[: place + 2] + bytes(16) + signed[place + 18 :]
                if not hmac.compare_digest(hmac.digest(self._secret, blank, "md5"), answer[place + 2 : place + size]):
                    return None
            attributes.append((kind, answer[place + 2 : place + size]))
            place += size
        return Answer(code, attributes)
