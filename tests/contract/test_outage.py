"""
A database that hangs: it closes nothing and answers nothing, and holds up nobody (S12).
"""

from __future__ import annotations

import signal
import threading
import time

import psycopg

from aaa.engine.answers import Denial, Grant
from aaa.engine.terms import Reason
from tests.contract.conftest import Bench
from tests.contract.test_store import access
from tests.support.postgres import Postgres


class Pulse:
    """Measures the longest time in which no other thread could run."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._is_over = False
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._is_over = True
        self._thread.join()
        return self.longest_s

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._is_over:
            time.sleep(0.01)
            now = time.monotonic()
            self.longest_s, last = max(self.longest_s, now - last), now


def test_requests_are_refused_in_time_and_served_again_when_it_is_back(shared: Bench, postgres: Postgres) -> None:
    shared.prepare({"alice": "1.00"})
    node = shared.node()
    (granted,) = shared.run(node, (access("s1"), 1))
    pulse = Pulse()
    postgres.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        (refused,) = shared.run(node, (access("s2"), 1))
        took_s = time.monotonic() - begun
        end = time.monotonic() + 3.5  # so long that a connection is tried and given up
        while time.monotonic() < end:
            shared.reactor.iterate(0.01)
    finally:
        postgres.signal(signal.SIGCONT)
    frozen_s = pulse.stop()
    answers = [shared.run(node, (access("s3"), 1))[0]]
    shared.turn(lambda: isinstance(answers[-1], Grant) or answers.append(shared.run(node, (access("s3"), 1))[0]))

    assert isinstance(granted, Grant)
    assert isinstance(refused, Denial) and Reason.STORE_DOWN is refused.reason
    assert took_s < 2.5
    assert frozen_s < 1.0


def test_a_client_that_restarts_while_the_database_hangs_holds_up_nobody(shared: Bench, postgres: Postgres) -> None:
    """
    Whether it has older sessions is asked beside everything else and given up in time; a later restart is noticed.
    """
    shared.prepare({"alice": "1.00"})
    node = shared.node()
    told: list[int] = []
    node.restart_peer("d|pgw", 100, lambda: told.append(100))
    shared.turn(lambda: told == [100])
    shared.run(node, (access("d|pgw|old"), 1))
    postgres.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        node.restart_peer("d|pgw", 101, lambda: told.append(101))
        asked_s = time.monotonic() - begun
        shared.turn(lambda: told == [100, 101])
        settled_s = time.monotonic() - begun
    finally:
        postgres.signal(signal.SIGCONT)

    assert (asked_s < 0.1, settled_s < 2.5) == (True, True), (asked_s, settled_s)
    assert (1, 100) == (node.counters["peer_restart_unknown", ""], node.epoch("d|pgw"))
    answers = [shared.run(node, (access("s3"), 1))[0]]
    shared.turn(lambda: isinstance(answers[-1], Grant) or answers.append(shared.run(node, (access("s3"), 1))[0]))
    node.restart_peer("d|pgw", 102, lambda: told.append(102))
    shared.turn(lambda: shared.stores[0].epochs()["d|pgw"][0] == 102)
    assert [("d|pgw|old",)] == shared.rows(f"SELECT key FROM session WHERE deadline <= {shared.clock()}")


def test_a_server_that_closes_every_connection_is_connected_to_again(shared: Bench, postgres: Postgres) -> None:
    """
    An administrator ends all backends: what was under way fails, and the same node goes on with new connections.
    """
    shared.prepare({"alice": "1.00"})
    node = shared.node()
    shared.run(node, (access("s1"), 1))
    database = shared.url.rpartition("/")[2]
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
    answers = [shared.run(node, (access("s2"), 1))[0]]
    shared.turn(lambda: isinstance(answers[-1], Grant) or answers.append(shared.run(node, (access("s2"), 1))[0]))

    assert {Reason.STORE_DOWN} >= {answer.reason for answer in answers if isinstance(answer, Denial)}
    assert 1 == len([row for row in shared.rows("SELECT 1 FROM session WHERE key = 's2'")])
