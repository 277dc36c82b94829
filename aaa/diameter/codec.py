"""
Diameter messages as bytes: read lazily, written by joining (RFC 6733 sections 3 and 4).

A message is read one level deep; groups are read by who needs them.  An AVP is a tuple of its key
(`vendor << 32 | code`), its flags and its payload, so that what nobody knows survives.  A message that
breaks a rule carries the first problem found with the AVPs read before it: the answer still needs them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from aaa.diameter.dictionary import FIXED_SIZES

HEADER = struct.Struct(">IIIII")
HEADER_SIZE = 20
REQUEST = 0x80
PROXIABLE = 0x40
ERROR = 0x20
RETRANSMITTED = 0x10
VENDOR_FLAG = 0x80
MANDATORY = 0x40
_VENDOR_BIT = VENDOR_FLAG << 24
AVPS_MAX = 4096
_AVP = struct.Struct(">II")
_VENDOR_AVP = struct.Struct(">III")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_U64 = struct.Struct(">Q")
_I64 = struct.Struct(">q")
_U32_AVP = struct.Struct(">III")
_U64_AVP = struct.Struct(">IIQ")
_PADS = (b"", b"\0\0\0", b"\0\0", b"\0")

SUCCESS = 2001
COMMAND_UNSUPPORTED = 3001
UNABLE_TO_DELIVER = 3002
REALM_NOT_SERVED = 3003
TOO_BUSY = 3004
LOOP_DETECTED = 3005
APPLICATION_UNSUPPORTED = 3007
INVALID_HEADER_BITS = 3008
UNKNOWN_PEER = 3010
END_USER_SERVICE_DENIED = 4010
CREDIT_CONTROL_NOT_APPLICABLE = 4011
CREDIT_LIMIT_REACHED = 4012
AVP_UNSUPPORTED = 5001
UNKNOWN_SESSION_ID = 5002
INVALID_AVP_VALUE = 5004
MISSING_AVP = 5005
CONTRADICTING_AVPS = 5007
AVP_NOT_ALLOWED = 5008
AVP_OCCURS_TOO_MANY_TIMES = 5009
NO_COMMON_APPLICATION = 5010
UNSUPPORTED_VERSION = 5011
UNABLE_TO_COMPLY = 5012
INVALID_AVP_LENGTH = 5014
NO_COMMON_SECURITY = 5017
USER_UNKNOWN = 5030
RATING_FAILED = 5031


class Invalid(Exception):
    """
    A message, or a group in it, breaks a rule.

    Args:
        code: The Result-Code of the answer.
        failed: The whole AVP to report in Failed-AVP, or nothing.
    """

    def __init__(self, code: int, failed: bytes = b"", text: str = "") -> None:
        super().__init__(f"{code} {text}".strip())
        self.code = code
        self.failed = failed


class Avp(NamedTuple):
    """One AVP; `payload` is without padding, `at` where it begins in the message."""

    key: int
    flags: int
    payload: bytes
    at: int = 0

    def encoded(self) -> bytes:
        """The AVP as it was received, its padding zeroed."""
        return avp(self.key & 0xFFFFFFFF, self.payload, self.flags & 0x7F, self.key >> 32)


class Message(NamedTuple):
    """A message one level deep; `problem` is the first broken rule of its structure."""

    version: int
    flags: int
    command: int
    application: int
    hop_by_hop: int
    end_to_end: int
    avps: tuple[Avp, ...]
    problem: Invalid | None = None

    @property
    def is_request(self) -> bool:
        return bool(self.flags & REQUEST)

    def first(self, key: int) -> Avp | None:
        """The first AVP of this key."""
        for one in self.avps:
            if one.key == key:
                return one
        return None

    def every(self, key: int) -> list[Avp]:
        """All AVPs of this key, in order."""
        return [one for one in self.avps if one.key == key]

    def text(self, key: int) -> str:
        """The text of the first AVP of this key, or nothing."""
        found = self.first(key)
        return found.payload.decode("utf-8", "replace") if found else ""


def decode(data: bytes) -> Message:
    """
    Read a whole message; the framing has made sure of its length.

    Structure that cannot be read, and known AVPs of a wrong size, become the message's `problem`.
    """
    first, second, application, hop_by_hop, end_to_end = HEADER.unpack_from(data)
    found: list[Avp] = []
    problem = None
    try:
        _read(data, HEADER_SIZE, found, 0)
    except Invalid as error:
        problem = error
    return Message(
        first >> 24, second >> 24, second & 0xFFFFFF, application, hop_by_hop, end_to_end, tuple(found), problem
    )


def group(outer: Avp) -> tuple[Avp, ...]:
    """
    Read the AVPs inside a group.

    Raises:
        Invalid: 5014 with the group around the offending AVP, or the group itself.
    """
    found: list[Avp] = []
    try:
        _read(outer.payload, 0, found, outer.at)
    except Invalid as error:
        inner = error.failed
        raise Invalid(error.code, avp(outer.key & 0xFFFFFFFF, inner, outer.flags & 0x7F, outer.key >> 32)) from None
    return tuple(found)


def _read(data: bytes, at: int, found: list[Avp], base: int) -> None:
    """Read AVPs from a position, a multiple of four, to the end; `base` is where the data begin in the message."""
    end = len(data)
    unpack, size_of, append, make = _AVP.unpack_from, FIXED_SIZES.get, found.append, tuple.__new__
    while at < end:
        if end - at < 8:
            raise Invalid(INVALID_AVP_LENGTH, b"", "stray octets")
        key, word = unpack(data, at)
        stop = at + (word & 0xFFFFFF)
        body = at + 8
        if word & _VENDOR_BIT:
            if end - at < 12 or stop < at + 12:
                raise Invalid(INVALID_AVP_LENGTH, _example(key, word >> 24), "shorter than its header")
            key |= _U32.unpack_from(data, body)[0] << 32
            body += 4
        if stop < body or stop > end:
            raise Invalid(INVALID_AVP_LENGTH, _example(key, word >> 24), "length beyond its container")
        size = size_of(key)
        if size is not None and stop - body != size:
            raise Invalid(INVALID_AVP_LENGTH, _example(key, word >> 24), "wrong size for its type")
        append(make(Avp, (key, word >> 24, data[body:stop], base + body)))
        at = stop + 3 & -4
    if len(found) > AVPS_MAX:
        raise Invalid(UNABLE_TO_COMPLY, b"", "too many AVPs")


def _example(key: int, flags: int) -> bytes:
    """The header of an AVP with a zero payload of the least size of its type (RFC 6733 7.1.5)."""
    return avp(key & 0xFFFFFFFF, bytes(FIXED_SIZES.get(key, 0)), flags & 0x7F, key >> 32)


def missing(key: int) -> Invalid:
    """5005 with an example of what is missing."""
    return Invalid(MISSING_AVP, _example(key, MANDATORY))


def avp(code: int, payload: bytes, flags: int = MANDATORY, vendor: int = 0) -> bytes:
    """Write one AVP with its padding."""
    size = len(payload)
    if vendor:
        head = _VENDOR_AVP.pack(code, (flags | VENDOR_FLAG) << 24 | size + 12, vendor)
    else:
        head = _AVP.pack(code, flags << 24 | size + 8)
    return head + payload + _PADS[size & 3] if size & 3 else head + payload


def wrapped(outer: Avp, inner: Avp) -> bytes:
    """A group with one AVP in it: how an AVP inside a group is reported (RFC 6733 7.5)."""
    return avp(outer.key & 0xFFFFFFFF, inner.encoded(), outer.flags & 0x7F, outer.key >> 32)


def copied(message: Message, key: int) -> bytes:
    """Every AVP of a key, written for an answer."""
    return b"".join([avp(key, one.payload) for one in message.every(key)])


def u32(code: int, number: int, flags: int = MANDATORY, vendor: int = 0) -> bytes:
    """Write an AVP of type Unsigned32, Enumerated or Time."""
    if vendor:
        return avp(code, _U32.pack(number), flags, vendor)
    return _U32_AVP.pack(code, flags << 24 | 12, number)


def i32(code: int, number: int) -> bytes:
    """Write an AVP of type Integer32."""
    return avp(code, _I32.pack(number))


def u64(code: int, number: int) -> bytes:
    """Write an AVP of type Unsigned64."""
    return _U64_AVP.pack(code, MANDATORY << 24 | 16, number)


def i64(code: int, number: int) -> bytes:
    """Write an AVP of type Integer64."""
    return avp(code, _I64.pack(number))


def text(code: int, value: str, flags: int = MANDATORY, vendor: int = 0) -> bytes:
    """Write an AVP of type UTF8String or DiameterIdentity."""
    return avp(code, value.encode(), flags, vendor)


def read_u32(one: Avp) -> int:
    """The value of an Unsigned32."""
    number: int = _U32.unpack(one.payload)[0]
    return number


def read_i32(one: Avp) -> int:
    """The value of an Integer32 or Enumerated."""
    number: int = _I32.unpack(one.payload)[0]
    return number


def read_u64(one: Avp) -> int:
    """The value of an Unsigned64."""
    number: int = _U64.unpack(one.payload)[0]
    return number


def read_i64(one: Avp) -> int:
    """The value of an Integer64."""
    number: int = _I64.unpack(one.payload)[0]
    return number


def message(
    flags: int, command: int, application: int, hop_by_hop: int, end_to_end: int, body: Iterable[bytes]
) -> bytes:
    """Write a message."""
    joined = b"".join(body)
    return (
        HEADER.pack(1 << 24 | len(joined) + HEADER_SIZE, flags << 24 | command, application, hop_by_hop, end_to_end)
        + joined
    )
