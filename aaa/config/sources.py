"""
Where configuration comes from, merged in order: file, conf.d, environment, command line.

Later wins; tables merge and arrays of tables append.  Every value remembers where it was written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from aaa.config.locate import Path, line_of, locate, syntax_problem
from aaa.config.problems import Problem

ENVIRONMENT_PREFIX = "AAA__"
FILE_SIZE_MAX = 16 * 1024 * 1024


@dataclass
class Sources:
    """The merged tables, the places they came from, and what could not be read."""

    tables: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, tuple[str, int | None]] = field(default_factory=dict)
    files: list[FilePath] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path) -> tuple[str, int | None]:
        """File and line of a key, or of the nearest table around it; the main file when nobody wrote it."""
        here = path
        while here:
            if here in self.places:
                return self.places[here]
            here = here[:-1]
        return (str(self.files[0]), None) if self.files else ("defaults", None)

    def origin(self, path: Path) -> str:
        """Who decided a value: `file:line`, `environment NAME`, `command line` or `default`."""
        if path not in self.places:
            return "default"
        where, line = self.places[path]
        return f"{where}:{line}" if line else where


class _File(NamedTuple):
    """A file that was read: its name and where its keys stand."""

    name: str
    lines: dict[Path, int]

    def place(self, path: Path) -> tuple[str, int | None]:
        return self.name, line_of(self.lines, path)


def gather(path: FilePath, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Sources:
    """Read and merge all sources; what cannot be read is among `problems`."""
    sources = Sources()
    for file in [path, *sorted(path.parent.glob("conf.d/*.toml"))]:
        _add_file(sources, file)
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = tuple(part.lower() for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__"))
            _add_value(sources, keys, _environment_value(environ[name]), f"environment {name}")
    for dotted, value in overrides.items():
        _add_value(sources, tuple(dotted.split(".")), value, "command line")
    return sources


def _add_file(sources: Sources, file: FilePath) -> None:
    sources.files.append(file)
    try:
        if file.stat().st_size > FILE_SIZE_MAX:
            sources.problems.append(Problem(str(file), None, "", "", f"larger than {FILE_SIZE_MAX} octets"))
            return
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        sources.problems.append(Problem(str(file), None, "", "", error.strerror or str(error)))
        return
    except UnicodeDecodeError as error:
        sources.problems.append(Problem(str(file), None, "", "", f"not UTF-8 at octet {error.start}"))
        return
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, reason = syntax_problem(error)
        sources.problems.append(Problem(str(file), line, "", "", reason))
        return
    _merge(sources, sources.tables, tables, target=(), source=(), file=_File(str(file), locate(text)))


def _merge(
    sources: Sources, into: dict[str, Any], new: dict[str, Any], *, target: Path, source: Path, file: _File
) -> None:
    """Merge `new` into `into`; `target` and `source` are their paths, which differ in array indexes only."""
    for key, value in new.items():
        here, there = (*target, key), (*source, key)
        if isinstance(value, dict) and isinstance(into.get(key, {}), dict):
            _merge(sources, into.setdefault(key, {}), value, target=here, source=there, file=file)
        elif _is_table_array(value) and isinstance(into.get(key, []), list):
            array = into.setdefault(key, [])
            for index, element in enumerate(value):
                array.append({})
                at = (*here, len(array) - 1)
                sources.places[at] = file.place((*there, index))
                _merge(sources, array[-1], element, target=at, source=(*there, index), file=file)
        else:
            into[key] = value
        sources.places[here] = file.place(there)


def _is_table_array(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, dict) for element in value)


def _add_value(sources: Sources, keys: tuple[str, ...], value: Any, where: str) -> None:
    table = sources.tables
    for depth, key in enumerate(keys[:-1], start=1):
        sources.places.setdefault(keys[:depth], (where, None))
        below = table.setdefault(key, {})
        if not isinstance(below, dict):
            reason = f"{'.'.join(keys[:-1])} is no table, it cannot be reached from here"
            sources.problems.append(Problem(where, None, "", "", reason))
            return
        table = below
    table[keys[-1]] = value
    sources.places[keys] = (where, None)


def _environment_value(text: str) -> Any:
    """A list or inline table is written as in TOML; everything else is its text."""
    if text[:1] in ("[", "{"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text
