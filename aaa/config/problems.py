"""
What is wrong with a file a person wrote, as lines they can act on: file, line, table, key, reason.

Configuration and `apply` files share it, so that both complain in the same words.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from aaa.config.locate import Path, table_name

PROBLEMS_MAX = 200  # a file that is wrong everywhere is not read further by anybody


class Problem(NamedTuple):
    """One thing that is wrong: the file (or environment variable), the line if known, table, key, reason."""

    where: str
    line: int | None
    table: str
    key: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        named = " ".join(part for part in (self.table, self.key) if part)
        return ": ".join(part for part in (place, named, self.reason) if part)


def problem_at(path: Sequence[str | int], reason: str, where: str, line: int | None) -> Problem:
    """A problem of the key or table at `path`."""
    path = tuple(path)
    if path and isinstance(path[-1], str):
        table = table_name(path[:-1]) if len(path) > 1 else ""
        return Problem(where, line, table, path[-1], reason)
    return Problem(where, line, table_name(path) if path else "", "", reason)


def reasons(error: ValidationError, model: type[BaseModel]) -> list[tuple[Path, str]]:
    """Every finding of a validation as path and reason, with a suggestion for keys that do not exist."""
    found: list[tuple[Path, str]] = []
    for detail in error.errors(include_url=False, include_input=False)[:PROBLEMS_MAX]:
        path = tuple(part for part in detail["loc"])
        found.append((path, _reason(detail, path, model)))
    return found


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """
    A hint for a misspelt name, empty when nothing is near.

    >>> did_you_mean("levle", ["level", "format"])
    '; did you mean "level"?'
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def _reason(detail: Any, path: Path, model: type[BaseModel]) -> str:
    if detail["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, path[:-1]))
        return "unknown key" + (did_you_mean(str(path[-1]), known) or f"; known here: {', '.join(known)}")
    if detail["type"] == "missing":
        return "is required"
    message: str = detail["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "should be")


def _fields_at(model: Any, path: Path) -> list[str]:
    """Names of the keys the table at `path` may have."""
    here: Any = model
    for part in path:
        if isinstance(part, str):
            fields = getattr(here, "model_fields", {})
            if part not in fields:
                return []
            here = _table_type(fields[part].annotation)
    return list(getattr(here, "model_fields", {}))


def _table_type(annotation: Any) -> Any:
    """The model inside `list[Model]`, `Model | None` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    origin = typing.get_origin(annotation)
    if origin in (list, tuple, typing.Union, types.UnionType, typing.Annotated):
        for inner in typing.get_args(annotation):
            if (found := _table_type(inner)) is not None:
                return found
    return None
