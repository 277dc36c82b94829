"""
Calls while the store is down: granted within caps, noted in a local file first, charged once when it is back.

A second costs 0.01.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa.engine.answers import Ack, Answer, Denial, Grant, Outcome
from aaa.engine.commands import Adjust, Begin
from aaa.engine.terms import Policy, Reason
from aaa.errors import ConfigError
from aaa.node.journal import Journal, Record
from aaa.node.node import ChargingNode
from aaa.node.outage import Outage
from aaa.node.tariffs import TariffBook
from aaa.store.port import Failed
from aaa.store.sqlite import SqliteStore
from aaa.value import replace
from rating import parse_money
from tests.contract.test_store import access, start, stop
from tests.support.stores import Clock, prepared
from tests.support.world import told

POLICY = Policy("adaptive", outage_call_s=60)


class Fragile(SqliteStore):
    """A real store that can be taken away."""

    is_down = False
    commits_left = 1 << 30

    def load(self, wanted: Any, tariffs: Any, done: Callable[[Any], None]) -> None:
        if self.is_down:
            done(Failed("down"))
        else:
            super().load(wanted, tariffs, done)

    def commit(self, batch: Any, now: int, done: Callable[[Any], None]) -> None:
        self.commits_left -= 1
        if self.is_down or self.commits_left < 0:
            done(Failed("down"))
        else:
            super().commit(batch, now, done)


class Bench:
    """One node with a journal; `restart` is a crash and a new process."""

    def __init__(self, directory: Path, exposure: str) -> None:
        self.directory = directory
        self.url = prepared(directory, {"alice": "1.00", "bob": "0", "carol": "100.00"})
        self.exposure_micro = parse_money(exposure)
        self.clock = Clock()
        self.errors: list[Exception] = []
        self.start()

    def start(self) -> None:
        self.store = Fragile(self.url)
        number = self.store.new_node("test", self.clock())
        self.node = node = ChargingNode(self.store, TariffBook(self.store), self.clock, number, self.errors.append)
        journal = Journal(self.directory / "outage.journal")
        self.outage = Outage(
            journal, node.tariffs, node.numbers, self.exposure_micro, node.submit_again, self.errors.append
        )
        node.survive(self.outage)

    def restart(self) -> None:
        self.outage.close()
        self.store.close()
        self.start()

    def run(self, command: Any, account_id: int | None = None) -> Answer:
        answers: list[Answer] = []
        self.node.submit(command, account_id, answers.append)
        self.node.flush()
        (answer,) = answers
        return answer

    def warm(self) -> None:
        """Let the node know all accounts, as it does after a call of each."""
        for number in (1, 2, 3):
            self.run(Adjust(10, "adjust", f"w{number}"), number)

    def down(self) -> None:
        """Take the store away and let the node notice."""
        self.store.is_down = True
        self.run(Adjust(10, "adjust", "lost"), 2)

    def up(self) -> None:
        self.store.is_down = False
        self.node.is_store_up = True  # as the watch says, every second
        self.node.replay()

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in (self.directory / "outage.journal").read_text().splitlines()]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.provision(lambda db: db.exec_driver_sql(sql).fetchall())]

    def charges(self) -> list[tuple[int, int]]:
        """Account and amount of every ledger entry of a call."""
        return self.rows(
            "SELECT account_id, amount FROM ledger_entry WHERE cause NOT IN ('opening', 'adjust') ORDER BY at"
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, "5.00")
    yield made
    made.outage.close()
    made.store.close()


def call(sid: str, policy: Policy = POLICY) -> Begin:
    return access(sid, policy=policy)


def reason(answer: Answer) -> Reason:
    assert isinstance(answer, Denial)
    return answer.reason


def test_a_call_in_an_outage_is_granted_the_cap_and_charged_when_it_is_over(bench: Bench) -> None:
    bench.warm()
    bench.down()
    granted = bench.run(call("s1"), 1)
    again = bench.run(call("s1"), 1)
    noted = bench.run(start("s1"), None)
    bench.clock.at(40)
    ended = [bench.run(stop("s1", 40), None), bench.run(stop("s1", 40), None)]

    assert 60 == told(granted)
    assert granted == again, "a repeat is the same call"
    assert {"EUR": 600_000} == dict(bench.outage.exposure_micro)
    assert [Outcome.DONE] * 3 == [answer.outcome for answer in (noted, *ended) if isinstance(answer, Ack)]
    assert ["begin", "update", "end"] == [line[2] for line in bench.lines()]
    assert [] == bench.charges()

    bench.clock.at(1000)
    bench.up()
    assert isinstance(granted, Grant)
    assert [(granted.session_id, 3)] == bench.rows("SELECT id, state FROM session")
    assert [(1, -400_000)] == bench.charges()
    assert [(0, 0)] == bench.rows("SELECT reserved, live_sessions FROM account WHERE id=1")
    assert ([], {}) == (bench.lines(), dict(bench.outage.exposure_micro))
    assert Outcome.REPEAT is bench.run(stop("s1", 40), None).outcome  # type: ignore[union-attr]


def test_a_call_that_outlasts_the_outage_goes_on_as_any_other(bench: Bench) -> None:
    bench.warm()
    bench.down()
    bench.run(call("s1"), 1)
    bench.clock.at(30)
    bench.up()
    assert [(600_000,)] == bench.rows("SELECT reserved FROM account WHERE id=1")
    more = bench.run(access("s1", 60, policy=POLICY), 1)
    bench.clock.at(90)
    bench.run(stop("s1", 90), None)

    assert 30 == told(more)
    assert [(1, -900_000)] == bench.charges()


def test_parallel_calls_share_what_was_last_known_of_the_account(bench: Bench) -> None:
    bench.warm()
    bench.down()
    answers = [bench.run(call(f"s{n}"), 1) for n in range(3)]

    assert [60, 40] == [told(answer) for answer in answers[:2]]
    assert Reason.STORE_DOWN is reason(answers[2]), "no denial rests on what was last known"


def test_the_exposure_of_a_node_is_bounded(bench: Bench) -> None:
    """5.00 are eight calls of 0.60."""
    bench.warm()
    bench.down()
    answers = [bench.run(call(f"s{n}"), 3) for n in range(10)]

    assert [60] * 8 == [told(answer) for answer in answers[:8]]
    assert [Reason.STORE_DOWN] * 2 == [reason(answer) for answer in answers[8:]]


def test_who_is_not_known_or_could_not_pay_is_refused(bench: Bench) -> None:
    bench.run(Adjust(10, "adjust", "w2"), 2)
    bench.run(Adjust(10, "adjust", "w3"), 3)
    bench.down()

    assert Reason.STORE_DOWN is reason(bench.run(call("s1"), 1)), "not cached"
    assert Reason.STORE_DOWN is reason(bench.run(call("s2"), 2)), "no money"
    assert Reason.STORE_DOWN is reason(bench.run(call("s3", Policy("adaptive")), 3)), "the client's policy has no cap"
    assert Reason.STORE_DOWN is reason(bench.run(stop("s9", 10), None)), "a session of the store"
    assert [] == bench.lines()


def test_a_suspended_account_gets_nothing(bench: Bench) -> None:
    bench.store.provision(lambda db: db.exec_driver_sql("UPDATE account SET status='suspended', version=version+1"))
    bench.warm()
    bench.down()

    assert Reason.STORE_DOWN is reason(bench.run(call("s1"), 1))
    assert [] == bench.lines()


def test_money_that_another_node_spent_meanwhile_is_overspend_of_the_outage(bench: Bench) -> None:
    bench.warm()
    bench.down()
    bench.run(call("s1"), 1)
    spend = "UPDATE account SET balance=100000, version=version+1 WHERE id=1"
    bench.store.provision(lambda db: db.exec_driver_sql(spend))
    bench.up()
    bench.clock.at(60)
    bench.run(stop("s1", 60), None)

    assert 500_000 == bench.node.counters["overspend", "outage"]
    assert 0 == bench.node.counters["overspend", "overrun"]
    assert [(1, -600_000)] == bench.charges()


@pytest.mark.parametrize("commits", range(5))
def test_a_replay_that_a_crash_cut_short_charges_once(bench: Bench, commits: int) -> None:
    bench.warm()
    bench.down()
    for sid in ("s1", "s2"):
        bench.run(call(sid), 3)
        bench.run(start(sid), None)
        bench.run(stop(sid, 30), None)
    bench.store.is_down = False
    bench.store.commits_left = commits
    bench.node.is_store_up = True
    bench.node.replay()
    assert 6 == len(bench.lines()), "nothing is forgotten before all of it is in the store"
    bench.restart()
    bench.up()

    assert [(3, -300_000), (3, -300_000)] == bench.charges()
    assert [] == bench.lines()


def test_a_report_that_comes_before_the_replay_is_over_waits_behind_it(bench: Bench) -> None:
    bench.warm()
    bench.down()
    bench.run(call("s1"), 1)
    bench.store.is_down = False
    bench.node.is_store_up = True
    bench.clock.at(20)
    late = bench.run(stop("s1", 20), None)
    before = bench.charges()
    bench.node.replay()

    assert isinstance(late, Ack)
    assert ([], [(1, -200_000)]) == (before, bench.charges())


def test_a_stop_that_another_node_charged_is_not_charged_again(bench: Bench) -> None:
    """The session is there already when its grant is replayed, whoever brought it."""
    bench.warm()
    bench.down()
    bench.run(call("s1"), 1)
    outage, bench.node.outage = bench.node.outage, None
    bench.store.is_down = False
    orphan = replace(stop("s1", 25), orphan=call("s1"))
    bench.run(orphan, 1)
    bench.node.outage = outage
    bench.up()

    assert [(1, -250_000)] == bench.charges()
    assert [] == bench.lines()


def test_a_torn_end_of_the_journal_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    first = Record(1, 2, call("s1"), 3, 60, 600_000, "EUR")
    second = Record(5, 2, replace(stop("s1", 7), orphan=call("s1")))
    third = Record(6, 2, start("s1", ("alias",)))
    journal.read()
    for record in (first, second, third):
        journal.append(record)
    journal.close()
    with (tmp_path / "j").open("ab") as file:
        file.write(b"[9,2,")
    again = Journal(tmp_path / "j")

    assert [first, second, third] == again.read()
    again.append(third)
    assert [first, second, third, third] == again.read()
    again.close()


def test_a_journal_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('[1,2,"begin"\n')
    journal = Journal(tmp_path / "j")

    with pytest.raises(ConfigError, match="line 1"):
        journal.read()
    with pytest.raises(ConfigError, match="in use"):
        Journal(tmp_path / "j")
    journal.close()


def test_what_the_disk_does_not_take_is_not_granted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.warm()
    bench.down()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", full)
        refused = bench.run(call("s1"), 1)

    assert Reason.STORE_DOWN is reason(refused)
    assert [] == bench.lines()
    assert any("No space" in str(error) for error in bench.errors)
    assert 60 == told(bench.run(call("s2"), 1))


def test_members_of_a_pool_are_granted_what_its_money_was_when_it_was_last_known(tmp_path: Path) -> None:
    """0.50 for two: what the first is granted without the store, the second cannot get; then it pays both."""
    bench = Bench(tmp_path, "5.00")
    bench.store.provision(
        lambda db: [
            db.exec_driver_sql("UPDATE account SET balance=500000, version=version+1 WHERE id=2"),
            db.exec_driver_sql("UPDATE ledger_entry SET amount=500000, balance_after=500000 WHERE account_id=2"),
            db.exec_driver_sql("DELETE FROM ledger_entry WHERE account_id IN (1, 3)"),
            db.exec_driver_sql("UPDATE account SET pool_id=2, balance=0, entry_no=0 WHERE id IN (1, 3)"),
        ]
    )
    for number in (1, 3):
        bench.run(call(f"warm{number}"), number)
        bench.run(stop(f"warm{number}", 0))
    bench.down()
    first, second = bench.run(call("a", replace(POLICY, outage_call_s=40)), 1), bench.run(call("b"), 3)
    third = bench.run(call("c"), 3)
    assert (40, 10, Reason.STORE_DOWN) == (told(first), told(second), reason(third))
    for sid, used in (("a", 40), ("b", 10)):
        bench.run(start(sid))
        bench.run(stop(sid, used))
    bench.up()

    assert [(2, -400_000), (2, -100_000)] == bench.charges()
    assert [(1, 0, 0, 0), (2, 0, 0, 0), (3, 0, 0, 0)] == bench.rows(
        "SELECT id, balance, reserved, live_sessions FROM account"
    )
    bench.outage.close()
    bench.store.close()
