"""The reference says what the code does; the tutorial does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aaa.ops import manual
from aaa.ops.reference import pages

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", ["configuration.md", "apply.md", "metrics.md"])
def test_pages_are_fresh(name):
    """Make them with `python -m aaa.ops.reference docs/reference`."""
    assert pages()[name] == (DOCS / "reference" / name).read_text(encoding="utf-8")


def test_the_page_of_commands_is_fresh():
    """Nouns, verbs and options; how click words a default differs between its releases."""
    told = re.compile(r"^### .*|^\* `(?:-\w, )?(--[a-z-]+)", re.MULTILINE)
    committed = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")

    assert told.findall(pages()["command-line.md"]) == told.findall(committed)


def test_the_manual_pages_are_fresh():
    """Make them with `python -m aaa.ops.manual docs/man`; nouns, verbs, options and exit codes are compared."""
    told = re.compile(r"^\.(?:SH|SS|B) .*", re.MULTILINE)
    for name, page in manual.pages().items():
        assert told.findall(page) == told.findall((DOCS / "man" / name).read_text(encoding="utf-8")), name


def contract(document: dict[str, Any]) -> dict[str, Any]:
    """What callers depend on, without what differs between releases of the generator."""
    operations = {
        f"{method} {path}": (
            sorted(parameter["name"] for parameter in operation.get("parameters", ())),
            sorted(operation["responses"]),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    schemas = document["components"]["schemas"]
    return {"operations": operations, "shapes": {name: sorted(schemas[name].get("properties", ())) for name in schemas}}


def test_the_openapi_document_is_fresh():
    """A route or field that changed must change the committed document too."""
    committed = json.loads((DOCS / "reference/openapi.json").read_text(encoding="utf-8"))

    assert contract(json.loads(pages()["openapi.json"])) == contract(committed)


def test_links_between_pages_lead_somewhere():
    """No page was renamed under another."""
    written = {"tariffs.md", "design.md"}  # their own pages
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            assert target.exists() or target.name in written, f"{page.name}: {link}"


def test_the_tutorial_ends_with_the_call_cut_at_zero(tmp_path):
    """Every block of it, run by a shell in a clean directory."""
    for name, module in (("aaactl", "aaa.cli"), ("aaad", "aaa.app")):
        wrapper = tmp_path / "bin" / name
        wrapper.parent.mkdir(exist_ok=True)
        program = f"import sys; sys.argv[0] = {name!r}; from {module} import main; sys.exit(main())"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$@"\n')
        wrapper.chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / "tutorial/cut-at-zero.md").read_text(encoding="utf-8"), re.DOTALL)
    environ = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-eu", "-c", "\n".join(blocks)],
        cwd=here,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = (here / "aaad.log").read_text() if (here / "aaad.log").exists() else ""

    assert 0 == done.returncode, done.stdout + done.stderr + log
    assert "created 4, changed 0, unchanged 0\ncreated 0, changed 0, unchanged 4\n" in done.stdout
    assert "affordable now  150 seconds" in done.stdout
    assert re.search(r"refill\tAccess-Request\tAccess-Reject.*\t150\t150\t", done.stdout)
    assert re.search(r"^balance +0\.0000 EUR$", done.stdout, re.MULTILINE)
    assert "-0.3000 EUR\t0.0000 EUR\tcharge" in done.stdout
    assert "0 mismatches in" in done.stdout
