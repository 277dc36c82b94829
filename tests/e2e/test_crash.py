"""
kill -9 at any moment under load: whatever was answered is in the rows, exactly once (L4, L5, L6).
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import radload
from tests.support.calls import USERS, Load, check
from tests.support.process import NAS, Aaad, provisioned

CONFIG = NAS + 'quantum = "fixed"\nquantum_fixed = "30s"\n'


@pytest.mark.parametrize("kills", [4])
def test_what_was_answered_survives_kill_9(aaad: Callable[..., Aaad], kills: int) -> None:
    server = aaad(CONFIG)
    server.apply(provisioned({f"u{n}": "100000.00" for n in range(USERS)}))
    load = Load(server, 24)
    rng = random.Random(7)
    try:
        for _ in range(kills):
            load.run(0.5 + rng.random())
            server.kill()
            check(server, [*load.over, *load.active.values()])
            server.start()
        load.run(1.0)
    finally:
        load.close()

    check(server, [*load.over, *load.active.values()])
    assert len(load.over) > 50
    assert 0 == server.mismatches()
    running = {s["key"].rpartition(":")[2]: s for s in server.sessions()}
    for call in load.active.values():
        if call.stage in (3, 4) and call.sid in running:
            assert call.answered["total"] <= running[call.sid]["used"]


def test_radload_with_duplicates_and_drops_over_a_kill_9(aaad: Callable[..., Aaad], tmp_path: Path) -> None:
    """
    radload checks every answer itself; a restart in its middle loses nothing and charges nothing twice.
    """
    program = radload.build(tmp_path)
    server = aaad(CONFIG)
    server.apply(provisioned({f"u{n}": "100000.00" for n in range(USERS)}))
    ports = ["--auth-port", str(server.ports["auth"]), "--acct-port", str(server.ports["acct"])]
    users = ["--users", str(USERS - 1), "--first-user", "1", "--user-fmt", "u%u", "--pass-fmt", "u%u"]
    trouble = ["--dup-pct", "20", "--drop-pct", "5", "--timeout-ms", "300", "--retries", "60"]
    run = subprocess.Popen(
        [str(program), *ports, *users, *trouble, "--calls", "1500", "-c", "24", "--seed", "3", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(0.4)
    server.kill()
    server.start()
    output, _ = run.communicate(timeout=120)

    assert 0 == run.returncode, output
    assert 0 == server.mismatches()
    charged = server.rows("SELECT count(*), count(DISTINCT ref) FROM ledger_entry WHERE cause='charge'")[0]
    assert 1500 == charged[0] == charged[1]
