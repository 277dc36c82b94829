"""
Whatever is asked: sums are conserved between members and pool, and a pool of one is like no pool.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.engine.answers import Answer
from aaa.engine.commands import Action, Adjust, Delta, Event, Identity, LineRequest
from aaa.engine.terms import Policy
from rating.funding import Bucket
from tests.support.world import VOICE, World

POLICIES = (
    Policy(),
    Policy("fixed", quantum_fixed=45),
    Policy("adaptive", quantum_min=5),
    Policy("fixed", quantum_fixed=30, assume_granted=True),
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "max_sessions": st.integers(1, 3),
        "call_amount_micro": st.integers(50_000, 2_000_000),
        "call_seconds": st.integers(20, 400),
        "spend_per_hour_micro": st.integers(50_000, 1_000_000),
        "spend_per_day_micro": st.integers(50_000, 2_000_000),
        "calls_per_second": st.integers(1, 2),
    },
)
STEP = st.tuples(
    st.sampled_from(
        ("access", "renew", "start", "interim", "stop", "expire", "kill", "debit", "refund", "wait", "move")
    ),
    st.integers(0, 2),  # who
    st.integers(0, 3),  # which of its sessions
    st.integers(0, 120),  # units
    st.integers(0, len(POLICIES) - 1),
)
STEPS = st.lists(STEP, max_size=25)
HOLDINGS = st.fixed_dictionaries(
    {"balance": st.sampled_from(("0", "0.07", "0.40", "3.00")), "credit_limit": st.sampled_from(("0", "0.50", None))},
    optional={"buckets": st.sampled_from(((Bucket(9, 1, "seconds", 70),), (Bucket(9, 1, "seconds", 300),)))},
)


def play(world: World, steps: list[Any], who: list[str], payer: str) -> list[Answer]:
    """Do what is asked; `payer` holds the money."""
    answers = []
    for n, (what, place, which, units, policy) in enumerate(steps):
        name = who[place % len(who)]
        sid = f"{name}{which}"
        line = LineRequest(VOICE, Delta(units), requested=units, destination="44")
        if what == "access":
            answers.append(world.access(name, sid, policy=POLICIES[policy], token=f"{n}"))
        elif what == "renew":
            answers.append(world.access(name, sid, used=units, policy=POLICIES[policy]))
        elif what == "start":
            answers.append(world.start(sid))
        elif what == "interim":
            answers.append(world.interim(sid, units, wants=policy % 2 == 0))
        elif what == "stop":
            answers.append(world.stop(sid, units))
        elif what == "expire":
            answers.append(world.expire(sid))
        elif what == "kill":
            answers.append(world.kill(sid))
        elif what == "debit":
            answers.append(world.run(Event(f"e{sid}", Identity("1", f"{units}"), Action.DEBIT, (line,), "peer"), name))
        elif what == "refund":
            asked = Event(f"e{sid}", Identity("2", "r"), Action.REFUND, (line,), "peer", refunds=f"e{sid}")
            answers.append(world.run(asked, name))
        elif what == "move":
            answers.append(world.run(Adjust((units - 40) * 10_000, "adjust", f"k{n}"), payer))
        else:
            world.now += units * 60_000_000
    return answers


@settings(max_examples=300, deadline=None)
@given(STEPS, LIMITS, HOLDINGS)
def test_a_member_alone_in_a_pool_is_like_an_account_without_one(
    steps: list[Any], limits: dict[str, Any], holdings: dict[str, Any]
) -> None:
    plain = World()
    plain.add_account("alice", **holdings, **limits)
    pooled = World()
    pooled.add_account("family", **holdings)
    pooled.add_member("alice", "family", **limits)
    # The first account of both worlds holds the money, and the sessions have the same numbers.
    own, shared = play(plain, steps, ["alice"], "alice"), play(pooled, steps, ["alice"], "family")

    assert own == shared
    before, pool, member = plain.accounts["alice"], pooled.accounts["family"], pooled.accounts["alice"]
    assert (before.balance_micro, before.entry_no) == (pool.balance_micro, pool.entry_no)
    assert before.reserved_micro == pool.reserved_micro == member.reserved_micro
    assert before.accrued_micro == pool.accrued_micro == member.accrued_micro
    assert before.live_sessions == pool.live_sessions == member.live_sessions
    assert before.windows == member.windows
    assert before.buckets == pool.buckets


@settings(max_examples=300, deadline=None)
@given(STEPS, st.lists(LIMITS, min_size=3, max_size=3), HOLDINGS)
def test_sums_are_conserved_between_members_and_pool(
    steps: list[Any], limits: list[dict[str, Any]], holdings: dict[str, Any]
) -> None:
    """The world checks after every command that each sum is that of its entries and sessions."""
    world = World()
    world.add_account("family", **holdings)
    names = ["alice", "bob", "family"]
    for name, limit in zip(names[:2], limits, strict=False):
        world.add_member(name, "family", **limit)
    play(world, steps, names, "family")

    pool = world.accounts["family"]
    members = [world.accounts[name] for name in names[:2]]
    assert all((member.balance_micro, member.entry_no, member.buckets) == (0, 0, ()) for member in members)
    assert {entry.account_id for entry in world.entries} == {pool.profile.id}
