"""
Where a key stands in a TOML text: the line numbers that error messages name.

`tomllib` forgets positions, so this walks the lines once, only after something was found wrong.  It
knows headers, keys, multi-line strings and arrays; keys inside inline tables get the line of the table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*')


def locate(text: str) -> dict[Path, int]:
    """
    Line numbers, from 1, of every table header and key; elements of arrays of tables are numbered from 0.

    >>> locate('[[nas]]\\nname = "a"\\n[[nas]]\\nname = "b"')[("nas", 1, "name")]
    4
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in _statements(text):
        if header := _HEADER.match(line):
            table = _resolve(counts, _parts(header[2]), header[1] == "[[")
            lines.setdefault(table[:-1] if header[1] == "[[" else table, number)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            path = table
            for part in _parts(key[1]):
                path = (*path, part)
                lines.setdefault(path, number)
    return lines


def line_of(lines: dict[Path, int], path: Sequence[str | int]) -> int | None:
    """The line of a path, or of the nearest table around it."""
    here = tuple(path)
    while here:
        if here in lines:
            return lines[here]
        here = here[:-1]
    return None


def table_name(path: Sequence[str | int]) -> str:
    """
    How a table is called in a message.

    >>> table_name(("account", 2, "subscription", 0))
    '[[account.subscription]]'
    """
    names = ".".join(str(part) for part in path if isinstance(part, str))
    return f"[[{names}]]" if path and isinstance(path[-1], int) else f"[{names}]"


def syntax_problem(error: tomllib.TOMLDecodeError) -> tuple[int | None, str]:
    """Line and reason of a TOML syntax error."""
    found = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", str(error), re.DOTALL)
    if found is None:
        return None, f"not valid TOML: {error}"
    return int(found[2]), f"not valid TOML: {found[1]} (column {found[3]})"


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _resolve(counts: dict[Path, int], parts: list[str], is_element: bool) -> Path:
    """The path of a header, with the index of every array of tables it passes through."""
    path: Path = ()
    for position, part in enumerate(parts):
        path = (*path, part)
        if position == len(parts) - 1 and is_element:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Lines that begin a statement: not those inside a multi-line string or array."""
    quote = ""
    depth = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if quote:
            if quote in line:
                quote = ""
            continue
        if depth == 0:
            yield number, line
        if _HEADER.match(line) and depth == 0:
            continue
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quote = mark
        bare = _STRINGS.sub("", line.replace('"""', "").replace("'''", ""))
        depth = max(0, depth + bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}"))
