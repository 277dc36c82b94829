"""
Accounts that spend from a pool, on every store: its money is never spent twice, by whichever node (S10, S16).
"""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from aaa.engine.answers import Ack, Answer, Denial, Grant, Outcome
from aaa.engine.commands import Adjust, Kill
from aaa.engine.terms import Policy, Reason
from aaa.node.node import ChargingNode
from aaa.store import tables
from aaa.store.happenings import KINDS
from aaa.store.open import open_store
from aaa.store.outbox import Consumer
from aaa.store.read import open_reader, snapshot
from aaa.store.verify import Mismatch, verify_range
from tests.contract.conftest import Bench
from tests.contract.test_broken_store import raising
from tests.contract.test_store import access, start, stop
from tests.support.postgres import Postgres
from tests.support.world import told

ALICE, BOB, FAMILY, CAROL = 1, 2, 3, 4


def prepared(bench: Bench, purse: str) -> None:
    """Alice and Bob spend from the family's purse, Carol from her own."""
    bench.prepare({"alice": "0", "bob": "0", "family": purse, "carol": "1.00"})
    account = tables.account

    def join(connection: Connection) -> None:
        connection.execute(update(account).where(account.c.id.in_((ALICE, BOB))).values(pool_id=FAMILY))

    store = open_store(bench.url, bench.reactor, bench.errors.append)
    store.provision(join)
    store.close()


def mismatches(bench: Bench, is_sound: bool = True) -> list[Mismatch]:
    engine = open_reader(bench.url)
    with snapshot(engine) as connection:
        found = verify_range(connection, 0, 100)
    engine.dispose()
    for sums in found.sums.values() if is_sound else ():
        assert sums.reserved_micro == sums.sessions_reserved_micro
        assert sums.entries_micro == sums.balances_micro
    return found.mismatches


def row(bench: Bench, number: int) -> tuple[int, ...]:
    """Balance, reserved, live sessions, entries of an account."""
    (found,) = bench.rows(f"SELECT balance, reserved, live_sessions, entry_no FROM account WHERE id={number}")
    return tuple(int(value) for value in found)


def reason(answer: Answer) -> Reason:
    assert isinstance(answer, Denial), answer
    return answer.reason


def test_members_hold_and_the_pool_pays(bench: Bench) -> None:
    prepared(bench, "0.40")
    node = bench.node()
    first, second, third = bench.run(node, (access("a"), ALICE), (access("b"), BOB), (access("c"), BOB))
    assert (20, 20, Reason.NO_CREDIT) == (told(first), told(second), reason(third))
    assert [(0, 200_000, 1, 1), (0, 200_000, 1, 1), (400_000, 400_000, 2, 1)] == [row(bench, n) for n in (1, 2, 3)]
    assert [] == mismatches(bench)

    (ended,) = bench.run(node, (stop("a", 15), None))
    assert isinstance(ended, Ack)
    assert 250_000 == ended.balance_micro
    bench.run(node, (stop("b", 20), None))
    assert [(0, 0, 0, 1), (0, 0, 0, 1), (50_000, 0, 0, 3)] == [row(bench, n) for n in (1, 2, 3)]
    assert [(ALICE, FAMILY, "EUR"), (BOB, FAMILY, "EUR")] == [
        tuple(each) for each in bench.rows("SELECT account_id, pool_id, currency FROM cdr ORDER BY account_id")
    ]
    assert [] == mismatches(bench)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE account SET reserved=reserved+1 WHERE id=1", [("alice", "reserved"), ("family", "reserved")]),
        ("UPDATE account SET accrued=accrued+1 WHERE id=3", [("family", "accrued")]),
        ("UPDATE account SET live_sessions=0 WHERE id=2", [("bob", "live_sessions"), ("family", "live_sessions")]),
        ("UPDATE cdr SET amount=amount+1", [("alice", "cdr_entries")]),
        ("UPDATE cdr SET pool_id=NULL", [("alice", "cdr_entries")]),
        ("DELETE FROM ledger_entry WHERE cause='charge'", [("alice", "cdr_entries"), ("family", "balance")]),
    ],
)
def test_what_is_damaged_is_found(bench: Bench, damage: str, found: list[tuple[str, str]]) -> None:
    prepared(bench, "1.00")
    node = bench.node()
    bench.run(node, (access("a"), ALICE), (access("b"), BOB))
    bench.run(node, (stop("a", 10), None), (access("c"), ALICE))
    assert [] == mismatches(bench)
    bench.stores[0].provision(lambda connection: connection.exec_driver_sql(damage))

    assert set(found) <= {(each.account, each.check) for each in mismatches(bench, is_sound=False)}


