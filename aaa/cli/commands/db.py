"""`aaactl db`: the database and its schema, without a server."""

from __future__ import annotations

import time
from typing import Any

import click

from aaa.cli.commands.config import load
from aaa.cli.errors import CONFLICT, DONE, FOUND_SOMETHING, INVALID_CONFIG, UNREACHABLE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("db", help="The database and its schema, without a server.")

_SERVERS_WAY = {
    "backup": "back PostgreSQL up with pg_dump --format=custom, or with continuous archiving",
    "restore": "restore PostgreSQL with pg_restore into an empty database while no server runs, then db check",
}


def _with_store(options: Options, do: Any) -> Any:
    """Call `do(schema module, url)`; a store that does not answer is exit code 6."""
    from aaa.errors import SchemaMismatch, StoreUnavailable  # noqa: PLC0415 - SQLAlchemy is for this noun only
    from aaa.store import schema  # noqa: PLC0415

    url = load(options).store.url
    try:
        return do(schema, url)
    except StoreUnavailable as error:
        raise CliError("unreachable", str(error), UNREACHABLE) from error
    except SchemaMismatch as error:
        raise CliError("schema", str(error), INVALID_CONFIG) from error


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
def history(options: Options) -> None:
    """List the revisions of the schema, the newest first, and which of them the database has."""
    found = _current(options)
    revisions = _with_store(options, lambda schema, _url: schema.history())
    known = [number for number, _ in revisions]
    reached = known.index(found) if found in known else len(known)
    rows = [{"revision": n, "what": what, "applied": at >= reached} for at, (n, what) in enumerate(revisions)]
    show_rows(rows, columns("revision", "what", "applied"), options.form)


@verb(command)
def check(options: Options) -> int:
    """Exit 0 only when the database has this release's schema, 8 when not."""
    _check(options)
    show_one({"schema": _current(options), "ok": True}, options.form)
    return DONE


def _check(options: Options) -> None:
    try:
        _with_store(options, lambda schema, url: schema.check(url))
    except CliError as error:
        if error.code == "schema":
            error.exit_code = FOUND_SOMETHING
        raise


@verb(command)
@click.argument("file", type=click.Path(dir_okay=False))
def backup(options: Options, file: str) -> None:
    """Copy a SQLite database while the server runs; PostgreSQL has pg_dump and its own ways."""
    from aaa.store import copy  # noqa: PLC0415

    path = _file_of(options, "backup")
    try:
        _with_store(options, lambda _schema, _url: copy.backup(path, file))
    except FileExistsError as error:
        raise CliError("conflict", f"{file} exists already", CONFLICT) from error
    print(file)


@verb(command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(options: Options, file: str, yes: bool) -> None:
    """
    Put a backup in the place of a SQLite database while no server runs; the replaced one is kept aside.

    What a restore means for calls that ran since the backup is on the page "Back up and restore".
    """
    from aaa.errors import ConfigError  # noqa: PLC0415
    from aaa.store import copy  # noqa: PLC0415

    path = _file_of(options, "restore")
    if not yes:
        click.confirm(f"Replace {path} by {file}?", abort=True, err=True)
    aside = f"{path}.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    try:
        carried = _with_store(options, lambda _schema, _url: copy.restore(path, file, aside))
    except ConfigError as error:
        raise CliError("conflict", f"stop the server first: {error}", CONFLICT) from error
    show_one({"restored": file, "replaced": aside, "carried_over": carried}, options.form)
    _check(options)


@verb(command)
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(options: Options, dry_run: bool, yes: bool) -> None:
    """Delete CDRs older than [retention] cdr while no server runs; a running one does it by itself."""
    from aaa.store import prune as pruning  # noqa: PLC0415

    config = load(options)
    before_us = int(time.time() - config.retention.cdr) * 1_000_000
    exported = config.export.directory is not None
    if not (dry_run or yes):
        click.confirm(f"Delete CDRs older than {config.retention.cdr // 86_400} days?", abort=True, err=True)
    deleted = 0
    with _offline(options) as begin:
        while True:
            with begin() as connection:
                most = 1_000_000_000 if dry_run else pruning.AT_ONCE
                numbers = pruning.old_cdrs(connection, before_us, only_exported=exported, most=most)
                if numbers and not dry_run:
                    pruning.delete_cdrs(connection, numbers)
            deleted += len(numbers)
            if dry_run or not numbers:
                break
    show_one({"cdrs": deleted, "dry_run": dry_run}, options.form)


def _file_of(options: Options, what: str) -> str:
    from aaa.store.copy import path_of  # noqa: PLC0415

    path = path_of(load(options).store.url)
    if path is None:
        raise CliError("refused", _SERVERS_WAY[what])
    return path


def _offline(options: Options) -> Any:
    """A context whose value begins transactions on the database; refused while a server has a SQLite file open."""
    import contextlib  # noqa: PLC0415
    import os  # noqa: PLC0415

    from sqlalchemy import create_engine  # noqa: PLC0415

    from aaa.errors import ConfigError  # noqa: PLC0415
    from aaa.store.copy import path_of  # noqa: PLC0415
    from aaa.store.sqlite import lock  # noqa: PLC0415

    url = load(options).store.url

    @contextlib.contextmanager
    def opened() -> Any:
        path = path_of(url)
        try:
            handle = None if path is None else lock(path + ".lock")
        except ConfigError as error:
            raise CliError("conflict", f"the server does this by itself: {error}", CONFLICT) from error
        engine = create_engine(url)
        try:
            yield engine.begin
        finally:
            engine.dispose()
            if handle is not None:
                os.close(handle)

    return opened()


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
