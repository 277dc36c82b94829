"""`aaactl db`: the database schema, without a server."""

from __future__ import annotations

from typing import Any

import click

from aaa.cli.commands.config import load
from aaa.cli.errors import DONE, FOUND_SOMETHING, UNREACHABLE, CliError
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
