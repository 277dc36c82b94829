"""The probe speaks RADIUS as the RFCs print it, and believes nothing unsigned."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading

import pytest

from aaa.cli.radius import (
    ACCESS_ACCEPT,
    ACCESS_REQUEST,
    CALLED,
    HEADER,
    MESSAGE_AUTHENTICATOR,
    SESSION_TIMEOUT,
    Exchange,
    RadiusError,
    encoded,
    hidden,
    integer,
)

SECRET = b"xyzzy5461"


def test_hides_the_password_as_rfc_2865_section_7_1_prints_it():
    """The example of the RFC: user nemo, password arctangent."""
    authenticator = bytes.fromhex("0f403f9473978057bd83d5cb98f4227a")

    assert bytes.fromhex("0dbe708d93d413ce3196e43f782a0aee") == hidden(b"arctangent", SECRET, authenticator)


class Server:
    """A server that answers one request as the test says."""

    def __init__(self, answer) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.requests: list[bytes] = []
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                packet, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            self.requests.append(packet)
            answer = self._answer(packet)
            if answer:
                self.sock.sendto(answer, peer)


def accept(request: bytes, secret: bytes = SECRET, signed: bool = True) -> bytes:
    """An Access-Accept with a Session-Timeout of 60."""
    body = encoded([(MESSAGE_AUTHENTICATOR, bytes(16)), (SESSION_TIMEOUT, integer(60))])
    head = HEADER.pack(ACCESS_ACCEPT, request[1], HEADER.size + len(body), request[4:20])
    signature = hmac.digest(secret if signed else b"other", head + body, "md5")
    body = body[:2] + signature + body[18:]
    return head[:4] + hashlib.md5(head + body + secret).digest() + body


def test_requests_are_signed_and_answers_read():
    """Message-Authenticator comes first (BlastRADIUS), the grant is read."""
    server = Server(accept)
    answer = Exchange(SECRET).access(server.address, [(CALLED, b"44")], b"arctangent")
    packet = server.requests[0]
    blank = packet[:22] + bytes(16) + packet[38:]

    assert (ACCESS_ACCEPT, 60) == (answer.code, answer.number(SESSION_TIMEOUT))
    assert (ACCESS_REQUEST, MESSAGE_AUTHENTICATOR) == (packet[0], packet[20])
    assert hmac.digest(SECRET, blank, "md5") == packet[22:38]


@pytest.mark.parametrize(
    "forge",
    [
        lambda request: accept(request, secret=b"wrong"),
        lambda request: accept(request, signed=False),
        lambda request: accept(bytes([request[0], (request[1] + 1) % 256]) + request[2:]),
        lambda request: accept(request)[:19],
        lambda request: b"",
    ],
    ids=["wrong secret", "wrong message authenticator", "other identifier", "cut short", "silence"],
)
def test_answers_that_cannot_be_believed_count_as_none(forge):
    """The same bytes are sent again, then it gives up and says so."""
    server = Server(forge)

    with pytest.raises(RadiusError, match="no answer in 2 tries"):
        Exchange(SECRET, timeout_s=0.1, tries=2).access(server.address, [], b"x")

    assert 2 == len(server.requests)
    assert server.requests[0] == server.requests[1]
