"""
Nonces of our own for SIP digest, and nonce counts that were used (RFC 5090 2.2, 8.1; RFC 2617 3.2.1).

A nonce carries its time and a MAC, so that any node recognizes it and none has to remember it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from enum import Enum
from hmac import compare_digest

from aaa.keys import Keys

LIFETIME_S = 300
COUNTED_MAX = 20_000
_WINDOW = 64


class Freshness(Enum):
    """What a nonce is."""

    FRESH = "fresh"
    STALE = "stale"
    FOREIGN = "foreign"


class Nonces:
    """Issues nonces, recognizes them, and sees nonce counts that come again."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.derived("nonce")
        # Highest count, and the window below it: exactly so many, each can be used again once it is forgotten.
        self._counted: OrderedDict[tuple[bytes, bytes], tuple[int, int]] = OrderedDict()

    def issue(self, nas: str, realm: bytes, now_us: int) -> bytes:
        """Return a nonce for one client and realm."""
        stamp = b"%x" % (now_us // 1000)
        return stamp + b"." + _mac(self._keys[0], nas, realm, stamp)

    def freshness(self, nonce: bytes, nas: str, realm: bytes, now_us: int) -> Freshness:
        """Tell what a nonce is: fresh, ours but old, or not ours."""
        stamp, _, mac = nonce.partition(b".")
        for key in self._keys:
            if compare_digest(mac, _mac(key, nas, realm, stamp)):
                age_us = now_us - int(stamp, 16) * 1000
                return Freshness.FRESH if 0 <= age_us + 5_000_000 <= LIFETIME_S * 1_000_000 else Freshness.STALE
        return Freshness.FOREIGN

    def count(self, nonce: bytes, username: bytes, nonce_count: bytes) -> bool:
        """
        Take note of a nonce count; False when it is no count or was used before.

        Counts may overtake each other on the way; each is taken once, within a window of 64.
        """
        try:
            number = int(nonce_count, 16)
        except ValueError:
            return False
        key = (nonce, username)
        highest, window = self._counted.pop(key, (0, 0))
        behind = highest - number
        is_new = number > 0 and (behind < 0 or (0 < behind <= _WINDOW and not window >> (behind - 1) & 1))
        if is_new and behind < 0:
            window = ((window << -behind) | (1 << (-behind - 1) if highest else 0)) & ((1 << _WINDOW) - 1)
            highest = number
        elif is_new:
            window |= 1 << (behind - 1)
        if len(self._counted) >= COUNTED_MAX:
            self._counted.popitem(last=False)
        self._counted[key] = (highest, window)
        return is_new


def _mac(key: bytes, nas: str, realm: bytes, stamp: bytes) -> bytes:
    text = nas.encode() + b"\0" + realm + b"\0" + stamp
    return hashlib.blake2s(text, key=key, digest_size=12).hexdigest().encode()
