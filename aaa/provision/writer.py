"""
What all writers of an `apply` file share: the run, its result, and the refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert

from aaa.config.locate import Path
from aaa.engine.commands import Adjust
from aaa.errors import AaaError
from aaa.keys import Keys

ROWS_PER_STATEMENT = 500
ACTIONS_MAX = 1_000


class ApplyRefused(AaaError):
    """
    The file is sound but does not fit what is stored; nothing of it may be written.

    Args:
        problems: Path of the key in the file, and the reason.
    """

    def __init__(self, problems: Sequence[tuple[Path, str]]) -> None:
        super().__init__("; ".join(reason for _, reason in problems))
        self.problems = list(problems)


@dataclass
class Result:
    """What was done (or would be): counts, the first actions in words, and the money still to be moved."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    openings: list[tuple[int, Adjust]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)  # created or changed

    def note(self, verb: str, what: str) -> None:
        """Count one object; `verb` is created, changed or unchanged."""
        setattr(self, verb, getattr(self, verb) + 1)
        if verb != "unchanged" and len(self.actions) < ACTIONS_MAX:
            self.actions.append(f"{verb} {what}")


@dataclass
class Writer:
    """One run of `write`: the connection, and what the run may know and do."""

    connection: Connection
    keys: Keys
    now_us: int
    dry_run: bool
    result: Result = field(default_factory=Result)

    def insert(self, table: Any, rows: list[dict[str, Any]]) -> None:
        """Insert rows, unless this is a dry run."""
        if rows and not self.dry_run:
            self.connection.execute(insert(table), rows)

    def execute(self, statement: Any) -> None:
        """Execute a writing statement, unless this is a dry run."""
        if not self.dry_run:
            self.connection.execute(statement)


def refuse(problems: Iterable[tuple[Path, str]]) -> None:
    """Raise `ApplyRefused` if there is any problem."""
    found = list(problems)
    if found:
        raise ApplyRefused(found)
