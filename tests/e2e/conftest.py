"""Servers as processes, always stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.process import NAS, Aaad


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the whole run."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> str:
    """The URL of a new database."""
    return postgres.create(f"e{abs(hash(str(tmp_path)))}")


@pytest.fixture
def aaad(tmp_path: Path) -> Iterator[Callable[..., Aaad]]:
    """Make and start servers: `aaad(config=...)`."""
    made: list[Aaad] = []

    def make(config: str = NAS, url: str | None = None, arguments: Sequence[str] = (), node: str = "test-1") -> Aaad:
        server = Aaad(tmp_path / f"n{len(made)}", config, url, arguments, node)
        for other in made:
            if url is not None and other.url == url:  # nodes of one database have one key (S24)
                shutil.copy(other.directory / "server.key", server.directory / "server.key")
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()
