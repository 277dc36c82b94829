"""
The statements of the PostgreSQL store: one for a load, one for a batch, whatever their size.

A batch is one statement and so one transaction.  The account compare-and-set comes first, and everything
else is gated by it: `(x.account IN (SELECT id FROM a)) IS TRUE` makes a hashed subplan where a plain `IN`
became a nested loop of batch by batch.  What comes back are the accounts that lost.
"""

from __future__ import annotations

SETTINGS = (
    "SET enable_hashjoin=off; SET enable_mergejoin=off; SET enable_seqscan=off; "
    "SET plan_cache_mode=force_generic_plan; "
    "SET jit=off; SET lock_timeout='200ms'; SET statement_timeout='5s'; SET synchronous_commit=on; "
    "SET idle_in_transaction_session_timeout='10s'"
)
"""The planner settings keep the account update in the order of the array, so that two nodes lock alike."""

GATE = "(x.account IN (SELECT id FROM a)) IS TRUE"

ENDED = "CASE WHEN x.state<2 THEN NULL ELSE x.deadline END"
SESSION_FIELDS = "id, account_id, key, origin, state, deadline, accrued, reserved, head, body"
CDR_FIELDS = (
    "id, account_id, key, origin, revision, begun_at, ended_at, used, amount, currency, cause, assumed, implausible, "
    "reported, head, lines"
)
CDR_TYPES = (
    "bigint[], bigint[], text[], text[], int[], bigint[], bigint[], bigint[], bigint[], text[], text[], smallint[], "
    "smallint[], bigint[], text[], text[]"
)


def _unnest(first: int, types: str, names: str) -> str:
    casts = [f"${first + i}::{kind.strip()}" for i, kind in enumerate(types.split(","))]
    return f"unnest({', '.join(casts)}) x({names})"


