"""
Two workers on one PostgreSQL, a switch for each on accounts of its own: `python -m bench.workers`.

Prints requests per second of both together, the slower p50 and p99, and CPU microseconds per request of all
server processes and of the database.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from aaa.workers.steering import index_of
from bench.radius import PURSE, SECONDS, USERS, verified
from tests.support import radload
from tests.support.postgres import BINARIES, Postgres
from tests.support.process import NAS, Aaad, provisioned

WORKERS = 2
LOOPBACK = [f"127.0.0.{number}" for number in range(2, 255)]
SOURCES = [next(one for one in LOOPBACK if index_of(one, WORKERS) == worker) for worker in range(WORKERS)]
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def processor_s(root: int) -> float:
    """Processor time of a process and all below it, those that ended included."""
    used: dict[int, int] = {}
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(int(field) for field in fields[11:15])
    family = {root}
    while True:
        below = {pid for pid, parent in parents.items() if parent in family} - family
        if not below:
            return sum(used[pid] for pid in family if pid in used) * TICK_S
        family |= below


def main() -> int:
    """One run."""
    if not BINARIES:
        print("PostgreSQL is not installed: not measured")
        return 0
    with tempfile.TemporaryDirectory(prefix="aaa-bench-", dir=os.environ.get("BENCH_DIR", ".")) as name:
        directory = Path(name).absolute()
        directory.chmod(0o711)  # the database server runs as another user
        program = radload.build(directory)
        database = Postgres(base=directory)
        server = Aaad(
            directory / "n", NAS + 'quantum = "fixed"\n', database.create("bench"), ["--workers", str(WORKERS)]
        )
        try:
            server.start()
            server.apply(provisioned({f"u{n}": PURSE for n in range(1, USERS + 1)}))
            _load(program, server, 2)
            _load(program, server, SECONDS, database.pid)
            verified(server)
        finally:
            server.stop()
            database.stop()
    return 0


def _load(program: Path, server: Aaad, seconds: int, database_pid: int | None = None) -> None:
    """Drive both workers for so long; the first run, without a database to look at, only warms up."""
    share = USERS // WORKERS
    before = (processor_s(server.pid), processor_s(database_pid or 0))
    options = ["--users", str(share), "-c", str(64 // WORKERS), "--duration", str(seconds), "--warmup", "0"]
    runs = [
        radload.start(
            program,
            server.ports,
            source,
            *options,
            *("--nas-id", f"nas-{index}", "--first-user", str(1 + index * share), "--seed", f"{index}{seconds}"),
        )
        for index, source in enumerate(SOURCES)
    ]
    found = [radload.finish(run) for run in runs]
    if database_pid is None:
        return
    requests = sum(each["latency"]["all"]["n"] for each in found)
    spent = (processor_s(server.pid) - before[0], processor_s(database_pid) - before[1])
    shares = [each / requests * 1e6 for each in spent]
    p50, p99 = (max(each["latency"]["all"][name] for each in found) / 1000 for name in ("p50_us", "p99_us"))
    print(
        f"PostgreSQL, {WORKERS} workers                 {requests / seconds:8.0f} req/s  p50 {p50:6.2f} ms  "
        f"p99 {p99:6.2f} ms  CPU {sum(shares):5.0f} us/request (aaad {shares[0]:.0f}, db {shares[1]:.0f})",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
