"""Closed files of CDRs from several nodes of one database, and after a copy of it was put back."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from aaa.cli.main import run
from tests.support.calls import USERS, Load
from tests.support.postgres import BINARIES
from tests.support.process import NAS, Aaad, provisioned

NUMBERS = count(step=10_000)  # of the first call each time
BALANCES = {f"u{number}": "10000.00" for number in range(USERS)}


def exporting(directory: Path) -> str:
    """A configuration that exports once a second into a directory."""
    directory.mkdir()
    return f'[export]\ndirectory = "{directory}"\ninterval = "1s"\n{NAS}quantum = "fixed"\nquantum_fixed = "30s"\n'


def records(*directories: Path) -> list[tuple[str, str]]:
    """Id and revision of every record of every file."""
    found = []
    for path in sorted(path for directory in directories for path in directory.glob("*.csv")):
        with path.open(newline="") as file:
            found += [(row["id"], row["revision"]) for row in csv.DictReader(file)]
    return found


def calls(server: Aaad, seconds: float) -> None:
    """Calls nobody made before, for a while, all of them to their end."""
    load = Load(server, 8)
    load.begun = next(NUMBERS)
    load.run(seconds)
    load.run(10, begins=False)
    load.close()


@pytest.mark.skipif(not BINARIES, reason="PostgreSQL is not installed")
def test_nodes_of_one_database_export_every_cdr_once(database: str, aaad: Callable[..., Aaad], tmp_path: Path):
    """Both export while calls end on both and operators ask for more: no record twice, no number twice or left out."""
    places = [tmp_path / "cdrs-1", tmp_path / "cdrs-2"]
    nodes = [aaad(exporting(place), url=database, node=place.name) for place in places]
    nodes[0].apply(provisioned(BALANCES))
    for _ in range(3):
        for node in nodes:
            calls(node, 0.4)
            node.api("POST", "/v1/cdr-files")
    nodes[1].api("POST", "/v1/cdr-files")
    nodes[0].api("POST", "/v1/cdr-files")
    ended = [(str(number), str(revision)) for number, revision in nodes[0].rows("SELECT id, revision FROM cdr")]
    files = nodes[0].api("GET", "/v1/cdr-files?limit=1000")["items"]
    exported = records(*places)

    assert sorted(ended) == sorted(exported)
    assert list(range(1, len(files) + 1)) == [file["number"] for file in files]
    assert all(file["records"] and file["sha256"] for file in files)
    assert {"cdrs-1", "cdrs-2"} == {file["node"] for file in files}
    assert [] == [line for node in nodes for line in node.api("GET", "/v1/log")]


def test_a_restored_database_exports_nothing_again(aaad: Callable[..., Aaad], tmp_path: Path):
    """Backed up while it serves; what was exported after that stays exported, and session ids go on."""
    place = tmp_path / "cdrs"
    server = aaad(exporting(place))
    server.apply(provisioned(BALANCES))
    offline = ["--config", str(server.config), "db"]
    calls(server, 0.5)
    backed_up = run([*offline, "backup", str(tmp_path / "copy.db")])
    calls(server, 0.5)
    server.api("POST", "/v1/cdr-files")
    before = records(place)
    server.stop()
    restored = run([*offline, "restore", str(tmp_path / "copy.db"), "--yes"])
    server.start()
    calls(server, 0.5)
    server.api("POST", "/v1/cdr-files")
    after = records(place)

    assert (0, 0) == (backed_up, restored)
    assert len(after) == len(set(after)) > len(before) > 0
    assert before == after[: len(before)]
    assert 0 == server.mismatches()
