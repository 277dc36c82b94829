"""`python -m tests.sim --seed 7 --sessions 100000 --nodes 2`: one run of the simulator, without limit."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.sim.errors import LawBroken
from tests.sim.simulator import Simulator


def main() -> int:
    """Run one seed and print what happened; exit code 1 when a law was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--outages", action="store_true", help="let the store go away at times")
    options = parser.parse_args()
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="aaa-sim-", dir=memory if memory.is_dir() else None))
    began = time.monotonic()
    what = f"seed {options.seed}, {options.sessions} sessions, {options.nodes} node{'s'[: options.nodes > 1]}"
    try:
        stats = Simulator(directory, options.seed, options.sessions, options.nodes, outages=options.outages).run()
    except LawBroken as broken:
        print(f"BROKEN {broken}")
        return 1
    finally:
        shutil.rmtree(directory)
    print(f"{what}, {time.monotonic() - began:.0f} s: no law broken")
    print(", ".join(f"{name} {count}" for name, count in sorted(stats.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
