"""
What a batch writes to the embedded store, as rows for `executemany`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aaa.engine.terms import LIVE
from aaa.store import outbox
from aaa.store.batch import Batch, Rare, Row, account_update, cdr_row, session_insert, session_update, unrated_row
from aaa.store.codec import dumps
from aaa.store.names import NameFilter
from aaa.store.sqlite_sql import (
    END_EPOCH,
    END_SESSION,
    INSERT_ALIAS,
    INSERT_CDR,
    INSERT_EARLY,
    INSERT_ENTRY,
    INSERT_EVENT,
    INSERT_MOVEMENT,
    INSERT_SESSION,
    INSERT_UNITS,
    UPDATE_BUCKET,
    UPDATE_SESSION,
    UPDATE_WINDOWS,
    UPSERT_EPOCH,
)

Part = tuple[str, Sequence[Row]]


def rows_of(
    batch: Batch, names: NameFilter, consumers: Sequence[outbox.Consumer], now: int
) -> tuple[list[Row], list[Part]]:
    """
    A batch as account rows, and as rows of the other statements in their order.

    Args:
        names: Learns the names that are about to be stored.
    """
    accounts: list[Row] = []
    inserts: list[Row] = []
    updates: list[Row] = []
    ends: list[Row] = []
    cdrs: list[Row] = []
    entries: list[Row] = []
    rare: list[Rare] = []
    for stage in batch.values():
        account = stage.account
        if account is not None:
            accounts.append(account_update(account, stage.version))
        for session in stage.begun():
            inserts.append(session_insert(session))
            names.add(session.head.key)
        for session in stage.sessions.values():
            goes_on = session.revision == 0 and session.state in LIVE
            (updates if goes_on else ends).append(session_update(session))
        for session in stage.charged():
            cdrs.append(cdr_row(session, account))
        if stage.entries:
            entries += stage.entries
        if stage.rare is not None:
            rare.append(stage.rare)
            cdrs += [unrated_row(number, record) for number, record in stage.rare.unrated]
    parts: list[Part] = [
        (INSERT_SESSION, inserts),
        (UPDATE_SESSION, updates),
        (END_SESSION, ends),
        (INSERT_CDR, cdrs),
        (INSERT_ENTRY, entries),
    ]
    if consumers:
        parts.append((INSERT_EVENT, [row[1:] for row in outbox.rows(batch.values(), consumers, now)]))
    return accounts, parts + _rare_rows(rare, names, now) if rare else parts


def _rare_rows(rare: list[Rare], names: NameFilter, now: int) -> list[Part]:
    """What most batches do not have: aliases, units, movements, early starts, restarts."""
    aliases = [row for more in rare for row in more.aliases]
    for name, _ in aliases:
        names.add(name)
    starts = [start for more in rare for start in more.early_starts]
    restarts = [row for more in rare for row in more.restarts]
    return [
        (INSERT_ALIAS, aliases),
        (UPDATE_BUCKET, [(b.amount, b.reserved, b.id) for more in rare for b in more.buckets.values()]),
        (UPDATE_WINDOWS, [(dumps(w.windows), w.profile.id) for more in rare if (w := more.windows) is not None]),
        (INSERT_UNITS, [entry for more in rare for entry in more.units]),
        (INSERT_EARLY, [(key, start.started_us, start.deadline_us) for start in starts for key in start.keys]),
        (INSERT_MOVEMENT, [row for more in rare for row in more.movements]),
        (UPSERT_EPOCH, [row[:3] for row in restarts]),
        (END_EPOCH, [(now, row[3], row[3] + "\x7f") for row in restarts]),
    ]