ACCOUNT_TYPES = "bigint[], bigint[], bigint[], int[], bigint[], bigint[], bigint[]"
ACCOUNT_SETS = "balance=x.b, accrued=x.c, reserved=x.r, live_sessions=x.l, entry_no=x.e, version=x.v+1"
IS_FREE = "(x.i IN (SELECT account FROM g)) IS NOT TRUE"
WHERE_AS_READ = f"WHERE t.id=x.i AND t.version=x.v AND {IS_FREE} RETURNING t.id), "
CHECKS = (
    f"k AS (SELECT t.id FROM {_unnest(8, 'bigint[], bigint[]', 'i, v')} JOIN account t ON t.id=x.i AND t.version=x.v "
    f"WHERE {IS_FREE})"
)
# The accounts of decisions that took a session for new which is not.  No other node can slip one in between this look
# and the commit: for the same account it would have moved the version, which is compared again once the row is
# locked; for another account the key is unique, and the whole batch is decided again.  An alias or an early start
# that is written in the very same moment goes unseen, as it would behind a read that came before the batch.
# `= ANY` is an index condition whatever the planner believes the tables to hold; a join could become a scan of them.
TAKEN = (
    "n AS MATERIALIZED (SELECT key AS name FROM session WHERE key = ANY($51::text[]) "
    "UNION ALL SELECT alias FROM session_alias WHERE alias = ANY($51::text[]) "
    "UNION ALL SELECT key FROM early_start WHERE key = ANY($51::text[])), "
    f"g AS MATERIALIZED (SELECT x.account FROM {_unnest(50, 'bigint[], text[]', 'account, name')} "
    "WHERE (x.name IN (SELECT name FROM n)) IS TRUE), "
)
ACCOUNTS = (
    f"{TAKEN}a AS (UPDATE account t SET {ACCOUNT_SETS} FROM {_unnest(1, ACCOUNT_TYPES, 'b, c, r, l, e, i, v')} "
    f"{WHERE_AS_READ}{CHECKS}"
)
# No second part of the statement could change the same row, so the windows are set here; '' leaves them.
ACCOUNTS_RARE = (
    f"{TAKEN}a AS (UPDATE account t SET {ACCOUNT_SETS}, windows=CASE WHEN x.w='' THEN t.windows ELSE x.w END FROM "
    + _unnest(1, ACCOUNT_TYPES, "b, c, r, l, e, i, v, w").replace(") x(", ", $83::text[]) x(")
    + f" {WHERE_AS_READ}{CHECKS}"
)
INSERTS = (
    f"i AS (INSERT INTO session ({SESSION_FIELDS}, ended_at) SELECT x.*, {ENDED} FROM "
    + _unnest(
        10,
        "bigint[], bigint[], text[], text[], smallint[], bigint[], bigint[], bigint[], text[], text[]",
        "id, account, key, origin, state, deadline, accrued, reserved, head, body",
    )
    + f" WHERE {GATE})"
)
UPDATES = (
    "u AS (UPDATE session s SET state=x.state, deadline=x.deadline, accrued=x.accrued, reserved=x.reserved, "
    f"body=x.body, ended_at={ENDED} "
    "FROM "
    + _unnest(
        20,
        "smallint[], bigint[], bigint[], bigint[], text[], bigint[], bigint[]",
        "state, deadline, accrued, reserved, body, id, account",
    )
    + f" WHERE s.id=x.id AND {GATE})"
)
CDRS = (
    f"c AS (INSERT INTO cdr ({CDR_FIELDS}) SELECT x.* FROM "
    + _unnest(27, CDR_TYPES, CDR_FIELDS.replace("account_id", "account"))
    + f" WHERE x.account IS NULL OR {GATE} ON CONFLICT (id) DO UPDATE SET revision=excluded.revision, "
    "ended_at=excluded.ended_at, used=excluded.used, amount=excluded.amount, cause=excluded.cause, "
    "assumed=excluded.assumed, implausible=excluded.implausible, reported=excluded.reported, lines=excluded.lines)"
)
ENTRIES = (
    "l AS (INSERT INTO ledger_entry (account_id, entry_no, amount, balance_after, cause, ref, at) SELECT x.* FROM "
    + _unnest(43, "bigint[], bigint[], bigint[], bigint[], text[], text[], bigint[]", "account, n, m, b, c, r, t")
    + f" WHERE {GATE})"
)
RARE = (
    "al AS (INSERT INTO session_alias (alias, session_id) SELECT x.alias, x.session FROM "
    + _unnest(52, "bigint[], text[], bigint[]", "account, alias, session")
    + f" WHERE {GATE} ON CONFLICT DO NOTHING), "
    "mv AS (INSERT INTO idempotency (key, digest, result, at) SELECT x.k, x.d, x.r, x.t FROM "
    + _unnest(55, "bigint[], text[], text[], text[], bigint[]", "account, k, d, r, t")
    + f" WHERE {GATE}), "
    "bu AS (UPDATE bucket t SET amount=x.m, reserved=x.r FROM "
    + _unnest(60, "bigint[], bigint[], bigint[], bigint[]", "account, m, r, id")
    + f" WHERE t.id=x.id AND {GATE}), "
    "un AS (INSERT INTO unit_entry (bucket_id, session_id, revision, units, at) SELECT x.b, x.s, x.r, x.u, x.t FROM "
    + _unnest(64, "bigint[], bigint[], bigint[], int[], bigint[], bigint[]", "account, b, s, r, u, t")
    + f" WHERE {GATE}), "
    "es AS (INSERT INTO early_start (key, started_at, deadline) SELECT x.* FROM "
    + _unnest(70, "text[], bigint[], bigint[]", "k, s, d")
    + " ON CONFLICT (key) DO UPDATE SET deadline=excluded.deadline), "
    "ne AS (INSERT INTO nas_identity (identity, epoch, restarted_at) SELECT x.* FROM "
    + _unnest(73, "text[], int[], bigint[]", "i, e, t")
    + " ON CONFLICT (identity) DO UPDATE SET epoch=excluded.epoch, restarted_at=excluded.restarted_at), "
    "ee AS (UPDATE session s SET deadline=x.d FROM "
    + _unnest(76, "bigint[], text[]", "d, p")
    + " WHERE s.ended_at IS NULL AND starts_with(s.key, x.p)), "
    "ob AS (INSERT INTO outbox (consumer, kind, at, body) SELECT x.c, x.k, x.t, x.b FROM "
    + _unnest(78, "bigint[], text[], text[], bigint[], text[]", "account, c, k, t, b")
    + f" WHERE {GATE})"
)
LOSERS = (
    "SELECT x.i FROM unnest($6::bigint[]) x(i) WHERE (x.i IN (SELECT id FROM a)) IS NOT TRUE UNION ALL "
    "SELECT x.i FROM unnest($8::bigint[]) x(i) WHERE (x.i IN (SELECT id FROM k)) IS NOT TRUE"
)

