"""
What an account may spend in an hour or a day, and how many calls it may begin in a second.

The world begins at a whole hour; a minute costs 0.10.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from aaa.engine.answers import Answer, Denial, Grant, LineDenial
from aaa.engine.commands import Action, Begin, Event, Identity, LineRequest
from aaa.engine.terms import SECOND_US, ChargeKey, Policy, Reason
from aaa.value import replace
from tests.support.tariffs import flat
from tests.support.world import VOICE, World, told

FIXED = Policy("fixed", quantum_fixed=60)
HOUR_S = 3600


def reason(answer: Answer) -> Reason:
    assert isinstance(answer, Denial)
    return answer.reason


def world_of(**limits: object) -> World:
    world = World(flat("0.10"))
    world.add_account("alice", "100.00", **limits)
    return world


@pytest.mark.parametrize("limit", ["spend_per_hour_micro", "spend_per_day_micro"])
def test_what_running_calls_hold_counts_in_the_window(limit: str) -> None:
    """0.25 is two whole minutes and a half: three calls that ask for a minute each share it."""
    world = world_of(**{limit: 250_000})
    granted = [told(world.access("alice", sid, policy=FIXED)) for sid in ("a", "b", "c")]

    assert [60, 60, 30] == granted
    assert Reason.LIMIT_WINDOW is reason(world.access("alice", "d", policy=FIXED))


def test_what_was_charged_counts_until_the_hour_is_over() -> None:
    world = world_of(spend_per_hour_micro=200_000)
    world.access("alice", "a")
    world.at(120)
    world.stop("a", 120)
    refused = world.access("alice", "b")
    world.at(HOUR_S - 1)
    last = world.access("alice", "c")
    world.at(HOUR_S)

    assert [Reason.LIMIT_WINDOW, Reason.LIMIT_WINDOW] == [reason(refused), reason(last)]
    assert 120 == told(world.access("alice", "d"))


def test_a_day_is_wider_than_its_hours() -> None:
    world = world_of(spend_per_hour_micro=200_000, spend_per_day_micro=300_000)
    for hour, granted in enumerate((120, 60)):
        world.at(hour * HOUR_S)
        assert granted == told(world.access("alice", f"s{hour}"))
        world.at(hour * HOUR_S + granted)
        world.stop(f"s{hour}", granted)
    world.at(3 * HOUR_S)

    assert Reason.LIMIT_WINDOW is reason(world.access("alice", "s3"))


def test_a_call_is_refilled_up_to_the_window_and_ends_there() -> None:
    world = world_of(spend_per_hour_micro=150_000)
    assert 60 == told(world.access("alice", "a", policy=FIXED))
    world.at(55)
    assert 35 == told(world.access("alice", "a", 55, policy=FIXED))
    world.at(90)

    assert Reason.LIMIT_WINDOW is reason(world.access("alice", "a", 90, policy=FIXED))
    world.stop("a", 90)
    assert 99_850_000 == world.balance("alice")


def test_what_a_call_did_not_use_may_be_spent_by_the_next() -> None:
    world = world_of(spend_per_hour_micro=200_000)
    assert 120 == told(world.access("alice", "a"))
    world.at(30)
    world.stop("a", 30)

    assert 90 == told(world.access("alice", "b"))


def test_unlimited_credit_is_still_bound_by_the_window() -> None:
    world = World(flat("0.10"))
    world.add_account("alice", "0", credit_limit=None, spend_per_hour_micro=200_000)

    assert 120 == told(world.access("alice", "a"))


def test_the_credit_is_the_reason_where_it_is_the_narrower() -> None:
    world = World(flat("0.10"))
    world.add_account("alice", "0", spend_per_hour_micro=200_000)

    assert Reason.NO_CREDIT is reason(world.access("alice", "a"))


def test_a_correction_gives_back_only_within_the_window_that_was_charged() -> None:
    """A call is settled at its grant and corrected by its Stop: an hour later that makes no room (S8)."""
    for corrected_s, granted in ((600, 90), (HOUR_S + 1, 120)):
        world = world_of(spend_per_hour_micro=200_000)
        world.access("alice", "a", policy=Policy(assume_granted=True))
        world.start("a")
        world.at(300)
        world.expire("a")
        assert 99_800_000 == world.balance("alice")
        if corrected_s > HOUR_S:  # the hour after has spent nothing, and must not go below that
            world.at(corrected_s)
        world.stop("a", 30)

        assert 99_950_000 == world.balance("alice")
        assert granted == told(world.access("alice", "b"))
        assert all(window.amount >= 0 for window in world.accounts["alice"].windows)


def test_a_clock_that_is_behind_opens_no_new_window() -> None:
    world = world_of(spend_per_hour_micro=100_000)
    world.at(1)
    world.access("alice", "a")
    world.at(62)
    world.stop("a", 60)
    world.at(-1)

    assert Reason.LIMIT_WINDOW is reason(world.access("alice", "b"))


def test_more_calls_in_a_second_than_allowed_are_denied() -> None:
    world = world_of(calls_per_second=2)
    first = [world.access("alice", sid, policy=FIXED) for sid in ("a", "b")]
    third = world.access("alice", "c", policy=FIXED)
    world.at(0.999)
    fourth = world.access("alice", "d", policy=FIXED)
    world.at(1)
    renewed = world.access("alice", "a", 1, policy=FIXED)

    assert [60, 60] == [told(answer) for answer in first]
    assert [Reason.LIMIT_RATE, Reason.LIMIT_RATE] == [reason(third), reason(fourth)]
    assert told(renewed), "a running call asks for more and is no new one"
    assert [60, 60] == [told(world.access("alice", sid, policy=FIXED)) for sid in ("e", "f")]
    assert Reason.LIMIT_RATE is reason(world.access("alice", "g", policy=FIXED))


def test_the_same_request_again_is_no_second_call() -> None:
    world = world_of(calls_per_second=2)
    answers = [world.access("alice", "a", token="t") for _ in range(3)]

    assert 1 == len(set(answers))
    assert (1,) == tuple(window.amount for window in world.accounts["alice"].windows)


def test_emergency_calls_are_not_limited() -> None:
    world = world_of(calls_per_second=1, spend_per_hour_micro=100_000, max_sessions=1)
    world.access("alice", "a")

    assert 14_400 == told(world.access("alice", "b", to="112", emergency=True))


def debit(number: int, seconds: int = 60) -> Event:
    request = LineRequest(VOICE, requested=seconds, destination="44")
    return Event(f"e{number}", Identity("0", "d", 0), Action.DEBIT, (request,), "peer", subscriber="alice")


def test_debits_count_in_both_windows_and_a_refund_gives_back() -> None:
    world = world_of(spend_per_hour_micro=250_000, calls_per_second=3)
    for number in (1, 2):
        world.run(debit(number), "alice")
    assert Reason.LIMIT_WINDOW is reason(world.run(debit(3), "alice"))
    refund = replace(debit(4), action=Action.REFUND, refunds="e1", identity=Identity("1", "r", 1))
    world.run(refund, "alice")
    world.run(debit(5), "alice")

    assert Reason.LIMIT_RATE is reason(world.run(debit(6, 1), "alice"))
    assert 99_800_000 == world.balance("alice")


def test_parallel_lines_of_one_request_share_the_window() -> None:
    """A hotspot that asks for time and volume at once gets a part of the window for each."""
    world = world_of(spend_per_hour_micro=200_000)
    keys = (VOICE, ChargeKey(rating_group=2))
    requests = tuple(LineRequest(key, destination="44") for key in keys)
    answer = world.access("alice", "a", token="x")
    world.stop("a", 0)
    assert 120 == told(answer)
    both = world.run(Begin("b", Identity("b"), Policy(), requests, "nas", subscriber="alice"), "alice")

    assert isinstance(both, Grant)
    assert [60, 60] == [0 if isinstance(line, LineDenial) else line.told for line in both.lines]


@pytest.mark.parametrize("seed", range(6))
def test_no_hour_and_no_day_is_charged_more_than_its_limit(seed: int) -> None:
    """Calls of all lengths, refilled, lost and corrected, within their grants: whatever runs when a window begins."""
    choose = random.Random(seed)
    hour_micro, day_micro = 1_000_000, 4_000_000
    world = world_of(spend_per_hour_micro=hour_micro, spend_per_day_micro=day_micro, calls_per_second=2)
    running: dict[str, tuple[float, int]] = {}  # begun at, granted
    at, refused = 0.0, 0
    for step in range(600):
        at += choose.choice((0.2, 1, 20, 200, 900))
        world.at(at)
        sid = choose.choice(list(running)) if running and choose.random() < 0.6 else ""
        if not sid:
            policy = choose.choice((FIXED, Policy(), Policy("adaptive"), Policy(assume_granted=True)))
            seconds = told(world.access("alice", f"s{step}", policy=policy))
            refused += not seconds
            if seconds:
                running[f"s{step}"] = (at, seconds)
            continue
        begun, granted = running[sid]
        used = min(granted, int(at - begun))
        if choose.random() < 0.4:
            more = told(world.access("alice", sid, used)) if used else 0
            running[sid] = (begun, used + more if more else granted)
        elif choose.random() < 0.3:
            world.start(sid)
            world.expire(sid)
            world.stop(sid, used)
            del running[sid]
        else:
            world.stop(sid, used)
            del running[sid]
    charges = [(entry.at_us, -entry.amount_micro) for entry in world.entries if entry.cause != "opening"]
    for length_us, most in ((HOUR_S * SECOND_US, hour_micro), (24 * HOUR_S * SECOND_US, day_micro)):
        spent: Counter[int] = Counter()
        for at_us, amount in charges:
            spent[at_us // length_us] += amount
        assert most >= max(spent.values())
        assert most * 9 // 10 <= max(spent.values()), "the limit was never reached, so nothing was tested"
    assert refused
