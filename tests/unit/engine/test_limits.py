"""
What an account may do beside what it can pay.
"""

from __future__ import annotations

import pytest

from aaa.engine.answers import Denial, Grant
from aaa.engine.commands import Begin, End, Identity, LineRequest
from aaa.engine.terms import Policy, Reason
from tests.support.world import VOICE, World, told


def reason(answer: object) -> Reason:
    assert isinstance(answer, Denial)
    return answer.reason


def test_a_suspended_account_is_denied() -> None:
    world = World()
    world.add_account("alice", "1.00", status="suspended")

    assert Reason.ACCOUNT_SUSPENDED is reason(world.access("alice", "s1"))


def test_one_session_more_than_allowed_is_denied() -> None:
    world = World()
    world.add_account("alice", "100.00", max_sessions=2)
    policy = Policy("fixed")
    assert told(world.access("alice", "a", policy=policy))
    assert told(world.access("alice", "b", policy=policy))

    assert Reason.LIMIT_SESSIONS is reason(world.access("alice", "c", policy=policy))

    world.stop("a", 0)
    assert told(world.access("alice", "c", policy=policy))


def test_a_call_ends_at_its_cost_cap() -> None:
    world = World()
    world.add_account("alice", "100.00", call_amount_micro=1_000_000)

    assert told(world.access("alice", "s1")) == 600
    assert Reason.LIMIT_CALL is reason(world.access("alice", "s1", 600))


def test_a_call_ends_at_its_time_cap() -> None:
    world = World()
    world.add_account("alice", "100.00", call_seconds=90)

    assert told(world.access("alice", "s1")) == 90


def test_an_unknown_payer_is_denied() -> None:
    world = World()
    request = LineRequest(VOICE, destination="44")

    assert Reason.UNKNOWN_ACCOUNT is reason(world.run(Begin("s1", Identity("b"), Policy(), (request,), "nas")))


def test_an_emergency_call_is_granted_at_price_zero_without_credit() -> None:
    """
    S21: accepted with the session cap, whatever the account's state.
    """
    world = World()
    world.add_account("emergency", "0", status="suspended")
    answer = world.access("emergency", "s1", to="112", emergency=True)

    assert told(answer) == 14_400
    world.at(50)
    world.stop("s1", 50)
    assert world.balance("emergency") == 0


def test_a_killed_session_gets_no_more_and_settles_at_its_stop() -> None:
    world = World()
    world.add_account("alice", "10.00")
    policy = Policy("fixed")
    world.access("alice", "s1", policy=policy)
    world.kill("s1")
    world.at(50)

    assert Reason.NOT_ALLOWED is reason(world.access("alice", "s1", 50, policy=policy))
    world.stop("s1", 60)
    assert world.balance("alice") == 9_900_000
    assert world.session("s1").cause == "killed"


def test_another_client_cannot_speak_for_a_session() -> None:
    world = World()
    world.add_account("alice", "10.00")
    world.access("alice", "s1")
    answer = world.run(End("s1", Identity("e9"), (), "other"))

    assert Reason.FOREIGN_SESSION is reason(answer)
    assert isinstance(world.access("alice", "s1", 5), Grant)


@pytest.mark.parametrize("calls", [20])
def test_parallel_calls_share_the_credit_and_never_exceed_it(calls: int) -> None:
    """
    20 simultaneous requests with credit for 100 s are granted at most 100 s in sum (L1).
    """
    for policy in (Policy(), Policy("fixed", quantum_fixed=10), Policy("adaptive")):
        world = World()
        world.add_account("alice", "0.1666")
        granted = [told(world.access("alice", f"s{n}", policy=policy)) for n in range(calls)]

        assert 0 < sum(granted) <= 100
        for n, seconds in enumerate(granted):
            if seconds:
                world.at(seconds)
                world.stop(f"s{n}", seconds)
        assert world.balance("alice") >= 0
        assert world.accounts["alice"].reserved_micro == 0
