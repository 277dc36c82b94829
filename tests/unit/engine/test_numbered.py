"""
Clients that number their requests (Diameter): repeats move nothing, whatever they report (S7).
"""

from __future__ import annotations

from aaa.engine.model import (
    Ack,
    Begin,
    ChargeKey,
    Delta,
    Denial,
    End,
    Expire,
    Grant,
    Identity,
    LineDenial,
    LineRequest,
    Outcome,
    Policy,
    Reason,
    State,
    Update,
)
from tests.support.tariffs import flat
from tests.support.world import VOICE, World, micro, told

POLICY = Policy("fixed", tells_validity=True)


def a_world(balance: str = "10.00", **tariff: str) -> World:
    world = World(flat("0.60", **tariff) if tariff else flat("0.60"))
    world.add_account("alice", balance)
    return world


def begin(world: World, digest: str, key: str = "k", retransmitted: bool = False):
    identity = Identity("0", digest, 0, retransmitted)
    line = LineRequest(VOICE, destination="44", received="44")
    return world.run(Begin(key, identity, POLICY, (line,), "peer", protocol="diameter"), "alice")


def test_a_ccr_i_comes_again_by_its_identifier_or_by_its_flag() -> None:
    world = a_world()
    first = begin(world, "a:1")
    assert begin(world, "a:1") == first
    assert begin(world, "a:2", retransmitted=True) == first
    assert world.available("alice") == micro("9.40")


def test_a_ccr_i_with_other_content_replaces_the_session_and_both_are_charged_once() -> None:
    world = a_world()
    begin(world, "a:1")
    world.at(30)
    world.ccr(Update, 1, LineRequest(VOICE, Delta(20)), sid="k")
    old = world.session("k").head.id
    assert begin(world, "b:2") == Denial(Reason.SESSION_REUSED, "", old)
    assert begin(world, "a:3").reason is Reason.SESSION_REUSED
    world.run(Expire("k", "replaced"))
    assert begin(world, "b:2") == Denial(Reason.SESSION_REPLACED, "", old)
    assert told(begin(world, "b:2", key=f"k|~{old}")) == 60
    assert world.balance("alice") == micro("9.80")
    assert world.run(Expire("k", "replaced")).outcome is Outcome.IGNORED


def test_a_closed_session_whose_key_is_used_again_is_only_marked() -> None:
    world = a_world()
    begin(world, "a:1")
    world.ccr(End, 1, LineRequest(VOICE, Delta(10), False), sid="k")
    assert begin(world, "b:2").reason is Reason.SESSION_REUSED
    world.run(Expire("k", "replaced"))
    assert (world.session("k").state, world.balance("alice")) == (State.CLOSED, micro("9.90"))
