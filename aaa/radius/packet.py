"""
Lean RADIUS codec: packets as bytes in, one dict of raw values out, and signed answers back.

One loop over the bytes, no dictionary look-ups by name, so that a packet costs microseconds.  pyrad
is the oracle this module is tested against; it serves names and types at start (`aaa.radius.names`).
What is malformed raises `Malformed` with the reason to count; what is merely unknown or of a wrong size
inside its own attribute stays raw and is ignored by those who read it (RFC 6929 2.8).
"""

from __future__ import annotations

import hashlib
import struct
from functools import partial
from hmac import compare_digest

from aaa.errors import AaaError
from aaa.radius.attributes import MESSAGE_AUTHENTICATOR, PROXY_STATE, VENDOR_SPECIFIC, Attributes
from aaa.value import Value

try:
    from _md5 import md5  # the interpreter's own: asking OpenSSL for it costs more than the sum itself
except ImportError:
    md5 = partial(hashlib.md5, usedforsecurity=False)

ACCESS_REQUEST = 1
ACCESS_ACCEPT = 2
ACCESS_REJECT = 3
ACCOUNTING_REQUEST = 4
ACCOUNTING_RESPONSE = 5
ACCESS_CHALLENGE = 11
STATUS_SERVER = 12
DISCONNECT_REQUEST = 40
DISCONNECT_ACK = 41
DISCONNECT_NAK = 42
COA_REQUEST = 43
COA_ACK = 44
COA_NAK = 45

HEADER_LENGTH = 20
LENGTH_MAX = 4096  # RFC 2865 3
VALUE_MAX = 253
VSA_VALUE_MAX = 247
PASSWORD_MAX = 128  # RFC 2865 5.2

ZEROS = bytes(16)
_EMPTY_SIGNATURE = b"\x50\x12" + ZEROS
_HEAD = struct.Struct(">BBH")
_VSA = struct.Struct(">BBIBB")
_INTEGER = struct.Struct(">BBI")
_BLOCK = 64  # MD5 block size, RFC 2104


class Malformed(AaaError):
    """
    Bytes that are no RADIUS packet; nothing in them may be used.

    Args:
        reason: The name under which the drop is counted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooLong(AaaError):
    """An answer that would exceed 4096 octets, or a value that fits no attribute; nothing is sent."""


class Secret:
    """
    A shared secret with its two HMAC-MD5 states made once (RFC 2104 section 4).

    Args:
        raw: The secret's octets; must not be empty (RFC 2865 3).
    """

    __slots__ = ("_inner", "_outer", "raw")

    def __init__(self, raw: bytes) -> None:
        if not raw:
            raise ValueError("a shared secret must not be empty")
        self.raw = raw
        key = raw if len(raw) <= _BLOCK else md5(raw).digest()
        key = key.ljust(_BLOCK, b"\0")
        self._inner = md5(bytes(b ^ 0x36 for b in key))
        self._outer = md5(bytes(b ^ 0x5C for b in key))

    def mac(self, message: bytes) -> bytes:
        """Return HMAC-MD5 of a message under this secret."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        mac: bytes = outer.digest()
        return mac


class Packet(Value, frozen=True):
    """
    A decoded packet: header, raw attributes, and where its Message-Authenticator is.

    `data` is the packet without padding; `signature_at` the offset of the Message-Authenticator's
    value, 0 when there is none; `repeats` says that some attribute came more than once.
    """

    code: int
    ident: int
    authenticator: bytes
    attributes: Attributes
    data: bytes
    signature_at: int
    repeats: bool = False


