"""Rows of sessions: reports leave the indexes alone, and the sweeper finds what is due without one."""

from __future__ import annotations

import pytest

from aaa.engine.answers import Outcome
from aaa.engine.commands import Expire, Identity, LineRequest, Total, Update
from aaa.store import postgres, read, sqlite
from tests.contract.conftest import Bench
from tests.contract.test_store import VOICE, access, start, stop


def test_a_report_changes_no_index(shared: Bench) -> None:
    """Only the end of a session does: a Start and three reports of four are updates within their page (HOT)."""
    shared.prepare({"alice": "10.00"})
    node = shared.node()
    shared.run(node, (access("s1"), 1))
    shared.run(node, (start("s1"), None))
    for used in (5, 10, 15):
        shared.clock.at(used)
        shared.run(node, (Update("s1", Identity(f"i{used}"), (LineRequest(VOICE, Total(used), False),), "nas"), None))
    shared.run(node, (stop("s1", 16), None))
    node.store.close()  # a server process tells its counts when it ends

    def is_counted() -> bool:
        (row,) = shared.rows("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname='session'")
        return tuple(row) == (5, 4)

    shared.turn(is_counted)
    assert is_counted()


def test_the_sweeper_walks_all_live_sessions_a_stretch_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STRETCH", 2)
    monkeypatch.setattr(sqlite, "STRETCH", 2)
    bench.prepare({"alice": "10.00", "bob": "10.00"})
    node = bench.node()
    bench.run(node, *((access(f"s{n}"), 1 + n % 2) for n in range(7)))  # the walk goes account by account
    bench.run(node, *((start(f"s{n}"), None) for n in (1, 4)))
    bench.clock.at(190)  # those that never started are due, those that did are not

    def are_expired() -> bool:
        node.sweep()
        return 5 == len(bench.rows("SELECT 1 FROM session WHERE state=2 AND ended_at IS NOT NULL"))

    bench.turn(are_expired)
    bench.clock.at(1000)
    live = "SELECT sum(live_sessions) FROM account"
    bench.turn(lambda: node.sweep() or [(0,)] == [tuple(row) for row in bench.rows(live)])
    assert [(0,)] == [tuple(row) for row in bench.rows(live)]


def test_a_node_knows_which_of_its_sessions_live(bench: Bench) -> None:
    """So that a client's restart looks at those alone, and not at all that ended."""
    bench.prepare({"alice": "10.00"})
    node = bench.node()

    def living() -> list[str]:
        return sorted(node.cache.sessions[number].head.key for number in node.cache.live)

    bench.run(node, *((access(f"s{n}"), 1) for n in range(3)))
    bench.run(node, (stop("s1", 0), None))
    assert ["s0", "s2"] == living()
    bench.run(node, (start("s2"), None))
    bench.clock.at(1000)
    bench.turn(lambda: node.sweep() or not node.cache.live)
    assert [] == living()
    late = Update("s2", Identity("i1"), (LineRequest(VOICE, Total(5), False),), "nas")
    bench.run(node, (late, None))  # it lives again
    assert ["s2"] == living()
    node.forget()
    assert not node.cache.live


def test_live_sessions_are_listed_by_id_whoever_pays(bench: Bench) -> None:
    bench.prepare({"alice": "10.00", "bob": "10.00"})
    node = bench.node()
    bench.run(node, *((access(f"s{n}"), 2 - n % 2) for n in range(6)))
    bench.run(node, (stop("s2", 0), None))
    reader = read.open_reader(bench.url)
    try:
        with read.snapshot(reader) as connection:
            pages = [read.sessions(connection, 0, 2)]
            while pages[-1]:
                pages.append(read.sessions(connection, pages[-1][-1].id, 2))
            of_bob = read.sessions(connection, 0, 9, account_id=2)
    finally:
        reader.dispose()
    listed = [row.id for page in pages for row in page]
    assert [2, 2, 1, 0] == [len(page) for page in pages]
    assert sorted(listed) == listed
    assert ["s0", "s4"] == [row.key for row in of_bob]


def test_more_due_sessions_than_one_sweep_takes_are_taken_by_the_next(bench: Bench) -> None:
    bench.prepare({"alice": "10.00"})
    node = bench.node()
    bench.run(node, *((access(f"s{n}"), 1) for n in range(7)))
    bench.clock.at(190)
    expired = "SELECT count(*) FROM session WHERE state=2"

    node.sweep(most=3)
    bench.turn(lambda: [(3,)] == [tuple(row) for row in bench.rows(expired)])
    node.sweep(most=3)
    bench.turn(lambda: [(6,)] == [tuple(row) for row in bench.rows(expired)])
    node.sweep(most=3)
    bench.turn(lambda: [(7,)] == [tuple(row) for row in bench.rows(expired)])
    assert [(7,)] == [tuple(row) for row in bench.rows(expired)]


def test_an_expired_session_that_lives_again_is_swept_again(bench: Bench) -> None:
    bench.prepare({"alice": "10.00"})
    node = bench.node()
    bench.run(node, (access("s1"), 1), (start("s1"), None))
    live = "SELECT count(*) FROM session WHERE ended_at IS NULL AND state < 2"

    def count(expected: int) -> None:
        bench.turn(lambda: node.sweep() or [(expected,)] == [tuple(row) for row in bench.rows(live)])

    bench.clock.at(1000)
    count(0)
    bench.run(node, (Update("s1", Identity("i15"), (LineRequest(VOICE, Total(15), False),), "nas"), None))
    assert [(1,)] == [tuple(row) for row in bench.rows(live)]
    bench.clock.at(2000)
    count(0)


def test_a_session_that_was_heard_of_since_the_sweeper_looked_lives_on(bench: Bench) -> None:
    bench.prepare({"alice": "10.00"})
    node = bench.node()
    bench.run(node, (access("s1"), 1), (start("s1"), None))
    looked_us = bench.clock()
    (spared,) = bench.run(node, (Expire("s1", due_us=looked_us), None))
    bench.clock.at(1000)
    (settled,) = bench.run(node, (Expire("s1", due_us=bench.clock()), None))

    assert [Outcome.IGNORED, Outcome.DONE] == [spared.outcome, settled.outcome]  # type: ignore[union-attr]
