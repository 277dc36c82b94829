"""A backup can be put back, and what must not be forgotten by it is not."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from aaa.cli.main import run
from aaa.store.sqlite import SqliteStore
from tests.support.control import NOW_US, World, make_config


class Place:
    """A configuration with a database in a directory of its own."""

    def __init__(self, directory: Path, keys, capsys) -> None:
        self.config = make_config(directory)
        self.directory = directory
        self.keys = keys
        self._capsys = capsys

    def db(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run(["--config", str(self.directory / "aaa.toml"), "db", *arguments])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def world(self) -> World:
        return World(self.config, self.keys)

    def rows(self, sql: str) -> list:
        with sqlite3.connect(self.directory / "store.db") as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def place(tmp_path: Path, keys, capsys) -> Place:
    made = Place(tmp_path, keys, capsys)
    world = made.world()
    world.apply()
    world.close()
    return made


def test_a_restored_database_is_that_of_the_backup(place: Place):
    """What came after the backup is kept aside, not lost; the ledger adds up."""
    backup = str(place.directory / "b.db")
    assert 0 == place.db("backup", backup)[0]
    world = place.world()
    world.api.post("/v1/accounts/alice/topups", json={"amount": "1", "idempotency_key": "k"})
    world.close()
    code, out, _ = place.db("restore", backup, "--yes", "-o", "json")
    world = place.world()
    balance = world.get("accounts/alice/balance")["balance"]["amount"]
    mismatches = world.get("ledger/verify")["mismatches"]
    world.close()

    assert (0, "10.000000", 0) == (code, balance, mismatches)
    with sqlite3.connect(json.loads(out)["replaced"]) as aside:
        assert [(11_000_000,)] == aside.execute("SELECT balance FROM account WHERE name='alice'").fetchall()


def test_node_numbers_and_exported_files_survive_a_restore(place: Place):
    """No session id and no file number is used twice."""
    backup = str(place.directory / "b.db")
    place.db("backup", backup)
    store = SqliteStore(place.config.store.url)
    number = store.new_node("n", NOW_US)
    store.provision(
        lambda connection: connection.exec_driver_sql(
            "INSERT INTO cdr_file (number, node, name, records, digest, created_at) VALUES (1,'n','f',1,'d',0)"
        )
    )
    store.close()
    place.db("restore", backup, "--yes")
    store = SqliteStore(place.config.store.url)
    following = store.new_node("n", NOW_US)
    store.close()

    assert following == number + 1
    assert [(1,)] == place.rows("SELECT number FROM cdr_file")


def test_nothing_is_restored_under_a_running_server(place: Place):
    """Exit code 5 and the reason."""
    backup = str(place.directory / "b.db")
    place.db("backup", backup)
    store = SqliteStore(place.config.store.url)
    code, _, err = place.db("restore", backup, "--yes")
    pruned = place.db("prune", "--yes")[0]
    store.close()

    assert (5, 5) == (code, pruned)
    assert "stop the server first" in err


def test_a_damaged_backup_changes_nothing(place: Place):
    """Exit code 6; the database in use is as it was."""
    damaged = place.directory / "d.db"
    damaged.write_bytes(b"SQLite format 3\x00" + bytes(4096))

    assert 6 == place.db("restore", str(damaged), "--yes")[0]
    assert [("alice",), ("bob",)] == place.rows("SELECT name FROM account ORDER BY name")


def test_pruning_counts_first(place: Place):
    """CDRs beyond the retention go, younger ones stay, the ledger is not touched."""
    world = place.world()
    world.begin()
    world.end()
    world.close()
    with sqlite3.connect(place.directory / "store.db") as connection:
        connection.execute("UPDATE cdr SET ended_at = 1")
    counted = json.loads(place.db("prune", "--dry-run", "-o", "json")[1])
    kept = place.rows("SELECT count(*) FROM cdr")
    pruned = json.loads(place.db("prune", "--yes", "-o", "json")[1])

    assert ({"cdrs": 1, "dry_run": True}, [(1,)]) == (counted, kept)
    assert ({"cdrs": 1, "dry_run": False}, [(0,)]) == (pruned, place.rows("SELECT count(*) FROM cdr"))
    assert [(2,)] == place.rows("SELECT count(*) FROM ledger_entry")


def test_the_history_tells_what_is_applied(place: Place):
    """Every revision, and whether the database has it."""
    listed = json.loads(place.db("history", "-o", "json")[1])

    assert [True] == [revision["applied"] for revision in listed]
    assert place.rows("SELECT version_num FROM alembic_version") == [(listed[0]["revision"],)]
