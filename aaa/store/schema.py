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
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from aaa.errors import SchemaMismatch, StoreUnavailable

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
    """
    try:
        _make_directory(url)
        command.upgrade(alembic_config(url), revision, sql=sql)
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


def check(url: str) -> None:
    """
    Refuse a store of another schema.

    Raises:
        SchemaMismatch: It is not at this release's revision; the text names the command to run.
        StoreUnavailable: The database cannot be reached.
    """
    if make_url(url).get_backend_name() == "sqlite" and not Path(make_url(url).database or "").exists():
        raise SchemaMismatch(f"no database at {make_url(url).database}: run `aaactl --config FILE db upgrade`")
    engine = create_engine(url)
    try:
        found = current(engine)
    except SQLAlchemyError as error:
        raise StoreUnavailable(str(error.__cause__ or error)) from error
    finally:
        engine.dispose()
    if found != head():
        raise SchemaMismatch(f"schema is {found or 'empty'}, expected {head()}: run `aaactl --config FILE db upgrade`")


def _make_directory(url: str) -> None:
    """SQLite creates its file and not the directory around it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        os.makedirs(os.path.dirname(os.path.abspath(parsed.database)), mode=0o750, exist_ok=True)
