"""
A store, a row or a decision that raises costs the requests it touches, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aaa.engine.answers import Answer, Denial, Grant, Outcome
from aaa.engine.commands import Begin
from aaa.engine.terms import Reason
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
    return replace(access(sid), policy=None)  # type: ignore[arg-type]


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


def test_a_row_that_cannot_be_read_costs_its_session_alone(bench: Bench) -> None:
    bench.prepare({"alice": "1.00"})
    node = bench.node()
    bench.run(node, (access("s1"), 1), (access("s2"), 1))
    node.cache.clear()
    bench.stores[0].provision(lambda c: c.exec_driver_sql("UPDATE session SET head = '[]' WHERE key = 's1'"))
    (refused,) = bench.run(node, (stop("s1", 1), 1))
    (ended,) = bench.run(node, (stop("s2", 1), 1))
    (again,) = bench.run(node, (stop("s1", 1), 1))

    assert [Reason.STORE_DOWN, None, Reason.STORE_DOWN] == reasons([refused, ended, again])
    assert Outcome.DONE is ended.outcome  # type: ignore[union-attr]
    assert bench.errors


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
