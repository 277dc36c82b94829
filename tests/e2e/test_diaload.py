"""
A checking load generator calls the real server: no wrong answer, and a ledger that is equal to its own.

`diaload` repeats a fifth of its requests with the T flag and expects the same answers, and sends again what was
unanswered when the server was killed.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.postgres import free_port
from tests.support.process import Aaad

SOURCE = Path(__file__).parents[1] / "data" / "load" / "diaload.c"
BASE = 15_550_000_000
OPENING_MICRO = 1_000_000_000_000
VOICE = {"tel:+44207946": 10_000, "tel:+33142278": 20_000, "tel:+1212555": 1_000}  # micro per second
SMS = 50_000  # micro per message; an octet costs one

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed (Debian package gcc)")


@pytest.fixture(scope="module")
def diaload(tmp_path_factory) -> Path:
    program = tmp_path_factory.mktemp("diaload") / "diaload"
    subprocess.run(["gcc", "-O2", "-w", "-o", str(program), str(SOURCE)], check=True)
    return program


def provisioned(users: int) -> str:
    text = '[[tariff]]\nname = "retail"\ncurrency = "EUR"\ntimezone = "UTC"\nrounding = { mode = "up", decimals = 6 }\n'
    for called, price in VOICE.items():
        text += (
            f'[[tariff.rate]]\nprefix = "{called.removeprefix("tel:+")}"\ndestination = "{called}"\nservice = "voice"\n'
            f'price = "{price / 1e6:.6f}"\nprice_unit = "1s"\npulse = "1/1"\n'
        )
    for service, price, unit in (("data", "0.01", "10kB"), ("message", "0.05", "1")):
        text += (
            f'[[tariff.rate]]\nprefix = ""\ndestination = "{service}"\nservice = "{service}"\n'
            f'price = "{price}"\nprice_unit = "{unit}"\npulse = "1/1"\n'
        )
    for user in range(BASE, BASE + users):
        text += (
            f'[[account]]\nid = "{user}"\ncurrency = "EUR"\ntariff = "retail"\nopening_balance = "1000000.00"\n'
            f'[[account.subscription]]\ntype = "e164"\nvalue = "{user}"\n'
        )
    return text


def started(directory: Path, users: int, url: str | None = None, arguments: Sequence[str] = ()) -> tuple[Aaad, int]:
    port = free_port()
    config = (
        '[diameter]\norigin_host = "ocs.example.org"\norigin_realm = "example.org"\n'
        f'listen = ["tcp:{port}:interface=127.0.0.1"]\n'
        '[[peer]]\norigin_host = "*"\nrealm = "example.net"\naddress = ["127.0.0.1/32"]\nquantum = "fixed"\n'
    )
    server = Aaad(directory, config, url, arguments)
    server.start()
    server.apply(provisioned(users))
    return server, port


def charges(service: str, ledger: Path) -> dict[str, int]:
    """What each user is to have paid, by the generator's own books."""
    found: dict[str, int] = {}
    for user, called, sessions, used in csv.reader(ledger.read_text().splitlines()):
        price = {"voice": VOICE[called] * int(used), "data": int(used), "sms": SMS * int(sessions)}[service]
        found[user] = found.get(user, 0) + price
    return found


def charged(server: Aaad) -> dict[str, int]:
    """What each user has paid, by the accounts and by the ledger."""
    rows = server.rows(
        "SELECT a.name, a.balance, (SELECT sum(amount) FROM ledger_entry e WHERE e.account_id = a.id), a.reserved "
        "FROM account a WHERE a.name LIKE '1555%'"
    )
    assert all(balance == entries and not reserved for _, balance, entries, reserved in rows)
    return {name: OPENING_MICRO - balance for name, balance, _, _ in rows if balance != OPENING_MICRO}


def run(program: Path, port: int, ledger: Path, *options: str) -> subprocess.Popen[str]:
    command = [str(program), "--port", str(port), "--strict", "--dup", "0.2", "--reconnect", "--retries", "3"]
    command += ["--proxy-info", "--warmup", "0", "--drain", "20", "--json", "--ledger", str(ledger), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen[str], timeout_s: float) -> dict:
    try:
        text, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return json.loads(text[text.index("{") :])


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
