"""A million accounts are listed with the memory that ten thousand need."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.process import Aaad, provisioned

ROOT = Path(__file__).parents[2]
SLACK_KIB = 20_000
MORE_ACCOUNTS = """
WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
INSERT INTO account (name, currency, tariff, credit_limit, created_at)
SELECT printf('bulk%07d', i), 'EUR', 'retail', 0, 0 FROM n
"""


def listed(server: Aaad) -> tuple[int, int, int, float]:
    """List all accounts; lines, peak memory of the client and of the server in KiB, seconds."""
    program = (
        "import sys; from aaa.cli.main import run; code = run(sys.argv[1:]);"
        "peak = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')];"
        "print(*peak, file=sys.stderr); sys.exit(code)"
    )
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program, "--socket", server.socket, "account", "list", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = sum(1 for _ in process.stdout)
        client_kib = int(process.stderr.read())
    seconds = time.perf_counter() - begun
    status = Path(f"/proc/{server.pid}/status").read_text()
    server_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert 0 == process.returncode
    return lines, client_kib, server_kib, seconds


@pytest.mark.campaign
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc")
def test_a_million_accounts_stream_with_flat_memory(aaad: Callable[..., Aaad], capsys: pytest.CaptureFixture[str]):
    """Neither the client nor the server holds more than a page."""
    server = aaad()
    server.apply(provisioned({"alice": "1.00"}))

    def more(first: int, last: int) -> None:
        with sqlite3.connect(server.database, timeout=60) as connection:
            connection.execute(MORE_ACCOUNTS, (first, last))

    more(1, 10_000)
    few = listed(server)
    more(10_001, 1_000_000)
    many = listed(server)
    with capsys.disabled():
        print(f"\n10,000 accounts: {few[1:]}; 1,000,000: {many[1:]} (client KiB, server KiB, seconds)")

    assert (10_002, 1_000_002) == (few[0], many[0])  # with alice and the emergency account
    assert many[1] < few[1] + SLACK_KIB
    assert many[2] < few[2] + SLACK_KIB
