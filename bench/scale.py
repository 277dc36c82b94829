"""
Much of everything: 1,000,000 accounts, 100,000 open sessions, 10,000 sessions on one account (SQLite).

Prints what a request costs beside a small store in the same run, the memory of the process, and how long the
ledger takes to verify while calls go on.  `python -m bench.scale [ACCOUNTS]`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aaa.keys import Keys
from bench.radius import RADLOAD, build, load, show
from tests.support.process import NAS, Aaad, provisioned

OPENING_MICRO = 1_000_000_000
SECONDS = 12
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
FILL = (
    "INSERT INTO account (id, name, currency, tariff, credit_limit, balance, entry_no, created_at) "
    f"{NUMBERS}SELECT 1000 + i, printf('bulk%07d', i), 'EUR', 'retail', 0, ?2, 1, 0 FROM n",
    "INSERT INTO ledger_entry (account_id, entry_no, amount, balance_after, cause, ref, at) "
    f"{NUMBERS}SELECT 1000 + i, 1, ?2, ?2, 'opening', printf('opening:%d', i), 0 FROM n",
    "INSERT INTO subscription (type, value, account_id, credential, created_at) "
    f"{NUMBERS}SELECT 'username', printf('bulk%07d', i), 1000 + i, ?3, 0 FROM n",
)


def filled(server: Aaad, accounts: int) -> None:
    """Write the accounts behind the server's back, before it starts; all have one password."""
    sealed = json.dumps({"clear": Keys.load(server.directory / "server.key").seal(b"secret")})
    with sqlite3.connect(server.database) as connection:
        for statement in FILL:
            values = (accounts, OPENING_MICRO, sealed)
            connection.execute(statement, values if "?3" in statement else values[:2])


def resident_mb(pid: int) -> int:
    """The memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def main() -> int:
    """Fill, load, verify."""
    accounts = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if not RADLOAD.exists():
        print(f"bench.scale: needs {RADLOAD.name} (set RADLOAD)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="aaa-scale-", dir=os.environ.get("BENCH_DIR", ".")) as name:
        directory = Path(name).absolute()
        program = build(directory)
        server = Aaad(directory / "n", NAS + 'quantum = "fixed"\n')
        begun = time.monotonic()
        filled(server, accounts)
        print(f"{accounts:,} accounts written in {time.monotonic() - begun:.0f} s", flush=True)
        begun = time.monotonic()
        server.start()
        try:
            print(f"started in {time.monotonic() - begun:.1f} s, {resident_mb(server.pid)} MB", flush=True)
            server.apply(provisioned({"user0001": "1000000.00"}))
            _measure(program, server, accounts)
        finally:
            server.stop()
    return 0


def _measure(program: Path, server: Aaad, accounts: int) -> None:
    timed = ["--duration", str(SECONDS), "--warmup", "2"]
    bulk = ["--user-fmt", "bulk%07u", "--pass-fmt", "secret"]
    few = show("1,000 accounts", load(program, server, *timed, *bulk, "--users", "1000"))
    many = show(
        f"{accounts:,} accounts at random",
        load(program, server, *timed, *bulk, "--users", str(accounts), "--pick", "rand"),
    )
    print(f"all / few accounts = {many / few:.2f} in CPU per request; {resident_mb(server.pid)} MB", flush=True)
    sessions = ["-c", "150000", "--rate", "1000", "--think-ms", "34000", "--duration", "150", "--warmup", "1"]
    show("up to 100,000 sessions open", load(program, server, *bulk, "--users", str(accounts), *sessions))
    print(f"{resident_mb(server.pid)} MB", flush=True)
    paced = ["-c", "11000", "--rate", "500", "--think-ms", "5000", "--duration", "30", "--warmup", "1"]
    spread = show("10,000 sessions, 1,000 accounts", load(program, server, *bulk, "--users", "1000", *paced))
    one = show("10,000 sessions on one account", load(program, server, "--users", "1", *paced))
    print(f"one account / spread = {one / spread:.2f} in CPU per request", flush=True)
    begun = time.monotonic()
    code = subprocess.run(
        [
            sys.executable,
            "-c",
            "from aaa.cli import main; main()",
            "--socket",
            server.socket,
            "ledger",
            "verify",
            "-o",
            "json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if code.returncode:
        raise SystemExit(f"ledger verify: {code.stdout}{code.stderr}")
    took_s = time.monotonic() - begun
    found = json.loads(code.stdout)
    told = f"{found['accounts']:,} accounts, {found['mismatches']} mismatches"
    print(f"ledger verify: {took_s:.1f} s, {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
