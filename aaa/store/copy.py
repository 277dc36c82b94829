"""
Copies of an embedded database: made while the server runs, put back while it does not.

A copy put back is an older truth.  What must not be forgotten by it is carried over from the database it
replaces: the numbers of nodes, so that no session id is used twice, and which CDRs were exported, so that
none is exported twice under another file's name.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy.engine import make_url

from aaa.errors import StoreUnavailable
from aaa.store.sqlite import lock

PAGES_AT_ONCE = 4_096
_CARRIED = ("node", "cdr_file", "cdr_export")


def path_of(url: str) -> str | None:
    """The file of an embedded database, None for another kind."""
    parsed = make_url(url)
    return parsed.database if parsed.get_backend_name() == "sqlite" else None


def backup(path: str, file: str) -> None:
    """
    Copy a database into a new file, readable by its owner alone.

    Raises:
        FileExistsError: The file is there.
        StoreUnavailable: The database cannot be read, or the file not be written.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreUnavailable(f"{file}: {error.strerror}") from error
    os.close(handle)
    try:
        with _open(f"file:{path}?mode=ro") as source, _open(f"file:{file}") as target:
            source.backup(target, pages=PAGES_AT_ONCE)
    except sqlite3.Error as error:
        os.unlink(file)
        raise StoreUnavailable(f"{path}: {error}") from error


def restore(path: str, file: str, aside: str) -> list[str]:
    """
    Put a copy in the place of a database that no server uses; the replaced one is kept aside.

    Returns:
        What was carried over from the replaced database.

    Raises:
        ConfigError: A server runs on the database.
        StoreUnavailable: The copy is damaged; nothing was changed.
    """
    handle = lock(path + ".lock")
    try:
        check(file)
        incoming = path + ".restoring"
        Path(incoming).unlink(missing_ok=True)
        backup(file, incoming)
        carried = _carry_over(path, incoming) if Path(path).exists() else []
        if Path(path).exists():
            with _open(f"file:{path}") as replaced:
                replaced.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            os.rename(path, aside)
        for end in ("-wal", "-shm"):
            Path(path + end).unlink(missing_ok=True)
        os.rename(incoming, path)
        return carried
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"{path}: {error}") from error
    finally:
        os.close(handle)


def check(file: str) -> None:
    """
    Refuse a copy that is no sound database.

    Raises:
        StoreUnavailable: With what is wrong.
    """
    try:
        with _open(f"file:{file}?mode=ro") as copy:
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
            copy.execute("SELECT count(*) FROM ledger_entry").fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{file}: {error}") from error
    if found != ["ok"]:
        raise StoreUnavailable(f"{file}: {found[0]}")


def _carry_over(path: str, incoming: str) -> list[str]:
    """Copy the rows that the restored database must not forget; a replaced one that is damaged has none."""
    carried = []
    with contextlib.suppress(sqlite3.Error), _open(f"file:{incoming}") as target:
        target.execute("ATTACH DATABASE ? AS replaced", (path,))
        for table in _CARRIED:
            count = target.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM replaced.{table}").rowcount  # noqa: S608
            if count > 0:
                carried.append(f"{count} rows of {table}")
        target.commit()
    return carried


@contextlib.contextmanager
def _open(uri: str):  # type: ignore[no-untyped-def]
    connection = sqlite3.connect(uri, uri=True)
    try:
        yield connection
    finally:
        connection.close()
