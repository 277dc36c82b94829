"""
A RadSec client, and packets of UDP put under the secret of RadSec.

Own arithmetic from hashlib and hmac: the product's codec is not its own judge.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from pathlib import Path

SECRET = b"radsec"
ACCESS, ACCOUNTING, DISCONNECT = 1, 4, 40
PASSWORD, SIGNATURE = 2, 80


class Connection:
    """
    One connection of a client with a certificate, from an address of its own.

    Raises:
        OSError: It was not let in.
    """

    def __init__(self, port: int, source: str, authority: Path, files: tuple[Path, Path]) -> None:
        context = ssl.create_default_context(cafile=authority)
        context.load_cert_chain(*files)
        plain = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
        self.socket = context.wrap_socket(plain, server_hostname="localhost")

    def send(self, data: bytes) -> None:
        """Write; a connection that is closed already takes it and loses it."""
        try:
            self.socket.sendall(data)
        except OSError:
            return

    def receive(self) -> bytes:
        """One packet; b"" when the server closed the connection."""
        try:
            head = self._exactly(4)
            return head and head + self._exactly(int.from_bytes(head[2:], "big") - 4)
        except TimeoutError:
            raise
        except OSError:
            return b""

    def is_quiet(self) -> bool:
        """Whether it is open and nothing more has come."""
        self.socket.settimeout(0)
        try:
            self.socket.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                return b""
            data += part
        return data


def under_radsec(data: bytes, secret: bytes) -> bytes:
    """
    The same packet as its sender would have made it for RadSec.

    What verified under the old secret verifies under the new one; what was wrong stays wrong, and what cannot be
    read stays as it is.
    """
    places = _places(data)
    if places is None:
        return data
    code, made, authenticator = data[0], bytearray(data), data[4:20]
    signatures = [at for kind, at, size in places if kind == SIGNATURE and size == 16]
    if code in (ACCOUNTING, DISCONNECT):
        if hashlib.md5(data[:4] + bytes(16) + data[20:] + secret).digest() != authenticator:
            return data
        authenticator = bytes(16)
    for kind, at, size in places:
        if kind == PASSWORD and code == ACCESS and size % 16 == 0 and 0 < size <= 128:
            plain = _hidden(data[at : at + size], secret, authenticator, is_hidden=True)
            made[at : at + size] = _hidden(plain, SECRET, authenticator, is_hidden=False)
    if len(signatures) == 1 and _signature(data, signatures[0], secret, authenticator) == _at(data, signatures[0]):
        made[signatures[0] : signatures[0] + 16] = _signature(made, signatures[0], SECRET, authenticator)
    if code in (ACCOUNTING, DISCONNECT):
        made[4:20] = hashlib.md5(bytes(made[:4]) + bytes(16) + bytes(made[20:]) + SECRET).digest()
    return bytes(made)


def _places(data: bytes) -> list[tuple[int, int, int]] | None:
    """Type, place and size of every value; None when the packet is not made of attributes."""
    if len(data) < 20 or int.from_bytes(data[2:4], "big") != len(data):
        return None
    found, at = [], 20
    while at < len(data):
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            return None
        found.append((data[at], at + 2, size - 2))
        at += size
    return found


def _at(data: bytes, at: int) -> bytes:
    return data[at : at + 16]


def _signature(data: bytes | bytearray, at: int, secret: bytes, authenticator: bytes) -> bytes:
    zeroed = bytes(data[:4]) + authenticator + bytes(data[20:at]) + bytes(16) + bytes(data[at + 16 :])
    return hmac.new(secret, zeroed, "md5").digest()


def _hidden(value: bytes, secret: bytes, authenticator: bytes, is_hidden: bool) -> bytes:
    """RFC 2865 5.2, both ways."""
    made, last = b"", authenticator
    for at in range(0, len(value), 16):
        key = hashlib.md5(secret + last).digest()
        block = bytes(x ^ y for x, y in zip(value[at : at + 16], key, strict=True))
        last = value[at : at + 16] if is_hidden else block
        made += block
    return made
