"""`aaactl db`: the database schema, without a server."""

from __future__ import annotations

from typing import Any

import click

from aaa.cli.commands.config import load
from aaa.cli.errors import CONFLICT, DONE, FOUND_SOMETHING, UNREACHABLE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import show_one

command = click.Group("db", help="The database schema.")


def _with_store(options: Options, do: Any) -> Any:
    """Call `do(schema module, url)`; a store that does not answer is exit code 6."""
    from aaa.errors import StoreUnavailable  # noqa: PLC0415 - SQLAlchemy is for this noun only
    from aaa.store import schema  # noqa: PLC0415

    url = load(options).store.url
    try:
        return do(schema, url)
    except StoreUnavailable as error:
        raise CliError("unreachable", str(error), UNREACHABLE) from error


@verb(command)
@click.option("--sql", is_flag=True, help="Print the statements instead of running them.")
def upgrade(options: Options, sql: bool) -> None:
    """Bring the database to the schema of this release."""
    _with_store(options, lambda schema, url: schema.upgrade(url, sql=sql))
    if not sql:
        show_one({"schema": _current(options)}, options.form)


@verb(command)
def current(options: Options) -> None:
    """Show which schema the database has, and which this release needs."""
    needed = _with_store(options, lambda schema, _url: schema.head())
    show_one({"schema": _current(options), "needed": needed}, options.form)


@verb(command)
def check(options: Options) -> int:
    """Exit 0 only when the database has this release's schema, 8 when not."""
    from aaa.errors import SchemaMismatch  # noqa: PLC0415

    try:
        _with_store(options, lambda schema, url: schema.check(url))
    except SchemaMismatch as error:
        raise CliError("schema", str(error), FOUND_SOMETHING) from error
    show_one({"schema": _current(options), "ok": True}, options.form)
    return DONE


@verb(command)
@click.argument("file", type=click.Path(dir_okay=False))
def backup(options: Options, file: str) -> None:
    """Copy a SQLite database while the server runs; PostgreSQL has pg_dump and its own ways."""
    import os  # noqa: PLC0415
    import sqlite3  # noqa: PLC0415

    from sqlalchemy.engine import make_url  # noqa: PLC0415

    url = make_url(load(options).store.url)
    if url.get_backend_name() != "sqlite":
        raise CliError("refused", "back PostgreSQL up with pg_dump or its continuous archiving")
    if os.path.exists(file):
        raise CliError("conflict", f"{file} exists already", CONFLICT)
    try:
        source = sqlite3.connect(f"file:{url.database}?mode=ro", uri=True)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with sqlite3.connect(file) as target:
            source.backup(target, pages=4096)
        source.close()
    except (OSError, sqlite3.Error) as error:
        raise CliError("unreachable", f"{url.database}: {error}", UNREACHABLE) from error
    print(file)


def _current(options: Options) -> str | None:
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    def find(schema: Any, url: str) -> Any:
        engine = create_engine(url)
        try:
            return schema.current(engine)
        except SQLAlchemyError as error:
            raise CliError("unreachable", str(error.__cause__ or error), UNREACHABLE) from error
        finally:
            engine.dispose()

    return _with_store(options, find)  # type: ignore[no-any-return]
