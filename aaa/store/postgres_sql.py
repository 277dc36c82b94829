"""
The statements of the PostgreSQL store: one for a load, one for a batch, whatever their size.

A batch is one statement and so one transaction, made of the parts it needs.  The account compare-and-set comes
first, and everything else is gated by it: `(x.account IN (SELECT id FROM a)) IS TRUE` makes a hashed subplan where
a plain `IN` became a nested loop of batch by batch.  What comes back are the accounts that lost.
"""

from __future__ import annotations

SETTINGS = (
    "SET enable_hashjoin=off; SET enable_mergejoin=off; SET enable_seqscan=off; SET enable_bitmapscan=off; "
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
    "reported, head, lines, pool_id"
)

# The parts of a batch by letter, in this order: rows of columns of these types, read as these names.  A statement has
# the parts that its batch needs, because each costs the server about 10 us even when it is empty.
PARTS = {
    "m": ("bigint bigint bigint bigint bigint bigint bigint", "b, c, r, l, e, i, v"),  # accounts that move
    "w": ("text", "w"),  # their windows; '' leaves them
    "k": ("bigint bigint", "i, v"),  # accounts that must not have moved
    "n": ("bigint text", "account, name"),  # names under which nothing may be stored
    "i": (
        "bigint bigint text text bigint bigint bigint bigint text text",
        "id, account, key, origin, state, deadline, accrued, reserved, head, body",
    ),
    "u": (
        "bigint bigint bigint bigint text bigint bigint",
        "state, deadline, accrued, reserved, body, id, account",
    ),
    "c": (
        "bigint bigint text text bigint bigint bigint bigint bigint text text bigint bigint bigint text text bigint",
        CDR_FIELDS.replace("account_id", "account"),
    ),
    "l": ("bigint bigint bigint bigint text text bigint", "account, n, m, b, c, r, t"),
    "a": ("bigint text bigint", "account, alias, session"),
    "o": ("bigint text text bigint text", "account, c, k, t, b"),  # events for the outbox
    "p": ("bigint text text text bigint", "account, k, d, r, t"),  # movements of money
    "b": ("bigint bigint bigint bigint", "account, m, r, id"),  # buckets
    "t": ("bigint bigint bigint bigint bigint bigint", "account, b, s, r, u, t"),  # units taken from them
    "s": ("text bigint bigint", "k, s, d"),  # early starts
    "e": ("text bigint bigint", "i, e, t"),  # restarts of a NAS
    "d": ("bigint text", "d, p"),  # and the sessions that they end
}
RARE = "pbtsed"  # these come together or not at all, so that the statements are not too many
PAIRS = ("ni", "cl")
WITH_RARE = "kniucla"


def together(letters: set[str], is_rare: bool) -> set[str]:
    """
    The parts that a statement has for these: what is seldom alone is never alone, and what is rare comes with most.

    So there are 132 statements at most, and a server process keeps every one it was asked for.
    """
    grown = set(letters)
    for pair in PAIRS:
        if not grown.isdisjoint(pair):
            grown.update(pair)
    return grown.union(WITH_RARE) if is_rare else grown


def commit(letters: str) -> str:
    """
    The statement for a batch that has these parts; what comes back are the accounts that lost.

    Args:
        letters: In the order of `PARTS`; `m` is always there.
    """
    rows, first = {}, 1
    for letter in letters:
        types, names = PARTS[letter]
        casts = [f"${first + place}::{kind}[]" for place, kind in enumerate(types.split())]
        rows[letter] = (casts, names)
        first += len(casts)
    if "w" in rows:
        rows["m"] = (rows["m"][0] + rows.pop("w")[0], f"{rows['m'][1]}, w")
    texts = {letter: f"unnest({', '.join(casts)}) x({names})" for letter, (casts, names) in rows.items()}
    accounts = rows["m"][0][5]
    windows = ", windows=CASE WHEN x.w='' THEN t.windows ELSE x.w END" if "w" in letters else ""
    is_free = " AND (x.i IN (SELECT account FROM g)) IS NOT TRUE" if "n" in letters else ""
    made = {letter: _MADE[letter].format(rows=text, is_free=is_free, gate=GATE) for letter, text in texts.items()}
    if "n" in letters:
        made["n"] = made["n"].replace("$names", rows["n"][0][1])
        made = {"n": made.pop("n"), **made}
    made["m"] = made["m"].replace("$windows", windows)
    lost = f"SELECT x.i FROM unnest({accounts}) x(i) WHERE (x.i IN (SELECT id FROM a)) IS NOT TRUE"
    if "k" in letters:
        kept = rows["k"][0][0]
        lost += f" UNION ALL SELECT x.i FROM unnest({kept}) x(i) WHERE (x.i IN (SELECT id FROM k)) IS NOT TRUE"
    return f"WITH {', '.join(made.values())} {lost}"


