"""Nonces of our own, and nonce counts that come again."""

from __future__ import annotations

import pytest

from aaa.keys import Keys
from aaa.radius.nonces import COUNTED_MAX, LIFETIME_S, Freshness, Nonces

KEYS = Keys([bytes(32)])
NOON = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("age_s", "freshness"),
    [(0, Freshness.FRESH), (LIFETIME_S - 6, Freshness.FRESH), (LIFETIME_S + 1, Freshness.STALE)],
)
def test_a_nonce_grows_stale(age_s, freshness):
    nonces = Nonces(KEYS)
    nonce = nonces.issue("n", b"r", NOON)

    assert nonces.freshness(nonce, "n", b"r", NOON + age_s * 1_000_000) is freshness


def test_any_node_with_the_key_knows_it():
    nonce = Nonces(KEYS).issue("n", b"r", NOON)

    assert Nonces(KEYS).freshness(nonce, "n", b"r", NOON) is Freshness.FRESH


@pytest.mark.parametrize(("nas", "realm"), [("m", b"r"), ("n", b"s")])
def test_it_is_bound_to_client_and_realm(nas, realm):
    nonces = Nonces(KEYS)

    assert nonces.freshness(nonces.issue("n", b"r", NOON), nas, realm, NOON) is Freshness.FOREIGN


@pytest.mark.parametrize("nonce", [b"", b"x", b"18bcfe5680000", b"zz.00", b"." + b"0" * 24])
def test_what_is_not_ours_is_foreign(nonce):
    assert Nonces(KEYS).freshness(nonce, "n", b"r", NOON) is Freshness.FOREIGN


@pytest.mark.parametrize(
    ("counts", "taken"),
    [
        ([b"00000001", b"00000001"], [True, False]),
        ([b"00000001", b"00000002", b"00000001"], [True, True, False]),
        ([b"00000002", b"00000001", b"00000001", b"00000002"], [True, True, False, False]),
        ([b"00000001", b"00000003", b"00000002", b"00000003"], [True, True, True, False]),
        ([b"00000064", b"00000001"], [True, False]),
        ([b"00000000"], [False]),
        ([b"zz"], [False]),
        ([b""], [False]),
    ],
)
def test_each_count_is_taken_once(counts, taken):
    nonces = Nonces(KEYS)

    assert [nonces.count(b"n", b"u", count) for count in counts] == taken


def test_counts_of_other_nonces_and_users_are_their_own():
    nonces = Nonces(KEYS)

    assert nonces.count(b"n", b"u", b"1") and nonces.count(b"m", b"u", b"1") and nonces.count(b"n", b"v", b"1")


def test_what_was_counted_is_forgotten_in_its_order_and_one_at_a_time():
    nonces = Nonces(KEYS)
    for number in range(COUNTED_MAX + 1):
        assert nonces.count(b"%d" % number, b"u", b"1")

    assert not nonces.count(b"1", b"u", b"1")
    assert nonces.count(b"0", b"u", b"1")
