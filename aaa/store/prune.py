"""
Deleting CDRs whose retention is over, online by the server and offline by `aaactl db prune`.

Ledger entries are never deleted: balances are their sums.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from aaa.store import tables as db

AT_ONCE = 2_000


def old_cdrs(connection: Connection, before_us: int, *, only_exported: bool, most: int = AT_ONCE) -> list[int]:
    """
    CDRs of sessions that ended before an instant, the oldest first.

    Args:
        only_exported: Leave those that no exported file holds yet.
    """
    cdr, export = db.cdr, db.cdr_export
    query = select(cdr.c.id).where(cdr.c.ended_at < before_us)
    if only_exported:
        query = query.where(select(export.c.cdr_id).where(export.c.cdr_id == cdr.c.id).exists())
    return list(connection.execute(query.order_by(cdr.c.ended_at).limit(most)).scalars())


def delete_cdrs(connection: Connection, numbers: list[int]) -> None:
    """Delete CDRs and what is known about their export."""
    connection.execute(delete(db.cdr_export).where(db.cdr_export.c.cdr_id.in_(numbers)))
    connection.execute(delete(db.cdr).where(db.cdr.c.id.in_(numbers)))
