"""Run the migrations of this package on the store that `aaa.store.schema` names."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

from aaa.store.tables import metadata

url = context.config.attributes["url"]


def run() -> None:
    """Migrate online, or print the SQL for a database administrator."""
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":  # of a new file: a batch touches fewer pages, and each costs two writes
            connection.exec_driver_sql("PRAGMA page_size=8192")
            connection.commit()
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()


run()
