"""
Class and State: what a client is handed to bring back, with a MAC so that it can be believed (S24).

Class ties accounting to a session that an Access-Request could not name; State ties a renewal to the
grant before it (RFC 2865 5.24, 5.25).  Both are printable, because some clients cannot keep octets, and
bound to the client entry, because what one client was handed another must not use.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest

from aaa.keys import Keys
from aaa.value import Value

_MAC_LENGTH = 12


class Ticket(Value, frozen=True):
    """A session, and for State the number of its grant."""

    session_id: int
    grant: int = 0


class Tickets:
    """
    Issues and opens Class and State values.

    Args:
        keys: The server's; what an older key signed is still believed while it is in the file.
    """

    def __init__(self, keys: Keys) -> None:
        self._class = [hashlib.blake2s(key=key, digest_size=_MAC_LENGTH) for key in keys.derived("class")]
        self._state = [hashlib.blake2s(key=key, digest_size=_MAC_LENGTH) for key in keys.derived("state")]

    def class_for(self, nas: str, session_id: int) -> bytes:
        """Return the Class of a session."""
        return _sealed(self._class[0], nas, b"%x" % session_id)

    def state_for(self, nas: str, session_id: int, grant: int) -> bytes:
        """Return the State of a session's grant."""
        return _sealed(self._state[0], nas, b"%x.%x" % (session_id, grant))

    def open_class(self, nas: str, values: list[bytes]) -> Ticket | None:
        """Return the session that one of the Class values names, None when none is ours."""
        for value in values:
            body = _opened(self._class, nas, value)
            if body is not None:
                return Ticket(int(body, 16))
        return None

    def open_state(self, nas: str, value: bytes) -> Ticket | None:
        """Return the session and grant that a State names, None when it is not ours."""
        body = _opened(self._state, nas, value)
        if body is None:
            return None
        session_id, _, grant = body.partition(b".")
        return Ticket(int(session_id, 16), int(grant, 16))


def _sealed(signer: hashlib.blake2s, nas: str, body: bytes) -> bytes:
    return body + b"-" + _mac(signer, nas, body)


def _mac(signer: hashlib.blake2s, nas: str, body: bytes) -> bytes:
    mac = signer.copy()
    mac.update(nas.encode() + b"\0" + body)
    return mac.hexdigest().encode()


def _opened(signers: list[hashlib.blake2s], nas: str, value: bytes) -> bytes | None:
    body, dash, mac = value.partition(b"-")
    if not dash or len(mac) != 2 * _MAC_LENGTH:
        return None
    for signer in signers:
        if compare_digest(mac, _mac(signer, nas, body)):
            return body
    return None
