"""
Password hashes: which there are, which are slow, and how one is checked (S24).

argon2 and bcrypt are made to be slow and go to a small pool of threads with a bounded queue; the LDAP
style digests ({SSHA} and its kin) are checked at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hmac import compare_digest

import argon2
import bcrypt

from aaa.bounded import forget_oldest

THREADS = 2
QUEUE_MAX = 64
REMEMBERED_US = 600 * 1_000_000
REMEMBERED_MAX = 65_536
_LDAP = {
    "SHA": "sha1",
    "SSHA": "sha1",
    "SHA256": "sha256",
    "SSHA256": "sha256",
    "SHA512": "sha512",
    "SSHA512": "sha512",
}


@cache
def nobody(kind: str) -> str:
    """
    Return a hash that no password matches, "" for a kind that is not slow.

    An unknown user's password is checked against it, so that the answer takes as long as for a known one.
    """
    if kind == "argon2":
        return argon2.PasswordHasher().hash(os.urandom(16).hex())
    if kind == "bcrypt":
        return bcrypt.hashpw(os.urandom(16).hex().encode(), bcrypt.gensalt()).decode()
    return ""


def kind_of(stored: str) -> str:
    """
    Return the kind of a stored hash: argon2, bcrypt, one of {SSHA} and its kin by name, "" for none known.

    >>> kind_of("$2b$10$abc"), kind_of("{SSHA}abc"), kind_of("secret")
    ('bcrypt', 'SSHA', '')
    """
    if stored.startswith("$argon2"):
        return "argon2"
    if stored.startswith(("$2a$", "$2b$", "$2y$")):
        return "bcrypt"
    name = stored[1:].partition("}")[0] if stored.startswith("{") else ""
    return name if name in _LDAP else ""


def is_slow(stored: str) -> bool:
    """Tell whether checking this hash belongs on a thread."""
    return stored.startswith("$")


def matches(password: bytes, stored: str) -> bool:
    """Check a password against a stored hash; False also for a hash that cannot be read."""
    kind = kind_of(stored)
    if kind == "argon2":
        try:
            return argon2.PasswordHasher().verify(stored, password)
        except argon2.exceptions.Argon2Error:
            return False
        except argon2.exceptions.InvalidHashError:
            return False
    if kind == "bcrypt":
        try:
            return bcrypt.checkpw(password, stored.encode())
        except ValueError:  # more than 72 octets, or no bcrypt hash after all
            return False
    return bool(kind) and _matches_ldap(password, kind, stored)


def _matches_ldap(password: bytes, kind: str, stored: str) -> bool:
    try:
        raw = base64.b64decode(stored.partition("}")[2], validate=True)
    except binascii.Error:
        return False
    digest = hashlib.new(_LDAP[kind], usedforsecurity=False)
    salt = raw[digest.digest_size :]
    if bool(salt) != kind.startswith("SS"):
        return False
    digest.update(password + salt)
    return compare_digest(digest.digest(), raw[: digest.digest_size])


class HashPool:
    """
    Checks slow hashes on threads, few and with a bounded queue, and remembers who was right.

    Args:
        call_from_thread: Runs a function on the reactor thread.
    """

    def __init__(self, call_from_thread: Callable[..., object]) -> None:
        self._call_from_thread = call_from_thread
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._key = os.urandom(32)
        self._right: dict[bytes, int] = {}
        self._running = 0

    @property
    def is_full(self) -> bool:
        return self._running >= THREADS + QUEUE_MAX

    def check(self, password: bytes, stored: str, now_us: int, done: Callable[[bool], None]) -> None:
        """
        Call `done` with the outcome, at once when this password was right in the last 10 minutes.

        Only when not `is_full`.
        """
        proof = hashlib.blake2b(stored.encode() + b"\0" + password, key=self._key, digest_size=16).digest()
        if self._right.get(proof, 0) > now_us:
            done(True)
            return
        self._running += 1

        def finished(is_right: bool) -> None:
            self._running -= 1
            if is_right:
                if len(self._right) >= REMEMBERED_MAX:
                    forget_oldest(self._right)
                self._right[proof] = now_us + REMEMBERED_US
            done(is_right)

        def work() -> None:
            self._call_from_thread(finished, matches(password, stored))

        self._threads.submit(work)

    def stop(self) -> None:
        """Take no more; what is queued is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
