"""
Several nodes on one database: races are lost and decided again, and no sum is ever wrong (S10).
"""

from __future__ import annotations

import random

from sqlalchemy import Connection, insert

from aaa.engine.answers import Denial, Grant, Outcome
from aaa.engine.commands import Adjust
from aaa.engine.terms import Policy, Reason
from aaa.node.node import ChargingNode
from aaa.store import tables
from tests.contract.conftest import Bench
from tests.contract.test_store import access, stop
from tests.support.tariffs import document, flat
from tests.support.world import told


def sums(bench: Bench) -> tuple[int, ...]:
    """Balance, reserved, live sessions; and the sums they claim to be."""
    (row,) = bench.rows(
        "SELECT balance, reserved, live_sessions, "
        "(SELECT sum(amount) FROM ledger_entry), "
        "(SELECT coalesce(sum(reserved), 0) FROM session WHERE state < 2), "
        "(SELECT count(*) FROM session WHERE state < 2) FROM account WHERE id=1"
    )
    return tuple(int(value) for value in row)


def test_a_stale_node_is_corrected_before_it_answers(shared: Bench) -> None:
    """
    A denial on a stale cache is confirmed first: after a top-up elsewhere it becomes a grant.
    """
    shared.prepare({"alice": "0.10"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("s1", policy=Policy()), 1))
    (denied,) = shared.run(one, (access("s2"), 1))
    shared.run(two, (Adjust(1_000_000, "topup", "k1"), 1))
    (granted,) = shared.run(one, (access("s3"), 1))

    assert isinstance(denied, Denial)
    assert 20 == told(granted)


def test_a_session_priced_by_a_tariff_this_node_has_not_heard_of_goes_on(shared: Bench) -> None:
    """Another node activated a version and began a session with it; this one started before that."""
    shared.prepare({"alice": "1.00"})
    two = shared.node()
    newer = {"tariff": "t", "document": document(flat("1.20")).to_json(), "digest": "2", "created_at": 0}

    def activate(connection: Connection) -> None:
        number = connection.execute(insert(tables.tariff_version).values(newer)).inserted_primary_key[0]
        row = {"tariff": "t", "active_from": 1, "version_id": number, "created_at": 0}
        connection.execute(insert(tables.tariff_activation).values(row))

    shared.stores[0].provision(activate)
    one = shared.node()
    shared.run(one, (access("s1", policy=Policy(quantum="fixed", quantum_fixed=10)), 1))
    shared.run(two, (stop("s1", 10), 1))

    assert sums(shared)[0] == 800_000


def test_two_nodes_never_grant_the_same_money(shared: Bench) -> None:
    shared.prepare({"alice": "1.00"})
    one, two = shared.node(), shared.node()
    first = [shared.send(one, (access(f"a{n}"), 1)) for n in range(10)]
    second = [shared.send(two, (access(f"b{n}"), 1)) for n in range(10)]
    granted = sum(told(shared.wait(answers)[0]) for answers in first + second)
    balance, reserved, live, entries, held, sessions = sums(shared)

    assert 0 < granted <= 100
    assert granted * 10_000 == reserved == held
    assert (balance, live) == (entries, sessions)


def test_one_request_on_two_nodes_has_one_answer(shared: Bench) -> None:
    """
    A client that asks the next server while the first still works gets the same grant.
    """
    shared.prepare({"alice": "1.00"})
    one, two = shared.node(), shared.node()
    answers = [shared.send(node, (access("s1"), 1)) for node in (one, two)]
    got = [shared.wait(each)[0] for each in answers]

    assert isinstance(got[0], Grant)
    assert got[0] == got[1]
    assert 1 == sums(shared)[2]


def test_one_movement_on_two_nodes_is_posted_once(shared: Bench) -> None:
    shared.prepare({"alice": "1.00"})
    nodes = [shared.node() for _ in range(3)]
    answers = [shared.send(node, (Adjust(1_000_000, "topup", "k1"), 1)) for node in nodes]
    outcomes = sorted(shared.wait(each)[0].outcome for each in answers)  # type: ignore[union-attr]

    assert [Outcome.DONE, Outcome.REPEAT, Outcome.REPEAT] == outcomes
    assert 2_000_000 == sums(shared)[0]


