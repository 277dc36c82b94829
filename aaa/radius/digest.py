"""
SIP digest as RADIUS carries it: RFC 5090 attributes and the older Sterman form, one value for both.

Pure: reads attributes, computes what the right response would be (RFC 2617 3.2.2).  Whether a nonce is
accepted, and who may use which realm, is decided by those who know the client (`aaa.radius.auth`).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from aaa.radius import attributes as a

# Sub-attributes of 207, draft-sterman-aaa-sip-00 2.2
_STERMAN = {
    1: "realm",
    2: "nonce",
    3: "method",
    4: "uri",
    5: "qop",
    6: "algorithm",
    7: "body_hash",
    8: "cnonce",
    9: "nonce_count",
    10: "username",
}
_RFC5090 = (
    (a.DIGEST_REALM, "realm"),
    (a.DIGEST_NONCE, "nonce"),
    (a.DIGEST_METHOD, "method"),
    (a.DIGEST_URI, "uri"),
    (a.DIGEST_QOP, "qop"),
    (a.DIGEST_ALGORITHM, "algorithm"),
    (a.DIGEST_ENTITY_BODY_HASH, "body_hash"),
    (a.DIGEST_CNONCE, "cnonce"),
    (a.DIGEST_NONCE_COUNT, "nonce_count"),
    (a.DIGEST_USERNAME, "username"),
)
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Digest(NamedTuple):
    """The parts of a digest, unescaped (RFC 5090 2.2.1); empty where absent."""

    username: bytes = b""
    realm: bytes = b""
    nonce: bytes = b""
    method: bytes = b""
    uri: bytes = b""
    qop: bytes = b""
    algorithm: bytes = b""
    cnonce: bytes = b""
    nonce_count: bytes = b""
    body_hash: bytes = b""
    response: bytes = b""

    @property
    def asks_for_nonce(self) -> bool:
        """Method and URI without a nonce ask for one (RFC 5090 2.1.5)."""
        return bool(self.method and self.uri) and not self.nonce and not self.response


def read(attributes: a.Attributes) -> Digest | None:
    """
    Return the digest of a request, None when it has none or when what it has cannot be read.

    A request with Digest-Response or 206 that reads as None must be refused, never treated as one
    without credentials; `is_present` tells them apart.
    """
    if a.STERMAN_RESPONSE in attributes or a.STERMAN_ATTRIBUTES in attributes:
        return _read_sterman(attributes)
    if a.DIGEST_RESPONSE not in attributes and a.DIGEST_METHOD not in attributes:
        return None
    found = {name: _unescaped(a.first(attributes, code)) for code, name in _RFC5090 if code in attributes}
    return Digest(response=a.first(attributes, a.DIGEST_RESPONSE), **found)


def is_present(attributes: a.Attributes) -> bool:
    """Tell whether a request carries a digest or asks for a nonce, readable or not."""
    return (
        a.DIGEST_RESPONSE in attributes
        or a.STERMAN_RESPONSE in attributes
        or a.STERMAN_ATTRIBUTES in attributes
        or a.DIGEST_METHOD in attributes
    )


def _read_sterman(attributes: a.Attributes) -> Digest | None:
    """All values of 207 are joined, then cut into sub-attributes (DIGEST R-RAD-50)."""
    joined = b"".join(a.every(attributes, a.STERMAN_ATTRIBUTES))
    found: dict[str, bytes] = {}
    at = 0
    while at < len(joined):
        if at + 2 > len(joined):
            return None
        end = at + joined[at + 1]
        if end < at + 2 or end > len(joined):
            return None
        name = _STERMAN.get(joined[at])
        if name:
            found[name] = _unescaped(joined[at + 2 : end])
        at = end
    return Digest(response=a.first(attributes, a.STERMAN_RESPONSE), **found)


def _unescaped(value: bytes) -> bytes:
    """Undo backslash quoting (RFC 5090 2.2.1)."""
    if b"\\" not in value:
        return value
    out = bytearray()
    octets = iter(value)
    for octet in octets:
        out.append(next(octets, octet) if octet == 0x5C else octet)
    return bytes(out)


def problem(digest: Digest) -> str:
    """Name what makes a digest impossible to verify (RFC 5090 2.2.1, 3.1), "" when nothing does."""
    if not (digest.realm and digest.nonce and digest.method and digest.uri and digest.username):
        return "digest_incomplete"
    if len(digest.response) != 32 or not _HEX.issuperset(digest.response):
        return "digest_response"
    if digest.algorithm.lower() not in (b"", b"md5", b"md5-sess"):
        return "digest_algorithm"
    if digest.qop not in (b"", b"auth", b"auth-int"):
        return "digest_qop"
    if digest.qop and not (digest.cnonce and digest.nonce_count):
        return "digest_incomplete"
    if digest.qop == b"auth-int" and not digest.body_hash:
        return "digest_incomplete"
    if digest.algorithm.lower() == b"md5-sess" and not digest.cnonce:
        return "digest_incomplete"
    return ""


def ha1(username: bytes, realm: bytes, password: bytes) -> bytes:
    """
    Return H(A1) of RFC 2617 3.2.2.2 for MD5, as 32 hex digits: what may be stored for a user.

    >>> ha1(b"bob", b"biloxi.com", b"zanzibar")
    b'12af60467a33e8518da5c68bbff12b11'
    """
    return _md5(username + b":" + realm + b":" + password)


def session_ha1(digest: Digest, stored: bytes) -> bytes:
    """Return the H(A1) this digest was made with: the stored one, or MD5-sess's (RFC 2617 3.2.2.2)."""
    if digest.algorithm.lower() == b"md5-sess":
        return _md5(stored + b":" + digest.nonce + b":" + digest.cnonce)
    return stored


def response(digest: Digest, made_with: bytes, method: bytes | None = None) -> bytes:
    """
    Return the response for an H(A1) (RFC 2617 3.2.2.1).

    Args:
        made_with: From `session_ha1`.
        method: Other than the request's; empty for the server's own proof (rspauth, 3.2.3).
    """
    a2 = (digest.method if method is None else method) + b":" + digest.uri
    if digest.qop == b"auth-int":
        a2 += b":" + digest.body_hash
    middle = digest.nonce
    if digest.qop:
        middle += b":" + digest.nonce_count + b":" + digest.cnonce + b":" + digest.qop
    return _md5(made_with + b":" + middle + b":" + _md5(a2))


def _md5(value: bytes) -> bytes:
    return hashlib.md5(value, usedforsecurity=False).hexdigest().encode()