_MADE = {
    # The accounts of decisions that took a session for new which is not.  No other node can slip one in between this
    # look and the commit: for the same account it would have moved the version, which is compared again once the row
    # is locked; for another account the key is unique, and the whole batch is decided again.  An alias or an early
    # start that is written in the very same moment goes unseen, as it would behind a read that came before the batch.
    # `= ANY` is an index condition whatever the planner believes the tables to hold; a join could scan them.
    "n": (
        "n AS MATERIALIZED (SELECT key AS name FROM session WHERE key = ANY($names) "
        "UNION ALL SELECT alias FROM session_alias WHERE alias = ANY($names) "
        "UNION ALL SELECT key FROM early_start WHERE key = ANY($names)), "
        "g AS MATERIALIZED (SELECT x.account FROM {rows} WHERE (x.name IN (SELECT name FROM n)) IS TRUE)"
    ),
    # No second part of the statement could change the same row, so the windows are set here.
    "m": (
        "a AS (UPDATE account t SET balance=x.b, accrued=x.c, reserved=x.r, live_sessions=x.l, entry_no=x.e, "
        "version=x.v+1$windows FROM {rows} WHERE t.id=x.i AND t.version=x.v{is_free} RETURNING t.id)"
    ),
    "k": "k AS (SELECT t.id FROM {rows} JOIN account t ON t.id=x.i AND t.version=x.v{is_free})",
    "i": f"i AS (INSERT INTO session ({SESSION_FIELDS}, ended_at) SELECT x.*, {ENDED} FROM {{rows}} WHERE {{gate}})",
    "u": (
        "u AS (UPDATE session s SET state=x.state, deadline=x.deadline, accrued=x.accrued, reserved=x.reserved, "
        f"body=x.body, ended_at={ENDED} FROM {{rows}} WHERE s.id=x.id AND {{gate}})"
    ),
    "c": (
        f"c AS (INSERT INTO cdr ({CDR_FIELDS}) SELECT x.* FROM {{rows}} WHERE x.account IS NULL OR {{gate}} "
        "ON CONFLICT (id) DO UPDATE SET revision=excluded.revision, ended_at=excluded.ended_at, used=excluded.used, "
        "amount=excluded.amount, cause=excluded.cause, assumed=excluded.assumed, implausible=excluded.implausible, "
        "reported=excluded.reported, lines=excluded.lines)"
    ),
    "l": (
        "l AS (INSERT INTO ledger_entry (account_id, entry_no, amount, balance_after, cause, ref, at) "
        "SELECT x.* FROM {rows} WHERE {gate})"
    ),
    "a": (
        "al AS (INSERT INTO session_alias (alias, session_id) SELECT x.alias, x.session FROM {rows} WHERE {gate} "
        "ON CONFLICT DO NOTHING)"
    ),
    "o": ("ob AS (INSERT INTO outbox (consumer, kind, at, body) SELECT x.c, x.k, x.t, x.b FROM {rows} WHERE {gate})"),
    "p": (
        "mv AS (INSERT INTO idempotency (key, digest, result, at) SELECT x.k, x.d, x.r, x.t FROM {rows} WHERE {gate})"
    ),
    "b": "bu AS (UPDATE bucket t SET amount=x.m, reserved=x.r FROM {rows} WHERE t.id=x.id AND {gate})",
    "t": (
        "un AS (INSERT INTO unit_entry (bucket_id, session_id, revision, units, at) "
        "SELECT x.b, x.s, x.r, x.u, x.t FROM {rows} WHERE {gate})"
    ),
    "s": (
        "es AS (INSERT INTO early_start (key, started_at, deadline) SELECT x.* FROM {rows} "
        "ON CONFLICT (key) DO UPDATE SET deadline=excluded.deadline)"
    ),
    "e": (
        "ne AS (INSERT INTO nas_identity (identity, epoch, restarted_at) SELECT x.* FROM {rows} "
        "ON CONFLICT (identity) DO UPDATE SET epoch=excluded.epoch, restarted_at=excluded.restarted_at)"
    ),
    "d": ("ee AS (UPDATE session s SET deadline=x.d FROM {rows} WHERE s.ended_at IS NULL AND starts_with(s.key, x.p))"),
}

