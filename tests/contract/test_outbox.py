"""
Events are written exactly if what they tell was written, on every store (one row for each consumer).
"""

from __future__ import annotations

import json

from aaa.engine.commands import Adjust
from aaa.engine.terms import Policy
from aaa.node.node import ChargingNode
from aaa.store.happenings import BODIES, KINDS
from aaa.store.outbox import Consumer
from tests.contract.conftest import Bench
from tests.contract.test_store import access, start, stop

ALL = Consumer("all", frozenset(KINDS), low_micro=900_000, exhausted_micro=0)
MONEY = Consumer("money", frozenset({"session.settled"}))


def telling(bench: Bench, *consumers: Consumer) -> ChargingNode:
    """A node that writes events for these."""
    node = bench.node()
    node.store.consumers = consumers
    node.desk.keeps_before = bool(consumers)
    return node


def written(bench: Bench) -> list[tuple[str, str, dict]]:
    rows = bench.rows("SELECT consumer, kind, body FROM outbox ORDER BY id")
    return [(consumer, kind, json.loads(body)) for consumer, kind, body in rows]


def test_a_call_is_told_from_its_start_to_its_settlement(bench: Bench) -> None:
    """
    100 s at 0.01: it starts, what is left falls below 0.90 and to nothing, it is settled.
    """
    bench.prepare({"alice": "1.00"})
    node = telling(bench, ALL, MONEY)
    bench.run(node, (access("s1", policy=Policy()), 1))
    bench.run(node, (start("s1"), None))
    bench.clock.at(100)
    bench.run(node, (stop("s1", 100), None))
    told = written(bench)

    assert [
        ("all", "session.started"),
        ("all", "session.settled"),
        ("money", "session.settled"),
        ("all", "balance.low"),
        ("all", "balance.exhausted"),
    ] == sorted([(consumer, kind) for consumer, kind, _ in told], key=lambda each: KINDS.index(each[1]))
    settled = next(body for _, kind, body in told if kind == "session.settled")
    assert ("alice", 100, 1_000_000, "EUR") == tuple(
        settled[key] for key in ("account", "used", "amount_micro", "currency")
    )
    assert all(body.keys() == BODIES[kind].__required_keys__ for _, kind, body in told)
    assert {"alice"} == {body["account"] for _, _, body in told}
    assert len({(consumer, body["id"]) for consumer, _, body in told}) == len(told)


def test_a_repeat_tells_nothing_and_a_top_up_tells_the_new_balance(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = telling(bench, ALL)
    for _ in range(2):
        bench.run(node, (Adjust(2_000_000, "topup", "k1"), 1))

    ((_, kind, body),) = written(bench)
    assert ("account.changed", "topup", 2_000_000, 3_000_000, "k1") == (
        kind,
        *(body[key] for key in ("cause", "amount_micro", "balance_micro", "ref")),
    )


def test_without_a_consumer_nothing_is_written(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = telling(bench)
    bench.run(node, (access("s1"), 1))
    bench.run(node, (Adjust(2_000_000, "topup", "k1"), 1))

    assert [] == written(bench)


def test_a_race_that_was_lost_tells_its_end_once(shared: Bench) -> None:
    """
    Two nodes top up one account at the same time under six keys: one event each, with the balances in the ledger.
    """
    shared.prepare({"alice": "1.00"})
    nodes = [telling(shared, ALL) for _ in range(2)]
    answers = [shared.send(node, (Adjust(1_000_000, "topup", f"k{n}"), 1)) for n in range(6) for node in [nodes[n % 2]]]
    for each in answers:
        shared.wait(each)
    balances = [body["balance_micro"] for _, _, body in written(shared)]

    assert sorted(balances) == [n * 1_000_000 for n in range(2, 8)]
    assert sorted(balances) == sorted(
        int(row[0]) for row in shared.rows("SELECT balance_after FROM ledger_entry WHERE cause='topup'")
    )
