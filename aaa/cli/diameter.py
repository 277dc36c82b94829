"""
A Diameter client for one call at a time, from the standard library: what a switch sends, for `probe`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import NamedTuple

CER, CCR, DWR, DPR = 257, 272, 280, 282
REQUEST, PROXIABLE = 0x80, 0x40
SESSION_ID, ORIGIN_HOST, ORIGIN_REALM, DESTINATION_REALM, AUTH_APPLICATION_ID = 263, 264, 296, 283, 258
RESULT_CODE, HOST_IP_ADDRESS, VENDOR_ID, PRODUCT_NAME, DISCONNECT_CAUSE, EVENT_TIMESTAMP = 268, 257, 266, 269, 273, 55
SERVICE_CONTEXT_ID, REQUEST_TYPE, REQUEST_NUMBER = 461, 416, 415
SUBSCRIPTION_ID, SUBSCRIPTION_ID_TYPE, SUBSCRIPTION_ID_DATA = 443, 450, 444
MSCC, REQUESTED, USED, GRANTED, CC_TIME, RATING_GROUP, FINAL_UNIT = 456, 437, 446, 431, 420, 432, 430
SERVICE_INFORMATION, IMS_INFORMATION, CALLED_PARTY = 873, 876, 832
VENDOR_3GPP = 10415
NTP_UNIX_S = 2_208_988_800
MESSAGE_MAX = 1 << 20

Avps = list[tuple[int, bytes]]


class DiameterError(Exception):
    """No answer, or one that is none."""


def avp(code: int, value: bytes | str | int, vendor: int = 0) -> bytes:
    """One AVP, mandatory; numbers are of 32 bits."""
    payload = (
        value.encode() if isinstance(value, str) else struct.pack("!I", value) if isinstance(value, int) else value
    )
    head = struct.pack("!II", code, (0x40 | (0x80 if vendor else 0)) << 24 | len(payload) + (12 if vendor else 8))
    return head + (struct.pack("!I", vendor) if vendor else b"") + payload + bytes(-len(payload) % 4)


def message(flags: int, command: int, application: int, number: int, body: bytes) -> bytes:
    """A message whose two identifiers are the same number."""
    head = struct.pack("!II", 1 << 24 | len(body) + 20, flags << 24 | command)
    return head + struct.pack("!III", application, number, number) + body


def avps_of(data: bytes) -> Avps:
    """The AVPs in a body, one level deep, by code."""
    found: Avps = []
    place = 0
    while place + 8 <= len(data):
        code, rest = struct.unpack_from("!II", data, place)
        length, skip = rest & 0xFFFFFF, 12 if rest >> 31 else 8
        if length < skip or place + length > len(data):
            raise DiameterError("an answer that cannot be read")
        found.append((code, data[place + skip : place + length]))
        place += length + (-length % 4)
    return found


def first(found: Avps, code: int) -> bytes | None:
    """The first AVP of a code."""
    return next((payload for one, payload in found if one == code), None)


def number_of(found: Avps, code: int) -> int:
    """A number, 0 when it is not there."""
    return int.from_bytes(first(found, code) or b"", "big")


class Connection:
    """
    A connection to one server, from CER to DPR.

    Raises:
        DiameterError: The server cannot be reached, refuses, or does not answer in time.
    """

    def __init__(self, server: tuple[str, int], host: str, realm: str, timeout_s: float = 5.0) -> None:
        self.host, self.realm = host, realm
        self._rest = b""
        self._number = int.from_bytes(os.urandom(3), "big")
        self._server = f"{server[0]}:{server[1]}"
        try:
            self._sock = socket.create_connection(server, timeout_s)
        except OSError as error:
            raise DiameterError(f"{self._server}: {error.strerror or error}") from error
        packed = socket.inet_pton(self._sock.family, self._sock.getsockname()[0].partition("%")[0])
        family = b"\0\1" if len(packed) == 4 else b"\0\2"
        body = (
            self._origin()
            + avp(HOST_IP_ADDRESS, family + packed)
            + avp(VENDOR_ID, 0)
            + avp(PRODUCT_NAME, "aaactl")
            + avp(AUTH_APPLICATION_ID, 4)
        )
        self.capabilities = self.ask(CER, 0, body)

    def ask(self, command: int, application: int, body: bytes) -> Avps:
        """Send a request and wait for its answer; watchdogs are answered meanwhile."""
        self._number += 1
        flags = REQUEST | PROXIABLE if application else REQUEST
        try:
            self._sock.sendall(message(flags, command, application, self._number, body))
            while True:
                data = self._read()
                flags, number = data[4], int.from_bytes(data[12:16], "big")
                if flags & REQUEST:
                    answered = avp(RESULT_CODE, 2001) + self._origin()
                    self._sock.sendall(message(0, int.from_bytes(data[5:8], "big"), 0, number, answered))
                elif number == self._number:
                    return avps_of(data[20:])
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise DiameterError(f"{self._server}: {reason}") from error

    def close(self) -> None:
        """Take leave (DPR, no more to ask) and close."""
        with contextlib.suppress(DiameterError):  # it is closed either way
            self.ask(DPR, 0, self._origin() + avp(DISCONNECT_CAUSE, 2))
        self._sock.close()

    def _origin(self) -> bytes:
        return avp(ORIGIN_HOST, self.host) + avp(ORIGIN_REALM, self.realm)

    def _read(self) -> bytes:
        while True:
            size = int.from_bytes(self._rest[1:4], "big") if len(self._rest) >= 20 else 20
            if not 20 <= size <= MESSAGE_MAX:
                raise DiameterError(f"{self._server}: this is no Diameter")
            if len(self._rest) >= size > 20 or (len(self._rest) >= 20 == size):
                data, self._rest = self._rest[:size], self._rest[size:]
                return data
            more = self._sock.recv(65536)
            if not more:
                raise DiameterError(f"{self._server}: the connection was closed")
            self._rest += more


class Call(NamedTuple):
    """What one call is about; `payer` in E.164, `realm` the server's."""

    session: str
    realm: str
    context: str
    payer: str
    called: str
    rating_group: int


