"""Every revision of a CDR is in exactly one closed file, whatever happens in between."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aaa.api import exports
from aaa.api.housekeeping import prune
from aaa.config.sections import Export
from tests.support.control import World


@pytest.fixture
def directory(world: World, tmp_path: Path) -> Path:
    """A world that exports, with three calls that ended."""
    made = tmp_path / "cdrs"
    made.mkdir()
    world.context.config = dataclasses.replace(world.context.config, export=Export(directory=str(made)))
    world.apply()
    for number in range(3):
        calls(world, f"call-{number}")
    return made


def calls(world: World, key: str) -> None:
    world.begin(key)
    world.end(key, seconds=10 + len(key))


def rows(directory: Path) -> list[tuple[str, str]]:
    """Id and revision of every record of every closed file, in the order of the files."""
    found = []
    for path in sorted(directory.glob("*.csv")):
        with path.open(newline="") as file:
            found += [(row["id"], row["revision"]) for row in csv.DictReader(file)]
    return found


def test_what_was_exported_is_not_exported_again(world: World, directory: Path):
    """Files are numbered without a gap; a run that finds nothing makes none."""
    first = world.api.post("/v1/cdr-files").json()
    nothing = world.api.post("/v1/cdr-files").json()
    calls(world, "call-4")
    second = world.api.post("/v1/cdr-files").json()

    assert [(1, "cdr-000000001.csv", 3)] == [(file["number"], file["name"], file["records"]) for file in first]
    assert [] == nothing
    assert [(2, 1)] == [(file["number"], file["records"]) for file in second]
    assert 4 == len(rows(directory)) == len(set(rows(directory)))
    content = (directory / "cdr-000000001.csv").read_bytes()
    assert hashlib.sha256(content).hexdigest() == world.get("cdr-files")["items"][0]["sha256"]


def test_many_cdrs_make_several_files(world: World, directory: Path, monkeypatch: pytest.MonkeyPatch):
    """A file has a bounded size; together they have everything once."""
    monkeypatch.setattr(exports, "RECORDS_MAX", 2)
    monkeypatch.setattr(exports, "PAGE", 1)
    files = world.api.post("/v1/cdr-files").json()

    assert [2, 1] == [file["records"] for file in files]
    assert 3 == len(set(rows(directory)))


@pytest.mark.parametrize("crash", ["announced", "part", "renamed"])
def test_a_crash_is_followed_by_the_same_file(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch, crash: str
):
    """Announced only, half written, or renamed and not noted: the same number comes with the same records."""
    with monkeypatch.context() as patch:
        if crash == "announced":
            patch.setattr(exports, "_text", _crash)
        elif crash == "part":
            patch.setattr(Path, "rename", _crash)
        else:
            patch.setattr(exports, "_note", _crash_closing(exports._note))
        with pytest.raises(RuntimeError):
            exports.export(world.context)
    (closed,) = exports.export(world.context)

    assert (1, 3) == (closed.number, closed.records)
    assert [] == list(directory.glob("*.part"))
    assert 3 == len(rows(directory)) == len(set(rows(directory)))


def test_a_revised_cdr_comes_again_with_its_revision(world: World, directory: Path):
    """A session settled by its deadline was exported; its late Stop makes revision 2."""
    number = world.begin("late")
    world.api.post(f"/v1/sessions/{number}/settle")
    exports.export(world.context)
    world.end("late", seconds=30)
    exports.export(world.context)

    assert [(number, "1"), (number, "2")] == [row for row in rows(directory) if row[0] == number]


def test_a_revision_between_announcing_and_writing_goes_out_once(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    """The file holds what the CDR is when it is written, and no later file repeats it."""
    number = world.begin("late")
    world.api.post(f"/v1/sessions/{number}/settle")
    with monkeypatch.context() as patch:
        patch.setattr(exports, "_text", _crash)
        with pytest.raises(RuntimeError):
            exports.export(world.context)
    world.end("late", seconds=30)

    assert [4] == [file.records for file in exports.export(world.context)]
    assert [(number, "2")] == [row for row in rows(directory) if row[0] == number]


def test_a_file_that_has_its_name_stays_as_it_is(world: World, directory: Path, monkeypatch: pytest.MonkeyPatch):
    """It may have been fetched: what was revised after the crash comes in a later file."""
    number = world.begin("late")
    world.api.post(f"/v1/sessions/{number}/settle")
    with monkeypatch.context() as patch:
        patch.setattr(exports, "_note", _crash_closing(exports._note))
        with pytest.raises(RuntimeError):
            exports.export(world.context)
    content = (directory / "cdr-000000001.csv").read_bytes()
    world.end("late", seconds=30)
    files = exports.export(world.context)

    assert [4, 1] == [file.records for file in files]
    assert content == (directory / "cdr-000000001.csv").read_bytes()
    assert [(number, "1"), (number, "2")] == [row for row in rows(directory) if row[0] == number]


def test_a_revision_while_a_file_is_written_is_for_the_next(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch
):
    """The record is left out of the file that would have held its earlier revision."""
    number = world.begin("late")
    world.api.post(f"/v1/sessions/{number}/settle")
    monkeypatch.setattr(exports, "_text", _after(exports._text, lambda: world.end("late", seconds=30)))
    files = exports.export(world.context)

    assert [3, 1] == [file.records for file in files]
    assert [(number, "2")] == [row for row in rows(directory) if row[0] == number]


def test_a_revision_that_another_node_exported_is_left_to_it(
    world: World, directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Announced here with revision 1; revised, and exported there with revision 2 before this node wrote its file."""
    number = world.begin("late")
    world.api.post(f"/v1/sessions/{number}/settle")
    with monkeypatch.context() as patch:
        patch.setattr(exports, "_text", _crash)
        with pytest.raises(RuntimeError):
            exports.export(world.context)
    world.end("late", seconds=30)
    there = tmp_path / "there"
    there.mkdir()
    here = world.context.config
    other = here.server.model_copy(update={"node": "n2"})
    world.context.config = dataclasses.replace(here, server=other, export=Export(directory=str(there)))
    elsewhere = exports.export(world.context)
    world.context.config = here
    (closed,) = exports.export(world.context)

    assert [(2, 1)] == [(file.number, file.records) for file in elsewhere]
    assert (1, 3) == (closed.number, closed.records)
    assert [(number, "2")] == rows(there)
    assert [] == [row for row in rows(directory) if row[0] == number]


