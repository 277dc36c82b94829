"""
The statements of a batch on the embedded store, and the settings of its connection.
"""

from __future__ import annotations

UPDATE_ACCOUNT = (
    "UPDATE account SET balance=?, accrued=?, reserved=?, live_sessions=?, entry_no=?, version=version+1 "
    "WHERE id=? AND version=?"
)
UPDATE_BUCKET = "UPDATE bucket SET amount=?, reserved=? WHERE id=?"
UPDATE_WINDOWS = "UPDATE account SET windows=? WHERE id=?"
INSERT_SESSION = (
    "INSERT INTO session (id, account_id, key, origin, state, deadline, accrued, reserved, head, body, ended_at) "
    "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10, CASE WHEN ?5<2 THEN NULL ELSE ?6 END)"
)
UPDATE_SESSION = (
    "UPDATE session SET state=?, deadline=?, accrued=?, reserved=?, body=? WHERE id=?"  # no index hears of it
)
END_SESSION = (  # ends one, or brings one back to life
    "UPDATE session SET state=?1, deadline=?2, accrued=?3, reserved=?4, body=?5, "
    "ended_at=CASE WHEN ?1<2 THEN NULL ELSE ?2 END WHERE id=?6"
)
_LIVE = (
    "SELECT account_id, id FROM session INDEXED BY ix_session_live WHERE ended_at IS NULL AND (account_id, id)>(?,?) "
)
STRETCH_END = _LIVE + "ORDER BY account_id, id LIMIT 1 OFFSET ?"
DUE = _LIVE + "AND (account_id, id)<=(?,?) AND deadline<=? ORDER BY account_id, id LIMIT ?"
INSERT_ALIAS = "INSERT INTO session_alias (alias, session_id) VALUES (?,?) ON CONFLICT DO NOTHING"
INSERT_CDR = (
    "INSERT INTO cdr (id, account_id, key, origin, revision, begun_at, ended_at, used, amount, currency, cause, "
    "assumed, implausible, reported, head, lines, pool_id, block) "
    "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17, ?1>>10) "  # its block: aaa.store.cdrs
    "ON CONFLICT (id) DO UPDATE SET revision=excluded.revision, ended_at=excluded.ended_at, used=excluded.used, "
    "amount=excluded.amount, cause=excluded.cause, assumed=excluded.assumed, implausible=excluded.implausible, "
    "reported=excluded.reported, lines=excluded.lines"
)
INSERT_ENTRY = (
    "INSERT INTO ledger_entry (account_id, entry_no, amount, balance_after, cause, ref, at) VALUES (?,?,?,?,?,?,?)"
)
INSERT_UNITS = "INSERT INTO unit_entry (bucket_id, session_id, revision, units, at) VALUES (?,?,?,?,?)"
INSERT_EARLY = (
    "INSERT INTO early_start (key, started_at, deadline) VALUES (?,?,?) ON CONFLICT (key) DO UPDATE "
    "SET deadline=excluded.deadline"
)
INSERT_MOVEMENT = "INSERT INTO idempotency (key, digest, result, at) VALUES (?,?,?,?)"
UPSERT_EPOCH = (
    "INSERT INTO nas_identity (identity, epoch, restarted_at) VALUES (?,?,?) ON CONFLICT (identity) DO UPDATE "
    "SET epoch=excluded.epoch, restarted_at=excluded.restarted_at"
)
INSERT_EVENT = "INSERT INTO outbox (consumer, kind, at, body) VALUES (?,?,?,?)"
END_EPOCH = (  # by its keys a client's sessions of the whole day would be looked at
    "UPDATE session INDEXED BY ix_session_live SET deadline=? WHERE ended_at IS NULL AND key >= ? AND key < ?"
)

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
)
