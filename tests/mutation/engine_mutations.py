"""
Plant bugs in the engine, the node and the store, and see that the simulator finds each.

Run as `python -m tests.mutation.engine_mutations`; `--only TEXT` takes the bugs whose description contains it.
Each replaces one passage of one module in a copy of the project and runs the simulator there, with one node
and with three; a run that breaks a law, fails or hangs has found it.  A passage that is not found exactly once
is an error, so the list cannot go stale unnoticed.  Exit 1 when a bug stays hidden.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
RUNS = ((1, 1), (3, 2), (1, 3), (3, 4))  # nodes and seed
SESSIONS = 1500
TIMEOUT_S = 60  # a run without a bug takes a few seconds


class Bug(NamedTuple):
    """One way to break one module."""

    what: str
    module: str
    old: str
    new: str


BUGS = [
    # sums of an account
    Bug("old hold not given back", "aaa/engine/sums.py", "        reserved -= line.reserved_micro\n", ""),
    Bug("usage not accrued", "aaa/engine/sums.py", "        accrued += line.accrued_micro\n", ""),
    Bug("entry numbers with gaps", "aaa/engine/sums.py", "account.entry_no + 1", "account.entry_no + 2"),
    Bug("money posted with the wrong sign", "aaa/engine/settle.py", ", -due_micro, kind", ", due_micro, kind"),
    Bug(
        "available forgets what is held",
        "aaa/engine/model.py",
        "self.balance_micro + limit - self.reserved_micro",
        "self.balance_micro + limit",
    ),
    # sessions
    Bug(
        "a new session does not count as live",
        "aaa/engine/begin.py",
        "moved(account, (), lines, live=1)",
        "moved(account, (), lines)",
    ),
    Bug("an ended session still counts as live", "aaa/engine/settle.py", "live=-1 if was_live else 0", "live=0"),
    Bug(
        "a session that lives again is not counted",
        "aaa/engine/update.py",
        "moved(account, (), (), live=1)",
        "moved(account, (), ())",
    ),
    Bug("a grant holds nothing", "aaa/engine/lines.py", "accrued, held - posted, posted,", "accrued, accrued, posted,"),
    Bug("only the last line is charged", "aaa/engine/settle.py", "due_micro += amount", "due_micro = amount"),
    Bug(
        "a correction posts the whole charge again",
        "aaa/engine/lines.py",
        "    ), charge - line.posted_micro",
        "    ), charge",
    ),
    Bug(
        "a delta is taken as a total",
        "aaa/engine/lines.py",
        "before + max(0, usage.units)",
        "max(before, usage.units)",
    ),
    Bug("an ended session is settled again", "aaa/engine/end.py", "session.state is State.CLOSED:", "False:"),
    Bug(
        "a debit posts nothing", "aaa/engine/event.py", "True, result.entries, result.units, True", "True, (), (), True"
    ),
    # repeats
    Bug(
        "a repeated report counts again",
        "aaa/engine/update.py",
        "    before = known(session, command.identity, now)\n    if before is not None:\n        return repeated(session, before.answer)\n    if session.state is State.CLOSED:",
        "    if session.state is State.CLOSED:",
    ),
    Bug("the last number is new once more", "aaa/engine/identity.py", "    if behind < 0:", "    if behind <= 0:"),
    Bug(
        "a repeated grant is decided anew",
        "aaa/engine/update.py",
        "    before = known(session, command.identity, now)\n    if before is not None:\n        return repeated(session, before.answer)\n    refusal",
        "    refusal",
    ),
    Bug(
        "a top-up is not remembered",
        "aaa/node/desk.py",
        "        self.batch[account_id].rarely().movements.append((command.idempotency_key, digest, result, request.now))\n",
        "",
    ),
    # batches
    Bug(
        "answers go out before the commit",
        "aaa/node/node.py",
        "        batch = self.desk.take()\n        restarts",
        "        batch = self.desk.take()\n        for stage in batch.values():\n            self.answer(stage.requests)\n            stage.requests = []\n        restarts",
    ),
    Bug("losers are answered", "aaa/node/node.py", "for number in outcome.losers:", "for number in ():"),
    Bug(
        "what a failed batch touched stays cached",
        "aaa/node/node.py",
        "        self._forget_early(stage)\n        self.cache.drop_account(number)\n",
        "        self._forget_early(stage)\n",
    ),
    Bug(
        "the version is taken too early", "aaa/node/desk.py", "stage.version = cached.version\n", "stage.version = 0\n"
    ),
    # rows
    Bug(
        "a session row without what it used",
        "aaa/store/batch.py",
        "        session.deadline_us,\n        session.accrued_micro,\n        session.reserved_micro,\n        body_text(session),\n        session.head.id,",
        "        session.deadline_us,\n        0,\n        session.reserved_micro,\n        body_text(session),\n        session.head.id,",
    ),
    Bug(
        "only one account's entries are written",
        "aaa/store/sqlite.py",
        "entries += stage.entries",
        "entries = stage.entries",
    ),
    Bug("answers are not stored", "aaa/store/codec.py", "            session.seen,\n", "            (),\n"),
    Bug(
        "due sessions are not found",
        "aaa/store/sqlite.py",
        "WHERE state=1 AND deadline<=?",
        "WHERE state=9 AND deadline<=?",
    ),
]


def copy_project(place: Path) -> None:
    """The packages and the tests, without what was made by running them."""
    for name in ("aaa", "rating", "tests"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "data"))


def finding_run(place: Path) -> int | None:
    """The first run that finds something, counted from 1; None when none does."""
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    for number, (nodes, seed) in enumerate(RUNS, 1):
        options = ["--nodes", str(nodes), "--seed", str(seed), "--sessions", str(SESSIONS)]
        command = [sys.executable, "-m", "tests.sim", *options]
        try:
            done = subprocess.run(
                command, cwd=place, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return number
        if done.returncode:
            return number
    return None


def try_bug(bug: Bug, place: Path) -> int | None:
    """Plant one bug, run the simulator, and take it out again."""
    path = place / bug.module
    original = path.read_text()
    if original.count(bug.old) != 1:
        raise SystemExit(f"{bug.what}: {original.count(bug.old)} places for {bug.old!r} in {bug.module}")
    path.write_text(original.replace(bug.old, bug.new))
    try:
        return finding_run(place)
    finally:
        path.write_text(original)


def main() -> None:
    parser = argparse.ArgumentParser(description="Bugs planted in the engine, the node and the store")
    parser.add_argument("--only", default="", help="bugs whose description contains this text")
    chosen = [bug for bug in BUGS if parser.parse_args().only in bug.what]
    hidden = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copy_project(place)
        if finding_run(place) is not None:
            raise SystemExit("the simulator finds something without any bug")
        for bug in chosen:
            begun = time.monotonic()
            run = try_bug(bug, place)
            verdict = "HIDDEN" if run is None else f"found by run {run}"
            print(f"{bug.module:<24} {bug.what:<44} {verdict} ({time.monotonic() - begun:.1f} s)", flush=True)
            if run is None:
                hidden.append(bug)
    print(f"{len(chosen) - len(hidden)} of {len(chosen)} bugs found")
    raise SystemExit(bool(hidden))


if __name__ == "__main__":
    main()
