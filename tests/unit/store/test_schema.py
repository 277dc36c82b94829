"""The migrations make the schema that the code works with, and can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, inspect, text

from aaa.errors import SchemaMismatch
from aaa.store import schema
from aaa.store.tables import generation, metadata


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/aaa.db"


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    found = set(inspect(engine).get_table_names()) - {"alembic_version"}
    engine.dispose()
    return found


def test_the_migrations_make_what_the_tables_say(url: str):
    """What `alembic check` asks: nothing is left to migrate."""
    schema.upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert [] == differences
    assert set(metadata.tables) == tables(url)


def test_up_down_up(url: str):
    """Nothing stays behind that the way up would meet again."""
    schema.upgrade(url)
    command.downgrade(schema.alembic_config(url), "base")
    left = tables(url)
    schema.upgrade(url)

    assert set() == left
    assert set(metadata.tables) == tables(url)


def test_a_store_of_another_schema_is_refused_with_what_to_do(url: str):
    """Missing, empty, and prepared."""
    with pytest.raises(SchemaMismatch, match="db upgrade"):
        schema.check(url)
    create_engine(url).connect().close()
    with pytest.raises(SchemaMismatch, match=r"schema is empty, expected .*: run `aaactl --config FILE db upgrade`"):
        schema.check(url)
    schema.upgrade(url)
    schema.check(url)


@pytest.mark.parametrize(("oldest", "is_fit"), [(None, False), (1, True), (2, False)])
def test_a_newer_schema_that_only_added_is_worked_with(url: str, oldest: int | None, is_fit: bool):
    """The migration of the newer release says how old a release may be; one that says nothing is refused."""
    schema.upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
        if oldest is not None:
            connection.execute(insert(generation).values(scope=schema.OLDEST, number=oldest))
    engine.dispose()

    with pytest.raises(SchemaMismatch, match="the database is of a newer release"):
        schema.upgrade(url)
    if is_fit:
        schema.check(url)
    else:
        with pytest.raises(SchemaMismatch, match="schema is 0002, newer than 0001"):
            schema.check(url)