COMMIT = f"WITH {ACCOUNTS}, {INSERTS}, {UPDATES}, {CDRS}, {ENTRIES} {LOSERS}"
COMMIT_RARE = f"WITH {ACCOUNTS_RARE}, {INSERTS}, {UPDATES}, {CDRS}, {ENTRIES}, {RARE} {LOSERS}"

LOAD = (
    "WITH n AS (SELECT alias, session_id FROM session_alias WHERE alias = ANY($1::text[])), "
    "s AS (SELECT id, account_id, key, origin, state, deadline, head, body FROM session WHERE key = ANY($1::text[]) "
    "UNION SELECT id, account_id, key, origin, state, deadline, head, body FROM session WHERE id = ANY($2::bigint[]) "
    "UNION SELECT id, account_id, key, origin, state, deadline, head, body FROM session "
    "WHERE id IN (SELECT session_id FROM n)), "
    "p AS (SELECT unnest($3::bigint[]) AS id UNION SELECT account_id FROM s) "
    "SELECT 's', to_json(s)::text FROM s UNION ALL "
    "SELECT 'n', to_json(n)::text FROM n UNION ALL "
    "SELECT 'a', to_json(a)::text FROM account a WHERE a.id IN (SELECT id FROM p) UNION ALL "
    "SELECT 'b', to_json(b)::text FROM bucket b WHERE b.account_id IN (SELECT id FROM p) UNION ALL "
    "SELECT 'e', to_json(e)::text FROM early_start e WHERE e.key = ANY($1::text[]) UNION ALL "
    "SELECT 'm', to_json(m)::text FROM idempotency m WHERE m.key = ANY($4::text[])"
)
LOCK = "SELECT id FROM account WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"
# The next stretch of the live sessions, the due ones of them, and where the stretch behind it begins (0: at the start).
DUE = (
    "WITH l AS MATERIALIZED (SELECT id, deadline FROM session WHERE ended_at IS NULL AND id>$3::bigint "
    "ORDER BY ended_at, id LIMIT $4::bigint) "
    "(SELECT true, id FROM l WHERE deadline<=$1::bigint ORDER BY id LIMIT $2::bigint) UNION ALL "
    "SELECT false, CASE WHEN count(*)<$4::bigint THEN 0 ELSE max(id) END FROM l"
)
LIVE = "SELECT count(*) FROM session WHERE ended_at IS NULL"
PURGE = (
    "WITH g AS (DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ended_at<$1::bigint "
    "LIMIT $3::bigint) RETURNING id), "
    "n AS (DELETE FROM session_alias WHERE session_id IN (SELECT id FROM g)), "
    "e AS (DELETE FROM early_start WHERE deadline<$2::bigint) SELECT count(*) FROM g"
)
SUBSCRIBER = (
    "SELECT account.id, account.name, subscription.type, subscription.value, subscription.credential "
    "FROM subscription JOIN account ON account.id = subscription.account_id "
    "WHERE subscription.type=$1::text AND subscription.value=$2::text"
)
PULSE = (
    "SELECT coalesce((SELECT sum(number) FROM generation), 0)::bigint, "
    "coalesce((SELECT sum(epoch) FROM nas_identity), 0)::bigint, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)
STATEMENTS = {
    "commit": COMMIT,
    "commit_rare": COMMIT_RARE,
    "load": LOAD,
    "lock": LOCK,
    "due": DUE,
    "live": LIVE,
    "purge": PURGE,
    "subscriber": SUBSCRIBER,
    "pulse": PULSE,
}
