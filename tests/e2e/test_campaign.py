"""
Long runs of several processes: crashes every second, a database that goes away, accounts that everybody wants.

`make campaign` starts them; each prints the figures that docs/measured.md quotes.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aaa.workers import steering
from tests.support import radload
from tests.support.calls import USERS, Load, check
from tests.support.postgres import Postgres
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import access_request

pytestmark = pytest.mark.campaign

APPLIED_AT_ONCE = 4_000
FIXED = f'{NAS}quantum = "fixed"\nquantum_fixed = "30s"\n'


def sources(workers: int, each: int = 1) -> list[str]:
    """Addresses of switches, so many for every worker."""
    found: dict[int, list[str]] = {index: [] for index in range(workers)}
    for number in range(2, 255):
        address = f"127.0.0.{number}"
        found[steering.index_of(address, workers)].append(address)
    return [address for index in range(workers) for address in found[index][:each]]


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """A cluster of the test's own: it is stopped and killed."""
    made = Postgres()
    yield made
    made.stop()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return radload.build(tmp_path)


def family(tmp_path: Path, cluster: Postgres, workers: int, users: int, config: str = FIXED) -> Aaad:
    """A parent with workers and accounts; credit for everything."""
    made = Aaad(tmp_path / "family", config, cluster.create("family"), ["--workers", str(workers)])
    made.start()
    for first in range(0, users, APPLIED_AT_ONCE):
        some = range(first, min(users, first + APPLIED_AT_ONCE))
        made.apply(provisioned({f"u{n}": "100000.00" for n in some}))
    time.sleep(1.5)
    return made


def status(server: Aaad) -> dict[str, Any]:
    time.sleep(1.3)  # the workers tell their figures every second
    found: dict[str, Any] = server.api("GET", "/v1/status")
    return found


def overspent(server: Aaad) -> int:
    return int(server.rows("SELECT count(*) FROM account WHERE balance + credit_limit - reserved < 0")[0][0])


def test_a_random_worker_killed_every_second_for_a_minute(tmp_path: Path, cluster: Postgres) -> None:
    server = family(tmp_path, cluster, 3, USERS)
    load = Load(server, 24, sources(3, 2))
    rng = random.Random(11)
    kills = 0
    try:
        load.run(2.0)
        for _ in range(60):
            serving = [worker["pid"] for worker in server.api("GET", "/v1/status")["workers"] if worker["serving"]]
            if serving:
                os.kill(rng.choice(serving), signal.SIGKILL)
                kills += 1
            load.run(1.0)
        load.run(5.0)
        check(server, [*load.over, *load.active.values()])
        entries = server.rows(
            "SELECT count(*), count(DISTINCT ref) FROM ledger_entry WHERE cause IN ('charge', 'assumed')"
        )[0]
        print(f"\n{kills} kills, {len(load.over)} calls over, {entries[0]} charges")
        assert entries[0] == entries[1] >= len(load.over) > 100
        assert 0 == server.mismatches()
        assert 0 == overspent(server)
    finally:
        load.close()
        assert 0 == server.stop()


class Asking:
    """Access-Requests of one switch, one after the other, with when and how each was answered."""

    def __init__(self, server: Aaad, user: str) -> None:
        self.answers: list[tuple[float, float, int]] = []  # when asked, how long it took, code or 0
        self._server = server
        self._user = user
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over = True
        self._thread.join(10)

    def between(self, begun: float, ended: float) -> list[tuple[float, int]]:
        return [(took, code) for asked, took, code in self.answers if begun <= asked <= ended]

    def _run(self) -> None:
        number = 0
        while not self._is_over:
            number += 1
            asked = time.monotonic()
            data = access_request(self._user, self._user, f"asking-{self._user}-{number}")
            reply = self._server.ask(data, timeout_s=3.5)
            self.answers.append((asked, time.monotonic() - asked, reply[0] if reply else 0))
            time.sleep(0.05)