def decode(data: bytes) -> Packet:
    """
    Read one packet (RFC 2865 3 and 5).

    Several sub-attributes of one Vendor-Specific are all seen; one whose inside cannot be read is
    ignored whole.  A Vendor-Specific too short for its vendor is malformed: it is what a client's
    length overflow looks like, and what follows it would be the caller's own text.

    Raises:
        Malformed: `length` (header), `attribute_length`, or `signature_length` (RFC 3579 3.2: exactly
            one, 18 octets).
    """
    if len(data) < HEADER_LENGTH:
        raise Malformed("length")
    length = data[2] << 8 | data[3]
    if not HEADER_LENGTH <= length <= LENGTH_MAX or length > len(data):
        raise Malformed("length")
    if length < len(data):
        data = data[:length]  # padding, RFC 2865 3
    attributes: Attributes = {}
    signature_at = 0
    repeats = False
    at = HEADER_LENGTH
    try:
        while at < length:
            kind = data[at]
            end = at + data[at + 1]
            if end < at + 2 or end > length:
                raise Malformed("attribute_length")
            if kind == VENDOR_SPECIFIC:
                if end < at + 6:
                    raise Malformed("attribute_length")
                repeats |= _read_vendor(data, at + 2, end, attributes)
            else:
                value = data[at + 2 : end]
                if kind == MESSAGE_AUTHENTICATOR:
                    if end - at != 18 or signature_at:
                        raise Malformed("signature_length")
                    signature_at = at + 2
                if kind in attributes:
                    repeats = _append(attributes, kind, value)
                else:
                    attributes[kind] = value
            at = end
    except IndexError:
        raise Malformed("attribute_length") from None
    return Packet(data[0], data[1], data[4:20], attributes, data, signature_at, repeats)


def _read_vendor(data: bytes, at: int, end: int, attributes: Attributes) -> bool:
    """
    Add the sub-attributes of one Vendor-Specific; none when they do not fill it exactly.

    Returns:
        Whether one of them was there before.
    """
    vendor = int.from_bytes(data[at : at + 4], "big") << 8
    at += 4
    if not vendor:
        return False  # vendor 0 would read as the standard space
    if end - at >= 2 and at + data[at + 1] == end:  # the usual one
        key = vendor | data[at]
        if key in attributes:
            return _append(attributes, key, data[at + 2 : end])
        attributes[key] = data[at + 2 : end]
        return False
    found = []
    while at < end:
        if at + 2 > end or data[at + 1] < 2 or at + data[at + 1] > end:
            return False
        found.append((vendor | data[at], data[at + 2 : at + data[at + 1]]))
        at += data[at + 1]
    repeats = False
    for key, value in found:
        if key in attributes:
            repeats = _append(attributes, key, value)
        else:
            attributes[key] = value
    return repeats


def _append(attributes: Attributes, key: int, value: bytes) -> bool:
    known = attributes[key]
    if isinstance(known, bytes):
        attributes[key] = [known, value]
    else:
        known.append(value)
    return True


def attribute(key: int, value: bytes) -> bytes:
    """
    Encode one attribute, inside Vendor-Specific where its key says so.

    Raises:
        TooLong: The value does not fit (253 octets, 247 inside Vendor-Specific).

    >>> attribute(27, (60).to_bytes(4, "big")).hex()
    '1b060000003c'
    """
    size = len(value)
    if key < 256:
        if size > VALUE_MAX:
            raise TooLong(f"attribute {key}: {size} octets")
        return bytes((key, size + 2)) + value
    if size > VSA_VALUE_MAX:
        raise TooLong(f"attribute {key >> 8}.{key & 255}: {size} octets")
    return _VSA.pack(VENDOR_SPECIFIC, size + 8, key >> 8, key & 255, size + 2) + value


def integer(key: int, value: int) -> bytes:
    """Encode an integer attribute; the value is clamped to 32 bits."""
    value = min(value, 0xFFFFFFFF)
    if key < 256:
        return _INTEGER.pack(key, 6, value)
    return attribute(key, value.to_bytes(4, "big"))


def proxy_states(attributes: Attributes) -> bytes:
    """Return all Proxy-State attributes as they came, for every response (RFC 2865 5.33)."""
    value = attributes.get(PROXY_STATE)
    if value is None:
        return b""
    if isinstance(value, bytes):
        return attribute(PROXY_STATE, value)
    return b"".join([attribute(PROXY_STATE, one) for one in value])


