"""The reference says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aaa.ops import manual
from aaa.ops.reference import pages

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    "name", ["configuration.md", "apply.md", "metrics.md", "radius.md", "diameter.md", "events.md"]
)
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
