"""
Accounts that spend from a pool: its money and units, their own profile (S10, S16).
"""

from __future__ import annotations

import pytest

from aaa.engine.answers import Denial, Grant
from aaa.engine.commands import Action, Event, Identity, LineRequest
from aaa.engine.terms import Policy, Reason
from rating.funding import Bucket
from tests.support.world import VOICE, World, micro, told

FIXED = Policy("fixed", quantum_fixed=60)
ADAPTIVE = Policy("adaptive", quantum_min=1, quantum_max=3600)


def family(balance: str = "1.00", **columns: object) -> World:
    """Two members, alice and bob, on one pool; a minute costs 0.10."""
    world = World()
    world.add_account("family", balance, **columns)
    world.add_member("alice", "family")
    world.add_member("bob", "family")
    return world


def reason(answer: object) -> Reason:
    assert isinstance(answer, Denial)
    return answer.reason


def test_members_spend_one_balance() -> None:
    world = family("0.20")
    assert told(world.access("alice", "a", policy=FIXED)) == 60
    assert told(world.access("bob", "b", policy=FIXED)) == 60
    assert Reason.NO_CREDIT is reason(world.access("bob", "c", policy=FIXED))
    world.stop("a", 60)
    world.stop("b", 30)

    assert micro("0.20") - micro("0.10") - micro("0.05") == world.balance("family")
    assert [entry.account_id for entry in world.entries[1:]] == [1, 1]
    assert (0, 0) == (world.balance("alice"), world.balance("bob"))


def test_a_member_is_shown_what_the_pool_has() -> None:
    world = family("1.00")
    answer = world.access("alice", "a", policy=FIXED)

    assert isinstance(answer, Grant)
    assert micro("1.00") == answer.shown_micro


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        ({"max_sessions": 1}, Reason.LIMIT_SESSIONS),
        ({"spend_per_hour_micro": 100_000}, Reason.LIMIT_WINDOW),
        ({"spend_per_day_micro": 100_000}, Reason.LIMIT_WINDOW),
        ({"calls_per_second": 1}, Reason.LIMIT_RATE),
    ],
)
def test_limits_of_a_member_count_its_own_sessions(limits: dict[str, int], refused: Reason) -> None:
    """What others hold of the pool neither uses up its limit nor is stopped by it."""
    world = family("100.00")
    world.add_member("carol", "family", **limits)
    for n in range(3):
        assert told(world.access("alice", f"a{n}", policy=FIXED)) == 60
    assert told(world.access("carol", "c1", policy=FIXED)) == 60
    assert refused is reason(world.access("carol", "c2", policy=FIXED))
    assert told(world.access("bob", "b1", policy=FIXED)) == 60


def test_a_pool_may_bound_the_sessions_and_the_destinations_of_all() -> None:
    world = family("100.00", max_sessions=2, denied_classes=frozenset({"premium"}))
    world.access("alice", "a", policy=FIXED)
    world.access("bob", "b", policy=FIXED)

    assert Reason.LIMIT_SESSIONS is reason(world.access("bob", "c", policy=FIXED))


def test_shares_count_all_who_spend_from_the_pool() -> None:
    """S9: the share of a call is of the pool's money, by the number of calls that use it."""
    world = family("6.00")
    first = told(world.access("alice", "a", policy=ADAPTIVE))
    second = told(world.access("bob", "b", policy=ADAPTIVE))

    assert first == 1800
    assert second == 600  # (6.00 - 3.00) / 3


@pytest.mark.parametrize(("pool", "member"), [("suspended", "active"), ("active", "suspended"), ("closed", "active")])
def test_both_must_be_active(pool: str, member: str) -> None:
    world = World()
    world.add_account("family", "1.00", status=pool)
    world.add_member("alice", "family", status=member)

    assert Reason.ACCOUNT_SUSPENDED is reason(world.access("alice", "a"))


def test_units_of_the_pool_come_first_and_go_back() -> None:
    bucket = Bucket(7, 1, "seconds", 90)
    world = family("1.00", buckets=(bucket,))
    world.access("alice", "a", policy=FIXED)
    assert told(world.access("bob", "b", policy=FIXED)) == 60
    world.stop("a", 10)
    world.stop("b", 60)

    left = world.accounts["family"].buckets[0]
    assert (50, 0) == (left.amount, left.reserved)  # 90 less 10 and 30
    assert micro("0.95") == world.balance("family")


def test_a_debit_and_its_refund_are_the_pools() -> None:
    world = family("1.00")
    line = LineRequest(VOICE, requested=60, destination="44")
    world.run(Event("e1", Identity("1", "d"), Action.DEBIT, (line,), "peer"), "alice")
    assert micro("0.90") == world.balance("family")
    world.run(Event("e1", Identity("2", "r"), Action.REFUND, (line,), "peer", refunds="e1"), "alice")

    assert micro("1.00") == world.balance("family")
    assert 0 == world.balance("alice")


def test_an_expired_call_is_corrected_in_the_pool() -> None:
    world = family("1.00")
    world.access("alice", "a", policy=Policy("fixed", quantum_fixed=60, assume_granted=True))
    world.start("a")
    world.expire("a")
    assert micro("0.90") == world.balance("family")
    world.stop("a", 30)

    assert micro("0.95") == world.balance("family")
