"""
When batches are sent to a database server: at once, unless requests come so fast that a moment brings more.
"""

from __future__ import annotations

from collections.abc import Callable

from aaa.node.node import ChargingNode
from aaa.node.pace import BUSY_PER_S, REST_S, WORTH_A_BATCH
from tests.contract.conftest import Bench
from tests.contract.test_store import access

Resting = list[Callable[[], None]]


def busy(bench: Bench) -> tuple[ChargingNode, Resting]:
    """A node that has just answered a burst, and what it wants to be called after its rest."""
    bench.prepare({"alice": "1000.00"})
    node = bench.node()
    resting: Resting = []
    bench.run(node, (access("first"), 1))
    bench.clock.now += 1_000_000
    catch_rest(node, resting)
    burst = 5 * BUSY_PER_S // 1000
    bench.run(node, (access("second"), 1))
    bench.clock.now += 1_000
    bench.run(node, *[(access(f"b{number}"), 1) for number in range(burst)])
    return node, resting


def catch_rest(node: ChargingNode, resting: Resting) -> None:
    """Have what the node wants to be called after a rest put into a list."""

    def later(seconds: float, run: Callable[[], None]) -> None:
        assert REST_S == seconds
        resting.append(run)

    node.pace.later = later


def batches(node: ChargingNode) -> int:
    return node.counters["batches", ""]


def test_after_a_burst_the_next_batch_gathers_for_a_moment(shared: Bench) -> None:
    node, resting = busy(shared)
    before = batches(node)
    answers = shared.send(node, (access("x1"), 1))
    answers += shared.send(node, (access("x2"), 1))
    for _ in range(20):
        shared.reactor.iterate(0.005)
    assert [None, None] == answers and before == batches(node)

    assert 1 == len(resting)
    resting.pop()()
    shared.turn(lambda: batches(node) == before + 1)
    assert 0 == node.waiting


def test_a_full_batch_does_not_wait(shared: Bench) -> None:
    node, resting = busy(shared)
    before = batches(node)
    shared.wait(shared.send(node, *[(access(f"x{number}"), 1) for number in range(WORTH_A_BATCH)]))

    assert before + 1 == batches(node)
    assert resting


def test_what_comes_one_at_a_time_never_waits(shared: Bench) -> None:
    shared.prepare({"alice": "1000.00"})
    node = shared.node()
    resting: Resting = []
    catch_rest(node, resting)
    for number in range(5):
        shared.run(node, (access(f"s{number}"), 1))
        shared.clock.now += 1_000_000 // BUSY_PER_S * 2

    assert [] == resting


def test_nothing_rests_behind_a_batch_that_was_large(shared: Bench) -> None:
    node, resting = busy(shared)
    resting.pop()()
    shared.clock.now += 1_000
    shared.run(node, *[(access(f"l{number}"), 1) for number in range(WORTH_A_BATCH)])

    assert [] == resting
