"""Fixtures that tests of several packages share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine

from aaa.keys import Keys
from aaa.store.tables import metadata


@pytest.fixture
def keys() -> Keys:
    """A server key that is always the same."""
    return Keys([bytes(range(32))])


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """An SQLite database with the current schema and nothing in it."""
    url = f"sqlite:///{tmp_path / 'aaa.db'}"
    engine = create_engine(url)
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    engine.dispose()
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the empty database."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back afterwards unless the test commits it."""
    with engine.connect() as connection:
        yield connection
