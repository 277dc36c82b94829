"""
The generation number: how nodes notice, without being told, that something they cache was changed.

Every provisioning transaction raises it as its last statement; every node reads it about once a second
(`Store.pulse`) and takes up what changed.  The row lock makes the numbers visible in the order of the commits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

_RAISE = text(
    "INSERT INTO generation (scope, number) VALUES ('all', 1) "
    "ON CONFLICT (scope) DO UPDATE SET number = generation.number + 1"
)


def raising(work: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
    """The same work, raising the generation at its end."""

    def run(connection: Connection) -> Any:
        result = work(connection)
        connection.execute(_RAISE)
        return result

    return run