def answer(code: int, request: Packet, body: bytes, secret: Secret, is_signed: bool) -> bytes:
    """
    Build the response to a request, with Message-Authenticator as its first attribute if signed.

    The Response Authenticator is RFC 2865 3's, the Message-Authenticator RFC 3579 3.2's over the
    Request Authenticator; being first is what defeats CVE-2024-3596.

    Raises:
        TooLong: It would exceed 4096 octets.
    """
    length = HEADER_LENGTH + len(body) + (18 if is_signed else 0)
    if length > LENGTH_MAX:
        raise TooLong(f"answer of {length} octets")
    head = _HEAD.pack(code, request.ident, length)
    if is_signed:
        body = b"\x50\x12" + secret.mac(head + request.authenticator + _EMPTY_SIGNATURE + body) + body
    digest: bytes = md5(head + request.authenticator + body + secret.raw).digest()
    return head + digest + body


def accounting_style_request(code: int, ident: int, body: bytes, secret: Secret, is_signed: bool) -> bytes:
    """
    Build a request whose authenticator signs it: Accounting, Disconnect and CoA (RFC 2866 3, 5176 2.3).

    Raises:
        TooLong: It would exceed 4096 octets.
    """
    length = HEADER_LENGTH + len(body) + (18 if is_signed else 0)
    if length > LENGTH_MAX:
        raise TooLong(f"request of {length} octets")
    head = _HEAD.pack(code, ident, length)
    if is_signed:
        body = b"\x50\x12" + secret.mac(head + ZEROS + _EMPTY_SIGNATURE + body) + body
    digest: bytes = md5(head + ZEROS + body + secret.raw).digest()
    return head + digest + body


def has_valid_request_authenticator(packet: Packet, secret: Secret) -> bool:
    """Check the authenticator of an Accounting, Disconnect or CoA request (RFC 2866 3)."""
    data = packet.data
    digest: bytes = md5(data[:4] + ZEROS + data[20:] + secret.raw).digest()
    return compare_digest(digest, packet.authenticator)


def has_valid_response_authenticator(packet: Packet, request_authenticator: bytes, secret: Secret) -> bool:
    """Check the authenticator of a response to a request of ours (RFC 2865 3)."""
    data = packet.data
    digest: bytes = md5(data[:4] + request_authenticator + data[20:] + secret.raw).digest()
    return compare_digest(digest, packet.authenticator)


def has_valid_signature(packet: Packet, secret: Secret, authenticator: bytes | None = None) -> bool:
    """
    Check the Message-Authenticator (RFC 3579 3.2).

    Args:
        authenticator: What stood in the authenticator field when it was made: None for the packet's
            own (requests 1 and 12), zeros for accounting style requests, the request's for responses.
    """
    at = packet.signature_at
    data = packet.data
    head = data[:20] if authenticator is None else data[:4] + authenticator
    mac = secret.mac(head + data[20:at] + ZEROS + data[at + 16 :])
    return compare_digest(mac, data[at : at + 16])


def hide_password(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """
    Encrypt a User-Password (RFC 2865 5.2).

    Raises:
        TooLong: More than 128 octets.
    """
    if len(password) > PASSWORD_MAX:
        raise TooLong(f"password of {len(password)} octets")
    padded = password.ljust(-(-len(password) // 16) * 16 or 16, b"\0")
    hidden, last = b"", authenticator
    for at in range(0, len(padded), 16):
        last = _xor(padded[at : at + 16], md5(secret + last).digest())
        hidden += last
    return hidden


def reveal_password(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes | None:
    """Decrypt a User-Password, without its padding; None when its length is impossible (RFC 2865 5.2)."""
    if not 16 <= len(hidden) <= PASSWORD_MAX or len(hidden) % 16:
        return None
    if len(hidden) == 16:  # the usual one
        return _xor(hidden, md5(secret + authenticator).digest()).rstrip(b"\0")
    clear, last = b"", authenticator
    for at in range(0, len(hidden), 16):
        block = hidden[at : at + 16]
        clear += _xor(block, md5(secret + last).digest())
        last = block
    return clear.rstrip(b"\0")


def chap_response(ident: int, password: bytes, challenge: bytes) -> bytes:
    """Compute what a CHAP peer answers (RFC 1994 4.1, RFC 2865 2.2)."""
    digest: bytes = md5(bytes((ident,)) + password + challenge).digest()
    return digest


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(16, "big")
