"""Password hashes of every kind, and the pool that checks the slow ones."""

from __future__ import annotations

import base64
import hashlib
import re

import argon2
import bcrypt
import pytest

from aaa.radius.passwords import QUEUE_MAX, REMEMBERED_US, THREADS, HashPool, is_slow, matches

FAST_ARGON = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def ldap(name: str, algorithm: str, salt: bytes) -> str:
    digest = hashlib.new(algorithm, b"secret" + salt).digest()
    return f"{{{name}}}" + base64.b64encode(digest + salt).decode()


HASHES = [
    FAST_ARGON.hash("secret"),
    bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode(),
    ldap("SHA", "sha1", b""),
    ldap("SSHA", "sha1", b"salt"),
    ldap("SHA256", "sha256", b""),
    ldap("SSHA256", "sha256", b"saltsalt"),
    ldap("SHA512", "sha512", b""),
    ldap("SSHA512", "sha512", b"12345678"),
]


@pytest.mark.parametrize("stored", HASHES, ids=lambda stored: re.match(r"\W*\w+", stored)[0])
def test_the_right_password_and_no_other(stored):
    assert matches(b"secret", stored)
    assert not matches(b"Secret", stored)
    assert not matches(b"", stored)
    assert not matches(b"x" * 200, stored)


@pytest.mark.parametrize(
    "stored", ["", "secret", "{SSHA}", "{SSHA}!!", "{MD5}abc", "$2b$04$short", "$argon2id$x", "{SHA}c2FsdA=="]
)
def test_what_is_no_hash_matches_nothing(stored):
    assert not matches(b"secret", stored)


def test_a_salted_digest_without_salt_matches_nothing():
    assert not matches(b"secret", ldap("SSHA", "sha1", b""))


def test_only_argon2_and_bcrypt_are_slow():
    assert [is_slow(stored) for stored in HASHES] == [True, True] + [False] * 6


class Held(HashPool):
    """A pool whose results wait to be released, as on the reactor's queue."""

    def __init__(self):
        self.calls = []
        super().__init__(lambda work, *rest: self.calls.append((work, rest)))

    def release(self):
        self._threads.shutdown(wait=True)
        for work, rest in self.calls:
            work(*rest)


def test_the_outcome_comes_later_and_a_success_is_remembered():
    pool = Held()
    outcomes = []
    pool.check(b"secret", HASHES[1], 0, outcomes.append)
    assert outcomes == []
    pool.release()
    pool.check(b"secret", HASHES[1], 1, outcomes.append)

    assert outcomes == [True, True]


def test_a_failure_is_not_remembered_nor_a_success_for_ever():
    pool = Held()
    pool.check(b"secret", HASHES[1], 0, lambda outcome: None)
    pool.check(b"wrong", HASHES[1], 0, lambda outcome: None)
    pool.release()

    with pytest.raises(RuntimeError):  # the threads have ended: it had to be checked again
        pool.check(b"wrong", HASHES[1], 1, lambda outcome: None)
    with pytest.raises(RuntimeError):
        pool.check(b"secret", HASHES[1], REMEMBERED_US, lambda outcome: None)


def test_the_queue_is_bounded():
    pool = Held()
    for _ in range(THREADS + QUEUE_MAX):
        assert not pool.is_full
        pool.check(b"wrong", HASHES[1], 0, lambda outcome: None)

    assert pool.is_full
    pool.release()
    assert not pool.is_full