def test_a_node_that_starts_anew_knows_what_members_were_told(bench: Bench) -> None:
    prepared(bench, "1.00")
    first = bench.node()
    (granted,) = bench.run(first, (access("a"), ALICE))
    bench.run(first, (start("a"), None))
    bench.stores.pop().close()
    second = bench.node()

    assert [granted] == bench.run(second, (access("a"), ALICE))
    bench.clock.at(15)
    assert [20] == [told(each) for each in bench.run(second, (access("a", 15), ALICE))]
    bench.run(second, (stop("a", 30), None))
    (repeated,) = bench.run(second, (stop("a", 30), None))
    assert isinstance(repeated, Ack)
    assert Outcome.REPEAT is repeated.outcome
    assert (700_000, 0, 0, 2) == row(bench, FAMILY)
    assert [] == mismatches(bench)


def test_what_nobody_ends_is_settled_in_the_pool(bench: Bench) -> None:
    prepared(bench, "1.00")
    node = bench.node()
    bench.run(node, (access("a", policy=Policy("fixed", quantum_fixed=20, assume_granted=True)), ALICE))
    bench.run(node, (start("a"), None))
    bench.clock.at(3_000)
    node.sweep()
    bench.turn(lambda: row(bench, ALICE)[2] == 0)
    assert (800_000, 0, 0, 2) == row(bench, FAMILY)

    bench.run(node, (stop("a", 5), None))
    assert (950_000, 0, 0, 3) == row(bench, FAMILY)
    assert [] == mismatches(bench)


def test_money_cannot_be_moved_on_a_member(bench: Bench) -> None:
    """It would lie where nobody spends it."""
    prepared(bench, "1.00")
    (refused,) = bench.run(bench.node(), (Adjust(1_000_000, "topup", "k1"), ALICE))

    assert Reason.INVALID is reason(refused)
    assert (0, 0, 0, 1) == row(bench, ALICE)


def test_a_pool_that_gets_money_serves_its_members_at_once(bench: Bench) -> None:
    prepared(bench, "0.00")
    node = bench.node()
    assert [Reason.NO_CREDIT] == [reason(each) for each in bench.run(node, (access("a"), ALICE))]
    bench.run(node, (Adjust(1_000_000, "topup", "k1"), FAMILY))

    assert [20] == [told(each) for each in bench.run(node, (access("b"), ALICE))]


def test_members_sessions_are_known_to_the_node_that_served_them(bench: Bench) -> None:
    """By them a top-up of the pool and an order to end a call find the switch."""
    prepared(bench, "1.00")
    node = bench.node()
    bench.run(node, (access("a"), ALICE), (access("b"), BOB))

    assert node.knows(("a",))
    assert {ALICE, BOB} == set(node.cache.members(FAMILY))
    (killed,) = bench.run(node, (Kill("a"), None))
    assert isinstance(killed, Ack)
    session = node.cache.find((f"#{killed.session_id}",))
    assert session is not None
    assert "killed" == session.cause


def test_events_name_the_member_that_calls_and_the_pool_that_pays(bench: Bench) -> None:
    prepared(bench, "1.00")
    node = bench.node()
    node.store.consumers = (Consumer("all", frozenset(KINDS), low_micro=900_000),)
    node.desk.keeps_before = True
    bench.run(node, (access("a", policy=Policy()), ALICE))
    bench.run(node, (start("a"), None))
    bench.clock.at(100)
    bench.run(node, (stop("a", 100), None))
    events = sorted((kind, json.loads(body)["account"]) for kind, body in bench.rows("SELECT kind, body FROM outbox"))

    assert [
        ("balance.exhausted", "family"),
        ("balance.low", "family"),
        ("session.settled", "alice"),
        ("session.started", "alice"),
    ] == events


def test_a_decision_that_raises_takes_nothing_of_its_pool_along(tmp_path: Path) -> None:
    """What others staged on the pool is decided again on what is stored (one process, where they share a batch)."""
    bench = Bench(f"sqlite:///{tmp_path}/aaa.db")
    prepared(bench, "0.40")
    node = bench.node()
    for n in (ALICE, BOB):  # from here on both are cached
        bench.run(node, (access(f"w{n}"), n))
        bench.run(node, (stop(f"w{n}", 0), None))
    answers = bench.run(node, (access("a"), ALICE), (raising("bad"), BOB), (access("b"), BOB), (access("c"), ALICE))

    bad = answers.pop(1)
    assert Reason.STORE_DOWN is reason(bad)
    assert [0, 20, 20] == sorted(told(each) for each in answers)
    assert (400_000, 400_000, 2, 1) == row(bench, FAMILY)
    assert [] == mismatches(bench)
    bench.close()