LOAD = (
    "WITH n AS MATERIALIZED (SELECT alias, session_id FROM session_alias WHERE alias = ANY($1::text[])), "
    "s AS MATERIALIZED (SELECT id, account_id, key, origin, state, deadline, head, body FROM session "
    "WHERE id = ANY(ARRAY(SELECT id FROM session WHERE key = ANY($1::text[]) UNION SELECT unnest($2::bigint[]) "
    "UNION SELECT session_id FROM n))), "
    "o AS MATERIALIZED (SELECT unnest($3::bigint[]) AS id UNION SELECT account_id FROM s), "
    "p AS MATERIALIZED (SELECT id FROM o UNION SELECT pool_id FROM account WHERE id = ANY(ARRAY(SELECT id FROM o))) "
    "SELECT 's', to_json(s)::text FROM s UNION ALL "
    "SELECT 'n', to_json(n)::text FROM n UNION ALL "
    "SELECT 'a', to_json(a)::text FROM account a WHERE a.id = ANY(ARRAY(SELECT id FROM p)) UNION ALL "
    "SELECT 'b', to_json(b)::text FROM bucket b WHERE b.account_id = ANY(ARRAY(SELECT id FROM p)) UNION ALL "
    "SELECT 'e', to_json(e)::text FROM early_start e WHERE e.key = ANY($1::text[]) UNION ALL "
    "SELECT 'm', to_json(m)::text FROM idempotency m WHERE m.key = ANY($4::text[])"
)
LOCK = "SELECT id FROM account WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"
# The next stretch of the live sessions by account and id: the due ones of them, and the last one if more may follow.
DUE = (
    "WITH l AS MATERIALIZED (SELECT account_id, id, deadline FROM session WHERE ended_at IS NULL "
    "AND (account_id, id)>($3::bigint, $4::bigint) ORDER BY account_id, id LIMIT $5::bigint) "
    "(SELECT true, account_id, id FROM l WHERE deadline<=$1::bigint ORDER BY account_id, id LIMIT $2::bigint) "
    "UNION ALL (SELECT false, account_id, id FROM l ORDER BY account_id, id OFFSET $5::bigint - 1)"
)
LIVE = "SELECT count(*) FROM session WHERE ended_at IS NULL"
PURGE = (
    "WITH g AS (DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ended_at<$1::bigint "
    "LIMIT $3::bigint) RETURNING id), "
    "n AS (DELETE FROM session_alias WHERE session_id IN (SELECT id FROM g)), "
    "e AS (DELETE FROM early_start WHERE deadline<$2::bigint) SELECT count(*) FROM g"
)
SUBSCRIBER = (
    "SELECT account.id, account.name, subscription.type, subscription.value, subscription.credential, "
    "account.pool_id "
    "FROM subscription JOIN account ON account.id = subscription.account_id "
    "WHERE subscription.type=$1::text AND subscription.value=$2::text"
)
EPOCH = "SELECT epoch FROM nas_identity WHERE identity=$1::text"
PULSE = (
    "SELECT coalesce((SELECT sum(number) FROM generation), 0)::bigint, "
    "coalesce((SELECT sum(epoch) FROM nas_identity), 0)::bigint, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)
STATEMENTS = {
    "load": LOAD,
    "lock": LOCK,
    "due": DUE,
    "live": LIVE,
    "purge": PURGE,
    "subscriber": SUBSCRIBER,
    "epoch": EPOCH,
    "pulse": PULSE,
}
