"""
A Begin on a cached account supposes that its session is new, and the batch looks: whoever has it stored, wins.

In all of these the account is cached with its current version, so that nothing but its name tells the session.
"""

from __future__ import annotations

from typing import Any

from aaa.engine.answers import Denial, Grant
from aaa.engine.terms import Policy, Reason
from aaa.node.node import ChargingNode
from tests.contract.conftest import Bench
from tests.contract.test_store import access, start, stop
from tests.support.world import told


def counting_loads(node: ChargingNode) -> list[Any]:
    """Count what a node reads from now on."""
    loads: list[Any] = []
    load = node.store.load

    def counted(wanted: Any, *rest: Any) -> None:
        loads.append(wanted)
        load(wanted, *rest)

    node.store.load = counted  # type: ignore[method-assign]
    return loads


def sessions(bench: Bench) -> list[tuple[Any, ...]]:
    """Key, account and state of every session; and that the accounts hold what their sessions do."""
    for number, reserved, held, live, count in bench.rows(
        "SELECT id, reserved, "
        "(SELECT coalesce(sum(reserved), 0) FROM session s WHERE s.account_id=a.id AND s.state<2), "
        "live_sessions, (SELECT count(*) FROM session s WHERE s.account_id=a.id AND s.state<2) FROM account a"
    ):
        assert (reserved, live) == (held, count), number
    return [tuple(row) for row in bench.rows("SELECT key, account_id, state FROM session ORDER BY key")]


def test_a_begin_of_a_cached_account_reads_nothing(shared: Bench) -> None:
    shared.prepare({"alice": "10.00"})
    node = shared.node()
    shared.run(node, (access("s1"), 1))
    loads = counting_loads(node)
    answers = shared.run(node, (access("s2"), 1), (access("s3"), 1))

    assert [20, 20] == [told(answer) for answer in answers]
    assert [] == loads
    assert 3 == len(sessions(shared))


def test_a_session_of_another_node_is_not_begun_twice(shared: Bench) -> None:
    """A client that got no answer asks the next server, which knows the account and not the session."""
    shared.prepare({"alice": "10.00"})
    one, two = shared.node(), shared.node()
    (first,) = shared.run(one, (access("s1"), 1))
    shared.run(two, (access("s2"), 1))
    (again, other) = shared.run(two, (access("s1"), 1), (access("s3"), 1))

    assert isinstance(first, Grant)
    assert first == again
    assert 20 == told(other)
    assert [("s1", 1, 0), ("s2", 1, 0), ("s3", 1, 0)] == sessions(shared)


def test_a_refusal_for_lack_of_money_is_none_for_a_session_that_holds_it(shared: Bench) -> None:
    shared.prepare({"alice": "0.20"})
    one, two = shared.node(), shared.node()
    (first,) = shared.run(one, (access("s1", policy=Policy()), 1))
    (poor,) = shared.run(two, (access("s2"), 1))
    (again,) = shared.run(two, (access("s1", policy=Policy()), 1))

    assert isinstance(poor, Denial)
    assert first == again


def test_a_session_is_found_by_an_alias_that_another_node_stored(shared: Bench) -> None:
    shared.prepare({"alice": "10.00"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("s1", aliases=("call-1",)), 1))
    shared.run(two, (access("s2"), 1))
    (again,) = shared.run(two, (access("call-1"), 1))
    shared.clock.at(10)
    (ended,) = shared.run(two, (stop("call-1", 10), None))

    assert isinstance(again, Grant)
    assert not isinstance(ended, Denial)
    assert [("s1", 1, 3), ("s2", 1, 0)] == sessions(shared)


def test_a_start_that_another_node_heard_first_opens_the_session(shared: Bench) -> None:
    shared.prepare({"alice": "10.00"})
    one, two = shared.node(), shared.node()
    shared.run(two, (access("s1"), 1))
    shared.run(one, (start("s2"), None))
    shared.run(two, (access("s2"), 1))

    assert [("s1", 1, 0), ("s2", 1, 1)] == sessions(shared)


def test_a_session_that_pays_by_another_account_is_foreign(shared: Bench) -> None:
    shared.prepare({"alice": "10.00", "bob": "10.00"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("s1"), 1))
    shared.run(two, (access("s2"), 2))
    (foreign,) = shared.run(two, (access("s1"), 2))

    assert isinstance(foreign, Denial)
    assert Reason.FOREIGN_SESSION is foreign.reason
    assert [("s1", 1, 0), ("s2", 2, 0)] == sessions(shared)


def test_of_two_nodes_that_begin_one_session_for_different_accounts_one_does(shared: Bench) -> None:
    """Neither sees the other's row before it writes; the unique key makes one of them decide again."""
    shared.prepare({"alice": "100.00", "bob": "100.00"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("warm-1"), 1))
    shared.run(two, (access("warm-2"), 2))
    for n in range(20):
        pending = [shared.send(one, (access(f"s{n}"), 1)), shared.send(two, (access(f"s{n}"), 2))]
        answers = [shared.wait(each)[0] for each in pending]
        refused = [answer.reason for answer in answers if isinstance(answer, Denial)]

        assert [Reason.FOREIGN_SESSION] == refused
    assert 22 == len(sessions(shared))


def test_an_account_that_other_nodes_move_is_read_first_until_they_leave_it_alone(shared: Bench) -> None:
    shared.prepare({"alice": "100.00"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("a1"), 1))
    shared.run(two, (access("b1"), 1))
    shared.run(one, (access("a2"), 1))  # loses: the other node has moved it
    loads = counting_loads(one)
    begun = []
    for n in range(3, 12):
        shared.run(one, (access(f"a{n}"), 1))
        begun.append(len(loads))

    assert [1, 2, 3, 4, 4] == begun[:5]
    assert 4 == begun[-1]
