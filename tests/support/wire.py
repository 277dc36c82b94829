"""
RADIUS requests as bytes, made with pyrad so that the product's own codec is not its own judge.
"""

from __future__ import annotations

import hashlib
import os
import struct
from io import StringIO
from typing import Any

from pyrad.dictionary import Dictionary
from pyrad.packet import AcctPacket, AuthPacket

SECRET = b"testing123"
DICTIONARY = Dictionary(
    StringIO(
        """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 string
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE Called-Station-Id 30 string
ATTRIBUTE Calling-Station-Id 31 string
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Acct-Status-Type 40 integer
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE Acct-Session-Time 46 integer
ATTRIBUTE Event-Timestamp 55 integer
ATTRIBUTE Class 25 octets
"""
    )
)
START, STOP, INTERIM, ON = 1, 2, 3, 7


def access_request(user: str, password: str, sid: str, called: str = "442012345678", **more: Any) -> bytes:
    """A PAP Access-Request with a fresh identifier and authenticator."""
    request = AuthPacket(secret=SECRET, dict=DICTIONARY, id=os.urandom(1)[0], authenticator=os.urandom(16))
    request["User-Name"] = user
    request["User-Password"] = request.PwCrypt(password)
    request["Acct-Session-Id"] = sid
    request["Called-Station-Id"] = called
    for name, value in more.items():
        request[name.replace("_", "-")] = value
    return bytes(request.RequestPacket())


def accounting_request(status: int, sid: str, seconds: int | None = None, **more: Any) -> bytes:
    """An Accounting-Request."""
    request = AcctPacket(secret=SECRET, dict=DICTIONARY, id=os.urandom(1)[0])
    request["Acct-Status-Type"] = status
    request["Acct-Session-Id"] = sid
    if seconds is not None:
        request["Acct-Session-Time"] = seconds
    for name, value in more.items():
        request[name.replace("_", "-")] = value
    return bytes(request.RequestPacket())


def attribute(reply: bytes, code: int) -> list[bytes]:
    """The values of one attribute of a packet."""
    values, position = [], 20
    while position < len(reply):
        kind, length = reply[position], reply[position + 1]
        if kind == code:
            values.append(reply[position + 2 : position + length])
        position += length
    return values


def session_timeout(reply: bytes) -> int:
    """The granted seconds of an Access-Accept, 0 when there are none."""
    values = attribute(reply, 27)
    return int(struct.unpack("!I", values[0])[0]) if values else 0


def is_signed(reply: bytes, request: bytes) -> bool:
    """Whether the Response Authenticator of a reply is right (RFC 2865 3)."""
    expected = hashlib.md5(reply[:4] + request[4:20] + reply[20:] + SECRET).digest()
    return reply[4:20] == expected


def resigned(data: bytes) -> bytes:
    """An Accounting-Request with its authenticator computed anew."""
    digest = hashlib.md5(data[:4] + bytes(16) + data[20:] + SECRET).digest()
    return data[:4] + digest + data[20:]
