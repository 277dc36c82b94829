"""Servers as processes, always stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process import NAS, Aaad


@pytest.fixture
def aaad(tmp_path: Path) -> Iterator[Callable[..., Aaad]]:
    """Make and start servers: `aaad(config=...)`."""
    made: list[Aaad] = []

    def make(config: str = NAS) -> Aaad:
        server = Aaad(tmp_path / f"n{len(made)}", config)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()