def test_two_nodes_never_spend_the_pools_money_twice(shared: Bench) -> None:
    prepared(shared, "1.00")
    one, two = shared.node(), shared.node()
    first = [shared.send(one, (access(f"a{n}"), ALICE)) for n in range(10)]
    second = [shared.send(two, (access(f"b{n}"), BOB)) for n in range(10)]
    granted = sum(told(shared.wait(answers)[0]) for answers in first + second)

    assert 100 == granted
    assert (1_000_000, 1_000_000) == row(shared, FAMILY)[:2]
    assert [] == mismatches(shared)


def test_a_busy_pool_stays_exact_while_it_is_topped_up(shared: Bench) -> None:
    """Members on three nodes, others and top-ups between them; nobody waits in a circle or for ever."""
    prepared(shared, "1000.00")
    nodes = [shared.node() for _ in range(3)]
    rng = random.Random(5)
    pending = []
    for n in range(120):
        pending.append(shared.send(rng.choice(nodes), (access(f"s{n}"), rng.choice((ALICE, BOB, FAMILY)))))
        if n % 10 == 0:
            pending.append(shared.send(rng.choice(nodes), (Adjust(1_000_000, "topup", f"k{n}"), FAMILY)))
            pending.append(
                shared.send(rng.choice(nodes), (access(f"c{n}", policy=Policy("fixed", quantum_fixed=1)), CAROL))
            )
        shared.reactor.iterate(0)
    assert all(isinstance(shared.wait(each)[0], Grant | Ack) for each in pending)
    assert [] == mismatches(shared)
    shared.clock.at(20)
    stops = [shared.send(rng.choice(nodes), (stop(f"s{n}", 20), None)) for n in range(120)]
    assert {Outcome.DONE} == {shared.wait(each)[0].outcome for each in stops}  # type: ignore[union-attr]

    assert (1_000_000_000 + 12_000_000 - 120 * 200_000, 0, 0) == row(shared, FAMILY)[:3]
    assert [] == mismatches(shared)
    assert not [error for error in shared.errors if not isinstance(error, Denial)]


def test_a_member_that_left_meanwhile_is_decided_on_by_itself(shared: Bench) -> None:
    """What a node remembers of pools is where to look, not what to decide on."""
    prepared(shared, "1.00")
    node = shared.node()
    shared.run(node, (access("a"), ALICE))
    shared.run(node, (stop("a", 10), None))
    account = tables.account

    def leave(connection: Connection) -> None:
        values = {"pool_id": None, "version": account.c.version + 1}
        connection.execute(update(account).where(account.c.id == ALICE).values(values))

    shared.stores[0].provision(leave)

    assert [Reason.NO_CREDIT] == [reason(each) for each in shared.run(node, (access("b"), ALICE))]
    assert (900_000, 0, 0) == row(shared, FAMILY)[:3]


def test_nobody_waits_for_a_pool_while_the_database_is_away(shared: Bench) -> None:
    prepared(shared, "1.00")
    node: ChargingNode = shared.node()
    shared.run(node, (access("a"), ALICE))
    shared.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='aaad'")
    during = [shared.send(node, (access(f"b{n}", policy=Policy("fixed", quantum_fixed=1)), BOB)) for n in range(5)]

    def is_back() -> bool:
        node.flush()
        node.sweep()
        return all(None not in each for each in during)

    shared.turn(is_back)
    assert not node.waiting
    assert [] == mismatches(shared)


def test_members_are_refused_in_time_by_a_database_that_hangs(shared: Bench, postgres: Postgres) -> None:
    prepared(shared, "1.00")
    node = shared.node()
    shared.run(node, (access("a"), ALICE))
    postgres.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        refused = shared.run(node, (access("b"), ALICE), (access("c"), BOB))
        took_s = time.monotonic() - begun
    finally:
        postgres.signal(signal.SIGCONT)

    assert [Reason.STORE_DOWN] * 2 == [reason(each) for each in refused]
    assert took_s < 2.5
    answers = [shared.run(node, (access("d"), ALICE))[0]]
    shared.turn(lambda: isinstance(answers[-1], Grant) or answers.append(shared.run(node, (access("d"), ALICE))[0]))
    assert [] == mismatches(shared)