def test_without_a_directory_nothing_is_exported(world: World):
    """The reason says what to configure."""
    refused = world.api.post("/v1/cdr-files")

    assert 422 == refused.status_code
    assert "[export] directory" in json.dumps(refused.json())


def test_old_cdrs_are_pruned_once_they_were_exported(world: World, directory: Path):
    """Retention over, not exported: kept; exported: gone, and the ledger still adds up."""
    world.now_us += 401 * 86_400 * 1_000_000
    kept = prune(world.context)
    exports.export(world.context)
    gone = prune(world.context)

    assert (0, 3) == (kept, gone)
    assert [] == world.get("cdrs")["items"]
    assert 0 == world.get("ledger/verify")["mismatches"]
    assert [] == exports.export(world.context)


def _after(function: Callable[..., Any], work: Callable[[], object]) -> Callable[..., Any]:
    """A function before whose first call something happens."""
    done: list[object] = []

    def called(*arguments: Any) -> Any:
        if not done:
            done.append(work())
        return function(*arguments)

    return called


def _crash(*_arguments: object) -> None:
    raise RuntimeError("crash")


def _crash_closing(note: Callable[..., None]) -> Callable[..., None]:
    """A crash once the file has its name."""

    def noted(context: object, number: int, **values: object) -> None:
        if "closed_at" in values:
            raise RuntimeError("crash")
        note(context, number, **values)

    return noted
