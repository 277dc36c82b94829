"""
What commands print: tables for people, JSON, JSON lines and CSV for programs (OPERATIONS section 2).

A list is written as it comes, so that a million rows need the memory of one page; a table for a terminal
is drawn in pieces of a few hundred rows.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from aaa.cli.errors import CliError

FORMATS = ("table", "json", "jsonl", "csv")
ROWS_PER_TABLE = 500


class Column(NamedTuple):
    """A column of a table: its title and the dotted path of its value."""

    title: str
    path: str


def columns(*paths: str) -> tuple[Column, ...]:
    """
    Columns from `path` or `path=title`.

    >>> columns("id", "lines.0.prefix=prefix")[1]
    Column(title='prefix', path='lines.0.prefix')
    """
    split = (path.partition("=") for path in paths)
    return tuple(Column(title or path.rpartition(".")[2], path) for path, _, title in split)


def show_rows(rows: Iterable[Any], shown: Sequence[Column], form: str) -> int:
    """Print a list; returns how many rows it had."""
    if form == "json":
        return _json_array(rows)
    if form == "jsonl":
        return sum(1 for row in rows if print(json.dumps(row)) is None)
    if form == "csv":
        return _csv(rows, shown)
    return _table(rows, shown)


def show_one(document: Any, form: str) -> None:
    """Print one object."""
    if form in ("json", "jsonl"):
        print(json.dumps(document, indent=2 if form == "json" else None))
    elif form == "csv":
        import csv  # noqa: PLC0415

        csv.writer(sys.stdout).writerows([document.keys(), [cell(value) for value in document.values()]])
    else:
        width = max((len(key) for key in document), default=0)
        for key, value in document.items():
            _show_field(key.ljust(width), value)


def _show_field(label: str, value: Any) -> None:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        print(label.rstrip())
        for item in value:
            print(
                "  " + "  ".join(f"{key}={cell(inner)}" for key, inner in item.items() if inner not in (None, "", []))
            )
    else:
        print(f"{label}  {cell(value)}".rstrip())


def show_error(error: CliError, form: str) -> None:
    """Print why a command failed, on stderr."""
    if form in ("json", "jsonl"):
        body: dict[str, Any] = {"code": error.code, "message": error.message}
        body |= {"hint": error.hint} if error.hint else {}
        body |= {"errors": error.lines} if error.lines else {}
        print(json.dumps({"error": body}), file=sys.stderr)
        return
    for line in error.lines or [error.message]:
        print(line, file=sys.stderr)
    if error.hint:
        print(f"({error.hint})", file=sys.stderr)


def clear(form: str) -> None:
    """Empty the screen before a table is shown again, on a terminal only."""
    if form == "table" and sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")


def cell(value: Any) -> str:
    """
    A value as text of one cell.

    >>> cell({"amount": "1.500000", "currency": "EUR"}), cell(None), cell(True), cell(["a", "b"])
    ('1.5000 EUR', '-', 'yes', 'a b')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{_short(value['amount'])} {value['currency']}".rstrip()
    if isinstance(value, dict):
        return " ".join(f"{key}={cell(inner)}" for key, inner in value.items() if inner is not None) or "-"
    if isinstance(value, list):
        return " ".join(cell(inner) for inner in value) or "-"
    return str(value)


def at_path(row: Any, path: str) -> Any:
    """
    The value at a dotted path, None where there is none.

    >>> at_path({"lines": [{"prefix": "44"}]}, "lines.0.prefix"), at_path({}, "a.b")
    ('44', None)
    """
    for part in path.split("."):
        try:
            row = row[int(part)] if isinstance(row, list) else row[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return row


def progress(done: int, of: int, what: str) -> None:
    """Show progress on a terminal's stderr; silent elsewhere."""
    if sys.stderr.isatty():
        share = 100 * done // of if of else 100
        end = "\n" if done >= of else ""
        print(f"\r{what}: {done} of {of} ({share} %)", end=end, file=sys.stderr, flush=True)


def _short(amount: str) -> str:
    """An amount without the last two of its six decimals when they are 0."""
    return amount.removesuffix("00")


def _json_array(rows: Iterable[Any]) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):
        print("[" if count == 1 else ",")
        print(json.dumps(row), end="")
    print("[]" if not count else "\n]")
    return count


def _csv(rows: Iterable[Any], shown: Sequence[Column]) -> int:
    import csv  # noqa: PLC0415

    writer = csv.writer(sys.stdout)
    writer.writerow([column.title for column in shown])
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the result
        writer.writerow([_plain(at_path(row, column.path)) for column in shown])
    return count


def _plain(value: Any) -> str:
    """A value for a program: exact amounts, empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return str(value["amount"])
    return cell(value) if isinstance(value, dict | list | bool) else str(value)


def _table(rows: Iterable[Any], shown: Sequence[Column]) -> int:
    source = iter(rows)
    count = 0
    is_terminal = sys.stdout.isatty()
    piece = list(islice(source, ROWS_PER_TABLE))
    if not is_terminal:
        print("\t".join(column.title for column in shown))
    while piece:
        count += len(piece)
        cells = ([cell(at_path(row, column.path)) for column in shown] for row in piece)
        if is_terminal:
            _draw(cells, shown)
        else:
            for row in cells:
                print("\t".join(row))
        piece = list(islice(source, ROWS_PER_TABLE))
    return count


def _draw(cells: Iterator[list[str]], shown: Sequence[Column]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 15 ms, for terminals only
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column.title, overflow="fold")
    for row in cells:
        table.add_row(*row)
    Console(no_color="NO_COLOR" in os.environ, highlight=False).print(table)
