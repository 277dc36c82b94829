"""
A store, a row or a decision that raises costs the requests it touches, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aaa.engine.answers import Answer, Denial, Grant, Outcome
from aaa.engine.commands import Begin, Identity, Kill
from aaa.engine.terms import Reason
from aaa.node.desk import Request
from aaa.node.node import ChargingNode
from aaa.store.port import Failed
from aaa.value import replace
from tests.contract.conftest import Bench
from tests.contract.test_nodes import sums
from tests.contract.test_store import FIXED, access, start, stop


class Broken(Exception):
    """What nobody expects."""


def break_once(monkeypatch: pytest.MonkeyPatch, target: Any, name: str) -> None:
    """The next call of a method raises, those after it do what they always did."""
    before = getattr(target, name)

    def call(*arguments: Any) -> Any:
        monkeypatch.setattr(target, name, before)
        raise Broken(name)

    monkeypatch.setattr(target, name, call)


class OnceBroken(Counter[tuple[str, ...]]):
    """Counters of which the first count raises: methods of compiled classes cannot be replaced."""

    is_broken = True

    def __setitem__(self, key: tuple[str, ...], count: int) -> None:
        if self.is_broken:
            self.is_broken = False
            raise Broken("counters")
        super().__setitem__(key, count)


def raising(sid: str) -> Begin:
    """A request that no decision can be made on."""
    return replace(access(sid), identity=Identity("\udcff"))  # which no answer can be kept for


def reasons(answers: list[Answer]) -> list[Reason | None]:
    return [answer.reason if isinstance(answer, Denial) else None for answer in answers]


def kinds(bench: Bench) -> list[str]:
    return [type(error).__name__ for error in bench.errors]


@pytest.mark.parametrize("operation", ["load", "commit"])
def test_a_store_that_raises_refuses_what_it_was_asked_and_serves_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    break_once(monkeypatch, node.store, operation)
    refused = bench.run(node, (access("s1"), 1), (access("s2"), 1))
    (granted,) = bench.run(node, (access("s3"), 1))

    assert [Reason.STORE_DOWN] * 2 == reasons(refused)
    assert isinstance(granted, Grant)
    assert kinds(bench)[0] == "Broken"
    assert 1 == len(bench.rows("SELECT 1 FROM session"))
    balance, reserved, live, entries, held, sessions = sums(bench)
    assert (balance, reserved, live) == (entries, held, sessions)


def test_a_text_no_database_can_hold_is_refused_and_harms_nobody(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    (refused,) = bench.run(node, (access("s\ud800"), 1))
    (granted,) = bench.run(node, (access("s1"), 1))

    assert [Reason.STORE_DOWN] == reasons([refused])
    assert isinstance(granted, Grant)


def change(bench: Bench, sql: str) -> None:
    """Break rows behind the back of every node."""
    bench.stores[0].provision(lambda connection: connection.exec_driver_sql(sql))


BROKEN_SESSIONS = {
    "head cut": "UPDATE session SET head = '[]' WHERE key = 's1'",
    "head is no JSON": "UPDATE session SET head = '{' WHERE key = 's1'",
    "body is no JSON": "UPDATE session SET body = 'x' WHERE key = 's1'",
    "no such tariff": """UPDATE session SET body = replace(body, '"44",1,', '"44",77,') WHERE key = 's1'""",
}


@pytest.mark.parametrize("sql", BROKEN_SESSIONS.values(), ids=BROKEN_SESSIONS)
def test_a_session_that_cannot_be_read_costs_those_who_name_it_alone(bench: Bench, sql: str) -> None:
    """
    All of them are loaded at once: by key, by number, others of its account, others of another one.
    """
    bench.prepare({"alice": "1.00", "bob": "1.00"})
    node = bench.node()
    bench.run(node, (access("s1"), 1), (access("s2"), 1), (access("s3"), 2))
    number = bench.rows("SELECT id FROM session WHERE key = 's1'")[0][0]
    node.cache.clear()
    before = bench.rows("SELECT body, head FROM session WHERE key = 's1'")
    change(bench, sql)
    assert before != bench.rows("SELECT body, head FROM session WHERE key = 's1'")
    answers = bench.run(
        node, (stop("s1", 1), 1), (stop("s2", 1), 1), (stop("s3", 1), 2), (Kill(f"#{number}"), None), (access("s4"), 1)
    )

    assert [Reason.STORE_DOWN, None, None, Reason.STORE_DOWN, None] == reasons(answers)
    assert [Outcome.DONE] * 2 == [answer.outcome for answer in answers[1:3]]  # type: ignore[union-attr]
    assert {"RowUnreadable"} == set(kinds(bench))
    assert f"session #{number} " in str(bench.errors[0])
    assert (2, True) == (node.counters["unreadable", ""], node.is_store_up)


BROKEN_ACCOUNTS = {
    "limits": "UPDATE account SET limits = '{' WHERE id = 1",
    "windows": "UPDATE account SET windows = '[1]' WHERE id = 1",
    "bucket": "INSERT INTO bucket (id, account_id, name, unit, initial, amount, reserved, priority, scope, service, "
    "pulse, created_at) VALUES (1, 1, 'b', 'seconds', 60, 60, 0, 0, 'x', 'voice', '1/1', 0)",
}


@pytest.mark.parametrize("sql", BROKEN_ACCOUNTS.values(), ids=BROKEN_ACCOUNTS)
def test_an_account_that_cannot_be_read_costs_its_own_requests_alone(bench: Bench, sql: str) -> None:
    bench.prepare({"alice": "1.00", "bob": "1.00"})
    node = bench.node()
    bench.run(node, (access("s1"), 1))
    node.cache.clear()
    change(bench, sql)
    answers = bench.run(node, (access("s2"), 1), (access("s3"), 2), (stop("s1", 1), None))

    assert [Reason.STORE_DOWN, None, Reason.STORE_DOWN] == reasons(answers)
    assert {"RowUnreadable"} == set(kinds(bench))
    assert 2 == node.counters["unreadable", ""]


def test_a_text_that_is_none_costs_its_session_alone(tmp_path: Path) -> None:
    """
    Only SQLite holds such a text.
    """
    bench = Bench(f"sqlite:///{tmp_path}/aaa.db")
    try:
        bench.prepare({"alice": "1.00"})
        node = bench.node()
        bench.run(node, (access("s1"), 1), (access("s2"), 1))
        node.cache.clear()
        change(bench, "UPDATE session SET body = CAST(x'ff' AS TEXT) WHERE key = 's1'")
        answers = bench.run(node, (stop("s1", 1), 1), (stop("s2", 1), 1))
    finally:
        bench.close()

    assert [Reason.STORE_DOWN, None] == reasons(answers)
    assert ["RowUnreadable"] == kinds(bench)


def test_a_row_that_cannot_be_read_under_lock_costs_its_own_requests_alone(shared: Bench) -> None:
    shared.prepare({"alice": "1.00"})
    node = shared.node()
    shared.run(node, (access("s1"), 1), (access("s2"), 1))
    node.cache.clear()
    change(shared, BROKEN_SESSIONS["body is no JSON"])
    node.lane.begin(1, [])
    requests = [
        Request(command, 1, lambda _answer: None, shared.clock(), 0) for command in (stop("s1", 1), stop("s2", 1))
    ]
    node.lane.begin(1, requests)
    shared.turn(lambda: all(request.is_answered for request in requests))

    assert [Reason.STORE_DOWN, None] == reasons([request.answer for request in requests])
    assert ["RowUnreadable"] == kinds(shared)


def test_a_decision_that_raises_is_refused_and_its_neighbours_are_decided(bench: Bench) -> None:
    """
    The three are staged on one account: the one in the middle raises, the first is decided again.
    """
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    bench.run(node, (access("s0"), 1))
    answers = bench.run(node, (access("s1"), 1), (raising("s2"), 1), (access("s3"), 1), (stop("s0", 5), 1))

    assert [None, Reason.STORE_DOWN, None, None] == reasons(answers)
    assert 1 == len(bench.errors)
    balance, reserved, live, entries, held, sessions = sums(bench)
    assert (balance, reserved, live) == (entries, held, sessions)
    assert 2 == live


def test_what_is_durable_but_cannot_be_counted_leaves_nobody_waiting(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    node.tally.counters = OnceBroken()
    first = bench.run(node, (access("s1"), 1))
    second = bench.run(node, (access("s2"), 1))

    assert [Reason.STORE_DOWN, None] == reasons(first + second)
    assert ["Broken"] == kinds(bench)


def test_a_restart_that_was_not_written_is_told_so_and_begins_when_repeated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    replies: list[bool] = []
    for expected in (1, 2):
        if expected == 1:
            break_once(monkeypatch, node.store, "commit")
        node.restart_nas("nas|x", bench.clock(), replies.append)
        node.flush()
        bench.turn(lambda told=expected: told == len(replies))

    assert [False, True] == replies
    assert 1 == bench.stores[0].epochs()["nas|x"][0]


@pytest.mark.parametrize("operation", ["load_locked", "commit_locked"])
def test_a_broken_lock_lane_refuses_and_holds_no_lock(
    shared: Bench, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    shared.prepare({"alice": "1.00"})
    one, two = shared.node(), shared.node()
    shared.run(one, (access("s0"), 1))
    break_once(monkeypatch, one.store, operation)
    one.lane.begin(1, [])
    answers = in_lane(shared, one, "s1") + in_lane(shared, one, "s2") + shared.run(two, (access("s3"), 1))

    assert [Reason.STORE_DOWN, None, None] == reasons(answers)
    assert "Broken" in kinds(shared)


def test_a_decision_that_raises_under_lock_costs_its_request_alone(shared: Bench) -> None:
    shared.prepare({"alice": "1.00"})
    node = shared.node()
    node.lane.begin(1, [])
    answers = shared.run(node, (raising("s1"), 1), (access("s2"), 1))

    assert [Reason.STORE_DOWN, None] == reasons(answers)
    assert (1,) == tuple(shared.rows("SELECT live_sessions FROM account")[0])


def in_lane(bench: Bench, node: ChargingNode, sid: str) -> list[Answer]:
    """A request that finds its account under lock."""
    node.cache.clear()
    assert node.lane.holds(1)
    return bench.run(node, (access(sid, policy=FIXED), 1))


def test_a_callback_that_raises_does_not_end_the_connection(shared: Bench) -> None:
    """
    What a caller makes of an answer says nothing about the connection: queries behind it are answered.
    """
    shared.prepare({"alice": "1.00"})
    node = shared.node()
    answers: list[Any] = []

    def raising(rows: Any) -> None:
        answers.append(rows)
        raise Broken("callback")

    node.store.live_sessions(raising)
    node.store.live_sessions(answers.append)
    shared.turn(lambda: len(answers) == 2)
    (granted,) = shared.run(node, (access("s1"), 1))
    (noted,) = shared.run(node, (start("s1"), None))

    assert [0, 0] == answers
    assert ["Broken"] == kinds(shared)
    assert isinstance(granted, Grant)
    assert Outcome.DONE is noted.outcome  # type: ignore[union-attr]
    assert not any(isinstance(answer, Failed) for answer in answers)
