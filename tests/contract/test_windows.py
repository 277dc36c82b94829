"""
Spend windows and call rates are sums of the account row: nodes share them, and a restart keeps them.
"""

from __future__ import annotations

import json

from sqlalchemy import update

from aaa.engine.answers import Answer, Denial
from aaa.engine.commands import Adjust
from aaa.engine.terms import Policy, Reason
from aaa.store import tables
from tests.contract.conftest import Bench
from tests.contract.test_store import access, stop
from tests.support.world import told

WHOLE = Policy()


def prepare(bench: Bench, **limits: int) -> None:
    """Alice with 100.00 and limits; a second costs 0.01."""
    bench.prepare({"alice": "100.00", "bob": "1.00"})
    bench.node()
    statement = update(tables.account).where(tables.account.c.name == "alice").values(limits=json.dumps(limits))
    bench.stores[0].provision(lambda connection: connection.execute(statement))
    bench.stores.pop().close()


def reason(answer: Answer) -> Reason:
    assert isinstance(answer, Denial)
    return answer.reason


def windows(bench: Bench) -> list[str]:
    return [row[0] for row in bench.rows("SELECT windows FROM account ORDER BY id")]


def test_a_node_that_starts_anew_knows_what_was_spent(bench: Bench) -> None:
    prepare(bench, spend_per_hour_micro=500_000, spend_per_day_micro=700_000)
    first = bench.node()
    bench.run(first, (access("s1", policy=WHOLE), 1), (access("b1", policy=WHOLE), 2))
    bench.clock.at(30)
    bench.run(first, (stop("s1", 30), 1), (stop("b1", 30), 2))
    bench.stores.pop().close()
    second = bench.node()
    (granted,) = bench.run(second, (access("s2", policy=WHOLE), 1))
    (refused,) = bench.run(second, (access("s3", policy=WHOLE), 1))

    assert 20 == told(granted), "0.50 an hour, of which 0.30 are spent"
    assert Reason.LIMIT_WINDOW is reason(refused)
    assert [["day", 300_000], ["hour", 300_000]] == sorted([kind, n] for kind, _, n in json.loads(windows(bench)[0]))
    assert "[]" == windows(bench)[1], "who has no such limit has no such row"


def test_a_second_takes_so_many_calls_and_no_more_whoever_asks_again(bench: Bench) -> None:
    prepare(bench, calls_per_second=3)
    node = bench.node()
    burst = [(access(f"s{n}"), 1) for n in range(5)]
    answers = bench.run(node, *burst)
    bench.stores.pop().close()
    late = bench.run(bench.node(), (access("s9"), 1), (access("s0"), 1))

    assert 3 == sum(told(answer) > 0 for answer in answers)
    assert [Reason.LIMIT_RATE] * 3 == [reason(answer) for answer in (*answers[3:], late[0])]
    assert answers[0] == late[1], "a call that was let in is the same call when it asks again"


def test_two_nodes_spend_one_window(shared: Bench) -> None:
    """Each node grants on what it has cached; the version check makes the window one."""
    prepare(shared, spend_per_hour_micro=500_000)
    one, two = shared.node(), shared.node()
    first = [shared.send(one, (access(f"a{n}"), 1)) for n in range(6)]
    second = [shared.send(two, (access(f"b{n}"), 1)) for n in range(6)]
    answers = [shared.wait(sent)[0] for sent in first + second]
    granted = [told(answer) for answer in answers]

    assert 50 == sum(granted)
    assert {Reason.LIMIT_WINDOW} == {reason(answer) for answer in answers if isinstance(answer, Denial)}
    assert [(500_000,)] == [tuple(row) for row in shared.rows("SELECT reserved FROM account WHERE id=1")]

    ended = {f"{'ab'[n // 6]}{n % 6}": seconds for n, seconds in enumerate(granted) if seconds}
    shared.clock.at(50)
    for place, (sid, seconds) in enumerate(ended.items()):
        shared.run((one, two)[place % 2], (stop(sid, seconds), 1))
    assert [500_000] == [amount for _, _, amount in json.loads(windows(shared)[0])]
    for node in (one, two):
        assert Reason.LIMIT_WINDOW is reason(shared.run(node, (access(f"late{id(node)}"), 1))[0])


def test_two_nodes_count_one_rate(shared: Bench) -> None:
    prepare(shared, calls_per_second=4)
    nodes = (shared.node(), shared.node())
    sent = [shared.send(nodes[n % 2], (access(f"s{n}"), 1)) for n in range(10)]
    answers = [shared.wait(each)[0] for each in sent]

    assert 4 == sum(told(answer) > 0 for answer in answers)
    assert {Reason.LIMIT_RATE} == {reason(answer) for answer in answers if isinstance(answer, Denial)}


def test_other_rare_changes_in_the_batch_leave_the_windows_alone(bench: Bench) -> None:
    """A top-up goes through the statement that also writes windows."""
    prepare(bench, spend_per_hour_micro=500_000)
    node = bench.node()
    bench.run(node, (access("s1", policy=WHOLE), 1))
    bench.clock.at(10)
    bench.run(node, (stop("s1", 10), 1))
    before = windows(bench)
    bench.run(node, (Adjust(1_000_000, "topup", "k"), 1), (access("b1", aliases=("other",)), 2))

    assert before == windows(bench)
    assert 100_000 == json.loads(before[0])[0][2]
