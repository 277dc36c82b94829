"""
Requests that were made before, and calls that only look like another.
"""

from __future__ import annotations

from aaa.engine.answers import Ack, Denial, Outcome
from aaa.engine.commands import Begin, Expire, Identity, LineRequest
from aaa.engine.identity import is_other_call, known, remembered
from aaa.engine.terms import Policy, Reason
from aaa.value import replace
from tests.support.world import World


def numbered(world: World, *orders: int) -> object:
    """A session that has seen these request numbers."""
    world.add_account("alice", "1.00")
    world.access("alice", "nas|x|0|s:uuid-1", policy=Policy("fixed"))
    session = world.session("nas|x|0|s:uuid-1")
    for order in orders:
        session = remembered(
            session, Identity(str(order), "d", order), Ack(Outcome.DONE, session.head.id, cost_micro=order)
        )
    return session


def test_a_reused_call_id_does_not_join_another_channel() -> None:
    world = World()
    world.add_account("alice", "1.00")
    world.access("alice", "nas|x|0|s:uuid-1", aliases=("nas|x|0|m:call",))
    session = world.session("nas|x|0|s:uuid-1")

    assert is_other_call(session, ("nas|x|0|s:uuid-2", "nas|x|0|m:call"))
    assert not is_other_call(session, ("nas|x|0|s:uuid-1", "nas|x|0|m:call"))
    assert not is_other_call(session, ("nas|x|0|m:call",))


def test_a_call_that_began_under_its_call_id_takes_its_channel_later() -> None:
    world = World()
    world.add_account("alice", "1.00")
    world.access("alice", "nas|x|0|m:call")

    assert not is_other_call(world.session("nas|x|0|m:call"), ("nas|x|0|s:uuid-2", "nas|x|0|m:call"))


def test_the_last_four_answers_are_kept() -> None:
    session = numbered(World(), 0, 1, 2, 3, 4)

    assert known(session, Identity("4", "d", 4), 0).answer.cost_micro == 4  # type: ignore[union-attr,arg-type]
    assert known(session, Identity("1", "d", 1), 0).answer.cost_micro == 1  # type: ignore[union-attr,arg-type]
    assert known(session, Identity("0", "d", 0), 0).answer.outcome is Outcome.REPEAT  # type: ignore[union-attr,arg-type]


def test_a_number_with_other_content_is_a_conflict() -> None:
    session = numbered(World(), 0, 1)

    assert known(session, Identity("1", "other", 1), 0).answer is None  # type: ignore[union-attr,arg-type]


def test_a_number_that_was_overtaken_is_new() -> None:
    session = numbered(World(), 0, 3)

    assert known(session, Identity("2", "d", 2), 0) is None  # type: ignore[arg-type]
    assert known(session, Identity("5", "d", 5), 0) is None  # type: ignore[arg-type]


def test_a_number_older_than_the_window_moves_nothing() -> None:
    session = numbered(World(), 0, 100)

    assert known(session, Identity("20", "d", 20), 0).answer.outcome is Outcome.REPEAT  # type: ignore[union-attr,arg-type]


def test_an_ended_call_gives_its_grant_again_only_to_the_very_same_request() -> None:
    """What the old answer granted is no longer held: a client that asks anew must not go on with it (L1)."""
    world = World()
    world.add_account("alice", "1.00")
    key = "nas|x|0|s:uuid-1"
    asked = Begin(key, Identity("b", "one"), Policy("fixed"), (LineRequest(destination="4420"),), "nas")
    grant = world.run(asked, "alice")
    world.run(Expire(key), None)

    assert world.run(asked, "alice") == grant
    again = world.run(replace(asked, identity=Identity("b", "two")), "alice")
    assert isinstance(again, Denial) and again.reason is Reason.SESSION_CLOSED
