"""
The schema's revisions: upgrade, look, refuse a wrong one (Alembic).
"""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from aaa.errors import SchemaMismatch, StoreUnavailable
from aaa.store.tables import generation

OLDEST = "schema"  # scope of the number of the oldest revision that works with the one the store has
MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(url: str) -> Config:
    """The Alembic configuration for a store; the password never reaches a file or the log."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head", sql: bool = False) -> None:
    """
    Bring the store to a revision; `sql` prints the statements instead.

    Raises:
        StoreUnavailable: The database cannot be reached or refuses.
        SchemaMismatch: The store is at a revision that this release does not know.
    """
    try:
        _make_directory(url)
        command.upgrade(alembic_config(url), revision, sql=sql)
    except CommandError as error:
        raise SchemaMismatch(f"the database is of a newer release: {error}") from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(str(error.__cause__ or error)) from error


def head() -> str:
    """The revision this release needs."""
    return ScriptDirectory.from_config(alembic_config("")).get_current_head() or ""


def history() -> list[tuple[str, str]]:
    """Every revision with what it does, the newest first."""
    script = ScriptDirectory.from_config(alembic_config(""))
    return [(revision.revision, revision.doc) for revision in script.walk_revisions()]


def current(engine: Engine) -> str | None:
    """The revision a store has, None when it was never prepared."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def fits(engine: Engine) -> bool:
    """
    Whether this release works with the schema a store has: its own, or a newer one that only added to it.

    A migration that an older release can live with says so in the store: it writes the oldest revision that works as
    the number of scope `schema` into `generation`.  So nodes of two releases run together while one is replaced.
    """
    found = current(engine)
    if found is None or found == head():
        return found is not None
    if found in [number for number, _ in history()]:
        return False  # behind
    oldest = select(generation.c.number).where(generation.c.scope == OLDEST)
    with engine.connect() as connection:
        number = connection.execute(oldest).scalar()
    return number is not None and int(number) <= int(head())


def check(url: str) -> None:
    """
    Refuse a store of another schema.

    Raises:
        SchemaMismatch: This release does not work with its revision; the text names the command to run.
        StoreUnavailable: The database cannot be reached.
    """
    if make_url(url).get_backend_name() == "sqlite" and not Path(make_url(url).database or "").exists():
        raise SchemaMismatch(f"no database at {make_url(url).database}: run `aaactl --config FILE db upgrade`")
    engine = create_engine(url)
    try:
        found, is_fit = current(engine), fits(engine)
    except SQLAlchemyError as error:
        raise StoreUnavailable(str(error.__cause__ or error)) from error
    finally:
        engine.dispose()
    if is_fit:
        return
    if found is not None and found not in [number for number, _ in history()]:
        raise SchemaMismatch(f"schema is {found}, newer than {head()}, which is what this release works with")
    raise SchemaMismatch(f"schema is {found or 'empty'}, expected {head()}: run `aaactl --config FILE db upgrade`")


def _make_directory(url: str) -> None:
    """SQLite creates its file and not the directory around it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        os.makedirs(os.path.dirname(os.path.abspath(parsed.database)), mode=0o750, exist_ok=True)
