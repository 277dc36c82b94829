"""
The store behind a URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import make_url

from aaa.errors import ConfigError
from aaa.store.port import Store
from aaa.store.sqlite import SqliteStore


def open_store(url: str, reactor: Any, on_error: Callable[[Exception], None]) -> Store:
    """
    Open SQLite or PostgreSQL, by the URL.

    Args:
        on_error: Told about callbacks that raise under the reactor.

    Raises:
        ConfigError: Another database, or the driver is not installed.
        StoreUnavailable: It cannot be reached.
    """
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        return SqliteStore(url)
    if backend != "postgresql":
        raise ConfigError([f"[store] url: {backend} is not supported, expected sqlite or postgresql+psycopg"])
    try:
        from aaa.store.postgres import PostgresStore  # noqa: PLC0415 - the driver is an extra
    except ImportError as error:
        raise ConfigError(["[store] url: PostgreSQL needs the extra: pip install 'prepaid-aaa[postgres]'"]) from error
    return PostgresStore(url, reactor, on_error)