def credit_control(
    connection: Connection, call: Call, kind: int, number: int, used_s: int | None, asked_s: int | None
) -> Avps:
    """One CCR about seconds, and its answer; nothing is asked for without `asked_s`, what the server likes with 0."""
    service = avp(RATING_GROUP, call.rating_group)
    if used_s is not None:
        service = avp(USED, avp(CC_TIME, used_s)) + service
    if asked_s is not None:
        service = avp(REQUESTED, avp(CC_TIME, asked_s) if asked_s else b"") + service
    body = (
        avp(SESSION_ID, call.session)
        + avp(ORIGIN_HOST, connection.host)
        + avp(ORIGIN_REALM, connection.realm)
        + avp(DESTINATION_REALM, call.realm)
        + avp(AUTH_APPLICATION_ID, 4)
        + avp(SERVICE_CONTEXT_ID, call.context)
        + avp(REQUEST_TYPE, kind)
        + avp(REQUEST_NUMBER, number)
        + avp(EVENT_TIMESTAMP, (int(time.time()) + NTP_UNIX_S) & 0xFFFFFFFF)
        + avp(SUBSCRIPTION_ID, avp(SUBSCRIPTION_ID_TYPE, 0) + avp(SUBSCRIPTION_ID_DATA, call.payer))
        + avp(MSCC, service)
    )
    if call.called:
        ims = avp(IMS_INFORMATION, avp(CALLED_PARTY, f"tel:{call.called}", VENDOR_3GPP), VENDOR_3GPP)
        body += avp(SERVICE_INFORMATION, ims, VENDOR_3GPP)
    return connection.ask(CCR, 4, body)