@pytest.mark.parametrize("policy", ["deny", "silence"])
def test_a_database_that_stops_dies_and_drops_connections(tmp_path: Path, cluster: Postgres, policy: str) -> None:
    """
    Stopped for 10 s, killed with -9 and started again, every connection ended: while it is away requests get what the
    client's policy says, and when it is back they are served without a restart of anything.
    """
    config = f'{FIXED}on_store_down = "{policy}"\n'
    server = family(tmp_path, cluster, 2, USERS, config)
    load = Load(server, 12, sources(2, 2))
    asking = Asking(server, "u1")
    recovered: dict[str, float] = {}

    def away(name: str, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> None:
        load.run(2.0)
        begin()
        begun = time.monotonic()
        load.run(seconds)
        ended = time.monotonic()
        end()
        back = time.monotonic()
        while not [code for _, code in asking.between(back, time.monotonic()) if code == 2]:
            load.run(0.1)
            assert time.monotonic() < back + 30, f"no recovery after {name}"
        recovered[name] = time.monotonic() - back
        refused = asking.between(begun + 0.1, ended - 3.0)
        if seconds > 4:
            assert refused
            assert {3 if policy == "deny" else 0} == {code for _, code in refused}
            if policy == "deny":
                print(f"\n{name}: {len(refused)} refused, the slowest after {max(took for took, _ in refused):.2f} s")

    def terminate() -> None:
        with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'family'")

    try:
        away("stopped", lambda: cluster.signal(signal.SIGSTOP), lambda: cluster.signal(signal.SIGCONT), 10)
        away("killed", cluster.kill, cluster.start, 9)
        away("terminated", terminate, lambda: None, 0.1)
        load.run(2.0)
        print(f"\nrecovered after: {recovered}; {len(load.over)} calls over")
        check(server, [*load.over, *load.active.values()])
        assert 0 == server.mismatches()
        assert 0 == overspent(server)
        assert len(load.over) > 50
    finally:
        asking.stop()
        load.close()
        assert 0 == server.stop()


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("users", [100, 100_000])
def test_several_workers_on_the_same_accounts(
    tmp_path: Path, cluster: Postgres, program: Path, workers: int, users: int
) -> None:
    """
    Every switch has its worker, and all of them charge the same accounts in the same order at the same time.
    """
    server = family(tmp_path, cluster, workers, users)
    try:
        options = ["--users", str(users - 1), "-c", str(64 // workers), "--pick", "seq" if users == 100 else "rand"]
        options += ["--duration", "15", "--timeout-ms", "1000", "--retries", "10"]
        runs = [
            radload.start(program, server.ports, source, "--nas-id", f"nas-{index}", "--seed", str(index), *options)
            for index, source in enumerate(sources(workers))
        ]
        found = [radload.finish(run) for run in runs]
        shown = status(server)["counters"]
        again = {name: count for name, count in shown.items() if name.startswith(("decided_again", "locked"))}
        requests, conflicts = shown["requests"], shown.get("conflicts", 0)
        print(
            f"\n{workers} workers, {users} accounts: {requests} requests, {conflicts / requests:.4f} conflicts each, "
            f"{again}, requests/s and p99 us: {[rate(each) for each in found]}"
        )
        assert 0 == server.mismatches()
        assert 0 == overspent(server)
        assert 0 == shown.get("overspend.grant", 0)
        assert "deadlock detected" not in cluster.log()
    finally:
        server.stop()


def rate(found: dict[str, Any]) -> Any:
    return found["rps"], found["latency"]["all"]["p99_us"]


def test_a_hot_account_asked_by_two_nodes_60_to_4(tmp_path: Path, cluster: Postgres, program: Path) -> None:
    """No request is decided more than three times, and the slow side is not starved."""
    url = cluster.create("hot")
    first = Aaad(tmp_path / "first", FIXED, url)
    second = Aaad(tmp_path / "second", FIXED, url)
    (tmp_path / "second" / "server.key").write_bytes((tmp_path / "first" / "server.key").read_bytes())
    try:
        first.start()
        second.start()
        first.apply(provisioned({"u1": "100000000.00"}))
        time.sleep(2)
        options = ["--users", "1", "--duration", "15", "--timeout-ms", "2000", "--retries", "4"]
        runs = [
            radload.start(program, node.ports, "127.0.0.1", "--nas-id", f"nas-{calls}", "-c", str(calls), *options)
            for node, calls in ((first, 60), (second, 4))
        ]
        found = [radload.finish(run) for run in runs]
        print(f"\nlock timeouts: {cluster.log().count('due to lock timeout')}")
        for node, each in zip((first, second), found, strict=True):
            shown = node.api("GET", "/v1/status")["counters"]
            again = {int(name.rpartition(".")[2]): n for name, n in shown.items() if name.startswith("decided_again")}
            print(f"\n{each['latency']['all']}\n{shown}")
            assert max(again, default=0) <= 2, again
        assert 0 == first.mismatches()
        assert 0 == overspent(first)
    finally:
        first.stop()
        second.stop()
