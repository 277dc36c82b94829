"""
A checking load generator calls the real server: no wrong answer, and a ledger that is equal to its own.

`diaload` repeats a fifth of its requests with the T flag and expects the same answers, and sends again what was
unanswered when the server was killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.support.diaload import built, charged, charges, outcome, run, started

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed (Debian package gcc)")


@pytest.fixture(scope="module")
def diaload(tmp_path_factory) -> Path:
    return built(tmp_path_factory.mktemp("diaload"))


@pytest.mark.parametrize("service", ["voice", "data", "sms"])
def test_the_ledger_is_equal_to_the_books_of_the_client(tmp_path, diaload, service):
    server, port = started(tmp_path / "n", 20)
    try:
        ledger = tmp_path / "ledger.csv"
        options = ("--users", "20", "--conns", "4", "--inflight", "32", "--limit", "150", "--service", service)
        result = outcome(run(diaload, port, ledger, *options), 60)
        assert result["errors"] == 0, result
        assert charged(server) == charges(service, ledger) != {}
        assert server.mismatches() == 0
    finally:
        server.stop()


def test_two_workers_share_the_connections_and_one_of_them_may_die(tmp_path, diaload, database):
    """Connections are spread; those of a worker that is killed are made again, to whoever listens."""
    server, port = started(tmp_path / "n", 20, database, ["--workers", "2"])
    try:
        time.sleep(1.5)  # the workers look at the store every second
        ledger = tmp_path / "ledger.csv"
        options = ("--users", "20", "--conns", "16", "--inflight", "32", "--limit", "1500", "--service", "voice")
        process = run(diaload, port, ledger, *options)
        time.sleep(0.7)
        served = [worker["pid"] for worker in server.api("GET", "/v1/status")["workers"]]
        os.kill(served[0], signal.SIGKILL)
        result = outcome(process, 90)
        assert result["errors"] == 0, result
        begun_by = server.rows("SELECT count(DISTINCT id >> 40) FROM cdr")[0][0]
        assert begun_by >= 2
        assert charged(server) == charges("voice", ledger) != {}
        assert server.mismatches() == 0
    finally:
        server.stop()


@pytest.mark.campaign
@pytest.mark.parametrize("service", ["voice", "data", "sms"])
def test_the_ledger_stays_equal_when_the_server_is_killed_in_the_middle(tmp_path, diaload, service):
    server, port = started(tmp_path / "n", 500)
    try:
        ledger = tmp_path / "ledger.csv"
        options = ("--users", "500", "--conns", "64", "--inflight", "256", "--duration", "30", "--service", service)
        process = run(diaload, port, ledger, *options)
        for _ in range(2):
            time.sleep(3)  # long before its time is over: it gives up on what is unanswered then
            server.kill()
            server.start()
        result = outcome(process, 90)
        assert (result["errors"], result["reconnects"] >= 64) == (0, True), result
        assert result["sessions"]["started"] == result["sessions"]["done"], result
        assert charged(server) == charges(service, ledger) != {}
        assert server.mismatches() == 0
    finally:
        server.stop()
