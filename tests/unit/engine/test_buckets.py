"""
Bundles and money on one account: spending order, partial use, refund to the origin (S4, S15, S16).
"""

from __future__ import annotations

from aaa.engine.answers import Denial
from aaa.engine.terms import Policy
from rating import Bucket
from tests.support.tariffs import flat
from tests.support.world import World, micro, told


def minutes(number: int, units: int, **more: object) -> Bucket:
    return Bucket(number, 1, "seconds", units, **more)  # type: ignore[arg-type]


def amounts(world: World) -> list[int]:
    return [bucket.amount for bucket in world.accounts["alice"].buckets]


def test_s4_two_calls_share_a_bundle_and_what_is_not_used_goes_back() -> None:
    """
    Bucket 10 min, money 0.10/min, two calls: A granted 5 from the bucket, B 5; A refills 3 min of money; B hangs
    up at 1 min: 4 min back in the bucket; A ends at 8 min: 5 bucket + 0.30.
    """
    world = World(flat("0.10", "60/60"))
    world.add_account("alice", "1.00", buckets=(minutes(1, 600),))
    five = Policy("fixed", quantum_fixed=300)
    assert told(world.access("alice", "a", policy=five)) == 300
    assert told(world.access("alice", "b", policy=five)) == 300
    world.at(300)
    assert told(world.access("alice", "a", 300, policy=Policy("fixed", quantum_fixed=180))) == 180
    world.stop("b", 60)

    assert amounts(world) == [540]
    assert world.accounts["alice"].buckets[0].reserved == 300

    world.at(480)
    world.stop("a", 480)

    assert amounts(world) == [240]
    assert world.balance("alice") == micro("0.70")


def test_s16_the_pulse_grid_restarts_where_the_bundle_ends() -> None:
    """
    90 s bundle (pulse 1), then 0.10 per 60/60, call 200 s: 90 + 110 s = 2 pulses = 0.20.
    """
    world = World(flat("0.10", "60/60"))
    world.add_account("alice", "1.00", buckets=(minutes(1, 90),))
    world.access("alice", "a")
    world.at(200)
    world.stop("a", 200)

    assert amounts(world) == [0]
    assert world.balance("alice") == micro("0.80")


def test_s15_the_connect_fee_is_waived_when_a_bundle_covers_the_start() -> None:
    world = World(flat("0.60", connect_fee="0.50"))
    world.add_account("alice", "0.10", buckets=(minutes(1, 60),))
    assert told(world.access("alice", "a")) == 70
    world.at(65)
    world.stop("a", 65)

    assert world.balance("alice") == micro("0.05")


def test_an_account_without_money_talks_on_its_bundle() -> None:
    world = World()
    world.add_account("alice", "0", buckets=(minutes(1, 45),))

    assert told(world.access("alice", "a")) == 45
    assert isinstance(world.access("alice", "b"), Denial)


def test_an_overrun_that_the_bundle_covers_later_is_not_counted_in_money() -> None:
    """One second more than granted is accrued in money, until the refill takes it from the bundle."""
    world = World(flat("0.60"))
    world.add_account("alice", "1.00", buckets=(minutes(1, 70),))
    world.access("alice", "a", policy=Policy("fixed", quantum_fixed=45))
    world.start("a")
    world.at(46)
    assert told(world.access("alice", "a", 46, policy=Policy("fixed", quantum_fixed=24))) == 24

    account = world.accounts["alice"]
    assert (account.accrued_micro, account.reserved_micro, account.buckets[0].reserved) == (0, 0, 70)

    world.at(70)
    world.stop("a", 70)
    assert world.balance("alice") == micro("1.00")
    assert amounts(world) == [0]


def test_a_bundle_of_other_destinations_is_left_alone() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "0.10", buckets=(minutes(1, 600, scope=("49",)),))

    assert told(world.access("alice", "a")) == 10
    assert world.accounts["alice"].buckets[0].reserved == 0


def test_the_higher_priority_is_spent_first() -> None:
    world = World()
    world.add_account("alice", "0", buckets=(minutes(1, 30), minutes(2, 30, priority=5)))
    world.access("alice", "a")
    world.at(40)
    world.stop("a", 40)

    assert amounts(world) == [20, 0]


def test_an_assumed_bundle_call_is_given_back_by_its_late_stop() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "0.10", buckets=(minutes(1, 60),))
    assert told(world.access("alice", "a", policy=Policy(assume_granted=True))) == 70
    world.start("a")
    world.at(500)
    world.expire("a")

    assert amounts(world) == [0]
    assert world.balance("alice") == 0

    world.stop("a", 20)
    assert amounts(world) == [40]
    assert world.balance("alice") == micro("0.10")


def test_adaptive_calls_share_a_bundle() -> None:
    world = World()
    world.add_account("alice", "0", buckets=(minutes(1, 600),))
    first = told(world.access("alice", "a", policy=Policy("adaptive")))
    second = told(world.access("alice", "b", policy=Policy("adaptive")))

    assert first == 300
    assert 30 <= second <= 150
