"""`aaactl apply`: make the server hold what a file says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.errors import NOT_FOUND, CliError
from aaa.cli.main import Options
from aaa.cli.output import FORMATS, progress, show_one

# Files the apply file names, read here: the server needs no access to the operator's directory.
_NAMED = re.compile(r"""^\s*(?:rates_file|secret_file)\s*=\s*(?:"([^"\\]+)"|'([^']+)')""", re.MULTILINE)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("-o", "--output", "form_here", type=click.Choice(FORMATS), help="Output format.")
@click.pass_obj
def command(options: Options, file: Path, dry_run: bool, form_here: str | None) -> None:
    """Create what is missing, change what differs, delete nothing; safe to run twice."""
    options.form = form_here or options.form
    body = body_of(file)
    result: dict[str, Any] = {}
    for document in options.client.progress(path_of("apply"), body, {"dry_run": dry_run}):
        if "done" in document:
            progress(document["done"], document["of"], f"applying {file.name}")
        else:
            result = document
    for warning in result["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if options.form != "table":
        show_one(result, options.form)
        return
    if dry_run:
        for action in result["actions"]:
            print(f"would have {action}")
    print(f"created {result['created']}, changed {result['changed']}, unchanged {result['unchanged']}")


def body_of(file: Path) -> dict[str, Any]:
    """An apply file and the files it names, as the server wants them."""
    text = _read(file)
    named = {a or b for a, b in _NAMED.findall(text)}
    files = {name: _read(file.parent / name) for name in sorted(named) if (file.parent / name).is_file()}
    return {"file": str(file), "text": text, "files": files}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError("not_found", f"{path}: {error.strerror}", NOT_FOUND) from error
    except UnicodeDecodeError as error:
        raise CliError("refused", f"{path}: not UTF-8 at octet {error.start}") from error
