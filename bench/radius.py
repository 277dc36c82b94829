"""
The prepaid call over RADIUS: Access-Request, Start, two Interims, Stop, every answer checked.

Drives a real server process with radload (64 calls in flight) on SQLite and, where it is installed, on
PostgreSQL, on accounts of their own and on one hot account, and prints requests per second, p50 and p99, and
CPU microseconds per request of the server and of the database.  CPU per request is the figure that
survives a busy machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import NAS, Aaad, provisioned

RADLOAD = Path(os.environ.get("RADLOAD", Path(__file__).parents[1] / "tests" / "data" / "load" / "radload.c"))
USERS = 1000
SECONDS = 8
GROWING_S = 30
PURSE = "1000000.00"


def build(directory: Path) -> Path:
    """Compile the load generator."""
    program = directory / "radload"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(RADLOAD), "-lm"], check=True)
    return program


REGISTRAR = """profile = "registrar"
[[profile]]
name = "registrar"
called = ["Callback-Number"]
asks_by_called = true
"""
"""A client whose requests name nobody that is called: who it is gets checked, nothing is granted."""


@contextmanager
def serving(directory: Path, url: str | None = None, client: str = 'quantum = "fixed"\n') -> Iterator[Aaad]:
    """A server with its accounts, stopped afterwards."""
    server = Aaad(directory, NAS + client, url=url)
    try:
        server.start()
        names = {f"user{n:04d}": PURSE for n in range(1, USERS + 1)}
        server.apply(provisioned(names))
        yield server
    finally:
        server.stop()


def load(program: Path, server: Aaad, *more: str, database_pid: int | None = None) -> dict[str, object]:
    """One run of the load generator; its figures."""
    pids = f"aaad={server.pid}" + (f",db={database_pid}" if database_pid else "")
    ports = ["--auth-port", str(server.ports["auth"]), "--acct-port", str(server.ports["acct"])]
    users = ["--users", str(USERS), "--pass-fmt", "user%04u", "--call-seconds", "60"]
    command = [str(program), *ports, *users, "-c", "64", "--pid", pids, "--json", *more]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    figures: dict[str, object] = json.loads(result.stdout) if result.stdout.startswith("{") else {}
    if result.returncode and not _only_cut_off(figures):
        raise SystemExit(f"wrong answers under load:\n{result.stdout}{result.stderr}")
    return figures


def _only_cut_off(figures: dict[str, Any]) -> bool:
    """Whether all that was wrong is that slow calls were not over at the end."""
    calls, total = figures.get("calls", {}), figures.get("total", {})
    return bool(calls.get("unfinished")) and not any(
        (calls["lost"], total["bad_authenticator"], total["bad_message_authenticator"], total["malformed"])
    )


def show(name: str, figures: dict[str, object]) -> float:
    """Print one row; returns CPU microseconds per request."""
    latency = figures["latency"]["all"]  # type: ignore[index]
    cpu_us = float(figures["server_cpu_s_per_1000"]) * 1000  # type: ignore[arg-type]
    shares = ", ".join(
        f"{who} {float(spent) * 1e6 / max(1, latency['n']):.0f}"
        for who, spent in figures["server_cpu"].items()  # type: ignore[attr-defined]
    )
    print(
        f"{name:38} {figures['rps']:8.0f} req/s  p50 {latency['p50_us'] / 1000:6.2f} ms  "
        f"p99 {latency['p99_us'] / 1000:6.2f} ms  CPU {cpu_us:5.0f} us/request ({shares})",
        flush=True,
    )
    return cpu_us


def verified(server: Aaad) -> None:
    """The ledger after the load."""
    found = server.mismatches()
    if found:
        raise SystemExit(f"ledger verify found {found} mismatches")


def measure(program: Path, server: Aaad, name: str, database_pid: int | None = None) -> None:
    """Spread accounts, one hot account, and an open loop."""
    timed = ["--duration", str(SECONDS), "--warmup", "2"]
    spread = show(f"{name}, {USERS} accounts", load(program, server, *timed, database_pid=database_pid))
    hot_users = ["--users", "1"]
    hot = show(f"{name}, one hot account", load(program, server, *timed, *hot_users, database_pid=database_pid))
    rate = ["--rate", "200"]
    show(f"{name}, open loop 1,000 req/s", load(program, server, *timed, *rate, database_pid=database_pid))
    print(f"{name}: hot account / spread accounts = {hot / spread:.2f} in CPU per request", flush=True)
    verified(server)


def grown(program: Path, server: Aaad) -> None:
    """The same accounts when each has a few hundred CDRs and ledger entries."""
    load(program, server, "--duration", str(GROWING_S))
    calls = server.rows("SELECT min(entry_no) - 1 FROM account WHERE entry_no > 0")[0][0]
    timed = ["--duration", str(SECONDS), "--warmup", "2"]
    show(f"SQLite, {USERS} accounts of {calls} calls each", load(program, server, *timed))


def main() -> int:
    """Run everything that this machine can run."""
    if not RADLOAD.exists() or shutil.which("gcc") is None:
        print(f"bench.radius: needs gcc and {RADLOAD.name} (set RADLOAD)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="aaa-bench-", dir=os.environ.get("BENCH_DIR", ".")) as name:
        directory = Path(name).absolute()
        directory.chmod(0o711)  # the database server runs as another user
        program = build(directory)
        with serving(directory / "sqlite") as server:
            measure(program, server, "SQLite, one process")
            grown(program, server)
        with serving(directory / "registrar", client=REGISTRAR) as server:
            timed = ["--duration", str(SECONDS), "--warmup", "2", "--auth-only"]
            show("registration alone", load(program, server, *timed))
        _postgres(program, directory)
    return 0


def _postgres(program: Path, directory: Path) -> None:
    from tests.support.postgres import BINARIES, Postgres  # noqa: PLC0415 - the driver is an extra

    if not BINARIES:
        print("PostgreSQL is not installed: not measured")
        return
    database = Postgres(base=directory)
    try:
        with serving(directory / "pg", database.create("bench")) as server:
            measure(program, server, "PostgreSQL, one process", database.pid)
    finally:
        database.stop()


if __name__ == "__main__":
    sys.exit(main())
