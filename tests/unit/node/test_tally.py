"""The figures of a node are those of what was committed, and a refusal can be asked for afterwards."""

from __future__ import annotations

import pytest

from aaa.node.refusals import Refusal, Refusals, newest
from aaa.node.tally import outcomes
from tests.support.control import World, make_config


@pytest.fixture
def world(tmp_path, keys):
    world = World(make_config(tmp_path), keys)
    world.apply()
    yield world
    world.close()
    assert [] == world.errors


def test_a_call_is_counted_from_grant_to_charge(world: World):
    """One grant, one session, its seconds and its money, once."""
    world.begin(seconds=60)
    world.end(seconds=30)
    counters = world.node.tally.counters

    assert {
        ("grants", "voice", "granted"): 1,
        ("started", "voice"): 1,
        ("ended", "normal"): 1,
        ("granted_seconds", "voice"): 60,
        ("used_seconds", "voice"): 30,
        ("charges", "voice", "EUR"): 1,
        ("charged", "voice", "EUR"): 300_000,
    } == dict(counters)


def test_a_denial_is_counted_and_remembered(world: World):
    """Bob has no money: the reason is there, under every way to name the call."""
    world.begin(account="bob")
    refusals = world.node.tally.refusals

    assert {"denied.no_credit": 1} == outcomes(world.node.tally.counters)
    assert (
        ["no_credit"]
        == [each.reason for each in refusals.about("bob")]
        == [each.reason for each in refusals.about("0044-20")]
    )


def test_a_top_up_is_no_grant(world: World):
    """Money moved by hand is not usage."""
    world.api.post("/v1/accounts/alice/topups", json={"amount": "1", "idempotency_key": "k"})

    assert {} == dict(world.node.tally.counters)


def test_transactions_are_timed(world: World):
    """One observation for each batch that was sent to the store."""
    before = sum(world.node.tally.transactions["batch"].counts)
    world.begin()

    assert before + 1 == sum(world.node.tally.transactions["batch"].counts)


def test_the_ring_forgets_the_oldest():
    """Bounded, whatever is refused."""
    refusals = Refusals(kept=2)
    for number in range(3):
        refusals.note(Refusal(number, "radius", "sbc", "alice", "", "", "", f"r{number}"))

    assert ["r2", "r1"] == [each.reason for each in refusals.about("alice")]


def test_rings_are_told_together_in_order():
    """What a face refused before the engine and what the engine denied are one history."""
    face, node = Refusals(), Refusals()
    face.note(Refusal(2, "radius", "sbc", "alice", "", "", "", "wrong_password"))
    node.note(Refusal(1, "radius", "sbc", "alice", "", "", "", "no_credit"))
    node.note(Refusal(3, "radius", "sbc", "alice", "", "", "", "limit_sessions"))

    assert ["limit_sessions", "wrong_password", "no_credit"] == [
        each["reason"] for each in newest((face, node), "alice")
    ]