def test_a_hot_account_stays_exact_and_every_request_is_answered(shared: Bench) -> None:
    """
    Three nodes hit one account with calls; who loses twice is decided under the lock.
    """
    shared.prepare({"alice": "1000.00"})
    nodes = [shared.node() for _ in range(3)]
    rng = random.Random(5)
    pending = []
    for n in range(150):
        pending.append((n, shared.send(rng.choice(nodes), (access(f"s{n}"), 1))))
        shared.reactor.iterate(0)
    assert all(isinstance(shared.wait(each)[0], Grant) for _, each in pending)
    shared.clock.at(20)
    stops = [shared.send(rng.choice(nodes), (stop(f"s{n}", 20), None)) for n, _ in pending]
    assert {Outcome.DONE} == {shared.wait(each)[0].outcome for each in stops}  # type: ignore[union-attr]

    balance, reserved, live, entries, held, sessions = sums(shared)
    assert 1_000_000_000 - 150 * 200_000 == balance == entries
    assert 0 == reserved == live == held == sessions
    assert 0 < sum(node.counters["conflicts", ""] for node in nodes)
    assert not [error for error in shared.errors if not isinstance(error, Denial)]


def test_a_database_that_is_gone_refuses_and_comes_back(shared: Bench, postgres: object) -> None:
    """
    Connections that the server ends are made again; what was under way is decided again or refused.
    """
    shared.prepare({"alice": "10.00"})
    node = shared.node()
    shared.run(node, (access("s1"), 1))
    shared.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='aaad'")
    during = shared.send(node, (access("s2"), 1))

    def is_back() -> bool:
        node.flush()
        node.sweep()
        return None not in during

    shared.turn(is_back)
    for _ in range(100):
        shared.reactor.iterate(0.02)
        (after,) = shared.run(node, (access("s3"), 1))
        if isinstance(after, Grant):
            break

    assert isinstance(after, Grant)
    if isinstance(during[0], Denial):
        assert Reason.STORE_DOWN is during[0].reason
    balance, reserved, live, entries, held, sessions = sums(shared)
    assert (reserved, live, balance) == (held, sessions, entries)


def restarted(bench: Bench, node: ChargingNode, identity: str, state_id: int) -> None:
    """A client says which state it is in; what that means is settled."""
    told: list[bool] = []
    node.restart_peer(identity, state_id, lambda: told.append(True))
    bench.turn(lambda: bool(told))


def test_a_client_that_lost_its_state_loses_its_older_sessions_whichever_node_hears_first(shared: Bench) -> None:
    """
    Sessions begun since the restart are spared when the second node hears of it.
    """
    shared.prepare({"alice": "1.00"})
    one, two = shared.node(), shared.node()
    fixed = Policy(quantum="fixed", quantum_fixed=10)
    restarted(shared, one, "d|pgw", 100)
    shared.run(one, (access("d|pgw|old", policy=fixed), 1), (access("d|other|old", policy=fixed), 1))
    restarted(shared, one, "d|pgw", 101)
    shared.run(one, (access("d|pgw|new", policy=fixed), 1))
    restarted(shared, two, "d|pgw", 101)
    shared.run(two, (access("d|pgw|newer", policy=fixed), 1))
    due = "SELECT key FROM session WHERE deadline <= " + str(shared.clock())

    assert shared.rows(due) == [("d|pgw|old",)]


def test_a_restart_that_another_node_was_told_of_is_taken_up_whatever_its_number(shared: Bench) -> None:
    """
    A NAS counts its restarts from 1, a Diameter client says the second it started: what is cached of it is read anew.
    """
    shared.prepare({"alice": "1.00"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("client|s1"), 1))
    shared.run(one, (access("other|s2"), 1))
    restarted(shared, two, "client", 1_800_000_000)
    shared.turn(lambda: "client" in two.store.epochs())
    one.epochs.learn(two.store.epochs())

    assert 1_800_000_000 == one.epoch("client")
    assert not one.knows(("client|s1",))
