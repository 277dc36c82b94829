"""
Laws every store keeps: what was answered is there for a node that starts anew, exactly once.
"""

from __future__ import annotations

from aaa.engine.answers import Ack, Denial, Grant, Outcome
from aaa.engine.commands import Adjust, Begin, End, Identity, LineRequest, Total, Update
from aaa.engine.terms import ChargeKey, Policy, Reason
from tests.contract.conftest import Bench
from tests.support.world import told

VOICE = ChargeKey()
FIXED = Policy("fixed", quantum_fixed=20)


def access(sid: str, used: int | None = None, aliases: tuple[str, ...] = (), policy: Policy = FIXED) -> Begin:
    usage = None if used is None else Total(used)
    request = LineRequest(VOICE, usage, True, None, "44", "44")
    identity = Identity("b", sid) if used is None else Identity(f"t{used}")
    return Begin(sid, identity, policy, (request,), "nas", aliases, subscriber="alice")


def stop(sid: str, used: int, aliases: tuple[str, ...] = ()) -> End:
    return End(sid, Identity(f"e{used}"), (LineRequest(VOICE, Total(used), False),), "nas", aliases)


def start(sid: str, aliases: tuple[str, ...] = ()) -> Update:
    return Update(sid, Identity("s"), (), "nas", aliases, is_start=True)


def test_a_call_is_known_to_a_node_that_starts_anew(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    first = bench.node()
    (granted,) = bench.run(first, (access("s1"), 1))
    bench.run(first, (start("s1"), None))
    bench.stores.pop().close()
    second = bench.node()

    assert [granted] == bench.run(second, (access("s1"), 1))
    bench.clock.at(15)
    (more,) = bench.run(second, (access("s1", 15), 1))
    assert 20 == told(more)
    (ended,) = bench.run(second, (stop("s1", 30), None))
    assert isinstance(ended, Ack)
    assert 700_000 == ended.balance_micro
    assert [(-300_000, "charge")] == [
        tuple(r) for r in bench.rows("SELECT amount, cause FROM ledger_entry WHERE entry_no > 1")
    ]
    assert [(700_000, 0, 0, 0, 2)] == [
        tuple(r) for r in bench.rows("SELECT balance, accrued, reserved, live_sessions, entry_no FROM account")
    ]


def test_a_session_is_found_by_its_aliases_and_its_number(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    (granted,) = bench.run(node, (access("s1", aliases=("call-1",)), 1))
    assert isinstance(granted, Grant)
    node.cache.clear()
    (noted,) = bench.run(node, (start("uuid-1", ("call-1",)), None))
    node.cache.clear()
    bench.clock.at(10)
    (ended,) = bench.run(node, (stop("uuid-1", 10), None))

    assert [Outcome.DONE, Outcome.DONE] == [noted.outcome, ended.outcome]  # type: ignore[union-attr]
    node.cache.clear()
    (again,) = bench.run(node, (stop(f"#{granted.session_id}", 10), None))
    assert Outcome.REPEAT is again.outcome  # type: ignore[union-attr]


def test_a_burst_on_one_account_is_one_batch_and_never_too_much(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    answers = bench.run(node, *((access(f"s{n}", policy=Policy("adaptive")), 1) for n in range(20)))

    assert 0 < sum(map(told, answers)) <= 100
    assert [(sum(map(told, answers)) * 10_000,)] == [tuple(r) for r in bench.rows("SELECT reserved FROM account")]
    assert node.counters["batches", ""] <= 2


def test_money_is_moved_once_by_its_key(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    top_up = Adjust(500_000, "topup", "k1")
    first = bench.run(node, (top_up, 1), (top_up, 1))
    node.cache.clear()
    later = bench.run(node, (top_up, 1), (Adjust(600_000, "topup", "k1"), 1))

    assert [Outcome.DONE, Outcome.REPEAT] == [answer.outcome for answer in first]  # type: ignore[union-attr]
    assert Outcome.REPEAT is later[0].outcome  # type: ignore[union-attr]
    assert isinstance(later[1], Denial)
    assert Reason.CONFLICT is later[1].reason
    assert [(1_500_000,)] == [tuple(r) for r in bench.rows("SELECT balance FROM account")]


def test_a_start_that_came_first_is_remembered(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    bench.run(bench.node(), (start("s1"), None))
    bench.stores.pop().close()
    node = bench.node()
    bench.run(node, (access("s1"), 1))

    assert [(1,)] == [tuple(r) for r in bench.rows("SELECT state FROM session")]


def test_a_session_past_its_deadline_is_settled_once(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    bench.run(node, (access("s1"), 1), (start("s1"), None))
    bench.clock.at(15)
    bench.run(node, (Update("s1", Identity("i15"), (LineRequest(VOICE, Total(15), False),), "nas"), None))
    bench.clock.at(1000)
    for _ in range(2):
        node.sweep()
        bench.turn(lambda: [(2,)] == [tuple(r) for r in bench.rows("SELECT state FROM session")])

    assert [(850_000, 0)] == [tuple(r) for r in bench.rows("SELECT balance, reserved FROM account")]
    assert 2 == len(bench.rows("SELECT 1 FROM ledger_entry"))


def test_usage_of_nobody_is_kept(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    (answer,) = bench.run(bench.node(), (stop("nobody", 30), None))

    assert Outcome.UNRATED is answer.outcome  # type: ignore[union-attr]
    assert [(None, 30)] == [tuple(r) for r in bench.rows("SELECT account_id, used FROM cdr")]


def test_text_of_every_kind_survives(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    sid = 'nas|"quoted"\\{brace},NULL|é\u2028|\x01|0'
    bench.run(node, (access(sid, aliases=("it's", "{}")), 1))
    node.cache.clear()
    bench.clock.at(5)
    (ended,) = bench.run(node, (stop("it's", 5), None))

    assert Outcome.DONE is ended.outcome  # type: ignore[union-attr]
    assert [(sid,)] == [tuple(r) for r in bench.rows("SELECT key FROM cdr")]


def test_a_nas_that_restarts_ends_its_sessions_in_a_new_epoch(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    bench.run(node, (access("nas|x|0|s:1"), 1))
    replies: list[bool] = []
    node.restart_nas("nas|x", bench.clock(), replies.append)
    node.flush()
    bench.turn(lambda: bool(replies))
    bench.clock.at(1)
    node.sweep()
    bench.turn(lambda: [(2,)] == [tuple(r) for r in bench.rows("SELECT state FROM session")])

    assert [True] == replies
    assert 1 == node.epoch("nas|x")
    assert 1 == bench.stores[0].epochs()["nas|x"][0]
