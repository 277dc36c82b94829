"""
The schema: SQLAlchemy Core tables shared by SQLite and PostgreSQL, and by the Alembic migrations.

Amounts are integers of 10^-6 of the currency, instants integer microseconds since the epoch (UTC).
`account`, `session`, `ledger_entry` and `cdr` carry the money and are written only by the batch
(`aaa.store`), never by anything else.  Columns that only a person or an export reads travel as JSON text
(`head`, `body`, `lines`), so that a row costs one bind value instead of twenty.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# On PostgreSQL a row that changes with every request finds room for its next version on its own page, and while no
# indexed column changes the indexes need not hear of it (HOT): a quarter of what a batch costs.
ROOM = {"fillfactor": 50}

# SQLite makes only INTEGER PRIMARY KEY the row id; both spellings hold 64 bits.
Id = BigInteger().with_variant(Integer, "sqlite")

IS_MEMBER = text("pool_id IS NOT NULL")

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),  # the public account id, e.g. "alice"
    Column("currency", Text, nullable=False),
    Column("tariff", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),  # active | suspended | closed
    Column("credit_limit", BigInteger),  # micro; NULL: unlimited (post-paid)
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("limits", Text, nullable=False, server_default="{}"),  # JSON, see aaa.engine.terms.Limits
    Column("pool_id", BigInteger, ForeignKey("account.id")),  # whose money and units it spends; NULL: its own
    Column("windows", Text, nullable=False, server_default="[]"),  # JSON, see aaa.engine.model.Window
    Column("balance", BigInteger, nullable=False, server_default="0"),
    Column("accrued", BigInteger, nullable=False, server_default="0"),
    Column("reserved", BigInteger, nullable=False, server_default="0"),
    Column("live_sessions", Integer, nullable=False, server_default="0"),
    Column("entry_no", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_account_pool_id", "pool_id", sqlite_where=IS_MEMBER, postgresql_where=IS_MEMBER),
    sqlite_autoincrement=False,
    postgresql_with=ROOM,
)

bucket = Table(
    "bucket",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("account_id", BigInteger, ForeignKey("account.id"), nullable=False),
    Column("name", Text, nullable=False),  # the key under which apply and top-ups name it
    Column("unit", Text, nullable=False),  # seconds | octets | events
    Column("amount", BigInteger, nullable=False),  # units left, held ones included
    Column("reserved", BigInteger, nullable=False, server_default="0"),  # units held by live sessions
    Column("initial", BigInteger, nullable=False),  # units it was made with: amount = initial + sum of unit entries
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("scope", Text, nullable=False, server_default="[]"),  # JSON list of prefixes; empty: everything
    Column("service", Text, nullable=False, server_default=""),
    Column("pulse", Text, nullable=False, server_default="1/1"),
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Index("uq_bucket_account_id_name", "account_id", "name", unique=True),
)

subscription = Table(
    "subscription",
    metadata,
    Column("type", Text, nullable=False),  # username | e164 | sip_uri | imsi | ip | pin
    Column("value", Text, nullable=False),
    Column("account_id", BigInteger, ForeignKey("account.id"), nullable=False, index=True),
    # JSON: {"clear": sealed, "hash": text, "ha1": {realm: sealed}, "ha1_sha256": {realm: sealed}}; {}: none
    Column("credential", Text, nullable=False, server_default="{}"),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("type", "value"),
)

tariff_version = Table(
    "tariff_version",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("tariff", Text, nullable=False, index=True),
    Column("document", Text, nullable=False),  # JSON, the canonical form rating.loader reads and writes
    Column("digest", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

tariff_activation = Table(
    "tariff_activation",
    metadata,
    Column("tariff", Text, nullable=False),
    Column("active_from", BigInteger, nullable=False),
    Column("version_id", BigInteger, ForeignKey("tariff_version.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tariff", "active_from"),
)

session = Table(
    "session",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # node << 40 | counter, from the node
    Column("account_id", BigInteger, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),  # NAS or peer
    Column("state", SmallInteger, nullable=False),  # 0 held, 1 open, 2 expired, 3 closed
    Column("deadline", BigInteger, nullable=False),  # live: when to expire; closed: when it ended
    Column("accrued", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("head", Text, nullable=False),  # JSON: what never changes
    Column("body", Text, nullable=False),  # JSON: lines, remembered requests
    Column("ended_at", BigInteger),  # NULL while live
    postgresql_with=ROOM,
)

IS_LIVE = session.c.ended_at.is_(None)
HAS_ENDED = session.c.ended_at.is_not(None)

# Each session is in one of two: live ones, which stay on few pages, by account, and closed ones by their end.  Closed
# sessions of an account are its CDRs.  No index has the deadline, which moves with most reports.
LIVE_INDEX = "ix_session_live"
_live_columns = (session.c.account_id, session.c.id, session.c.ended_at)  # the last for SQLite, which looks once more
Index(LIVE_INDEX, *_live_columns, sqlite_where=IS_LIVE, postgresql_where=IS_LIVE)
Index("ix_session_ended_at", session.c.ended_at, sqlite_where=HAS_ENDED, postgresql_where=HAS_ENDED)

session_alias = Table(
    "session_alias",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("session_id", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

early_start = Table(
    "early_start",
    metadata,
    Column("key", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

cdr = Table(
    "cdr",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # the session's id
    Column("account_id", BigInteger),  # NULL: unrated, nobody known to pay
    Column("key", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("begun_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False, index=True),
    Column("used", BigInteger, nullable=False),  # of the first line
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False, server_default=""),
    Column("cause", Text, nullable=False),
    Column("assumed", SmallInteger, nullable=False, server_default="0"),
    Column("implausible", SmallInteger, nullable=False, server_default="0"),
    Column("reported", BigInteger),  # the total of the End as the client said it (S19)
    Column("head", Text, nullable=False),  # JSON as session.head
    Column("lines", Text, nullable=False),  # JSON: the settled lines with their anchors and plans
    Column("pool_id", BigInteger),  # the account that paid; NULL: its own
    Column("block", BigInteger, nullable=False, server_default="0"),  # see aaa.store.cdrs
    Index("ix_cdr_block_account_id", "block", "account_id"),
)

# Export of CDRs: a file is announced with the revisions it holds before it is written, so that a crash in
# between is followed by the same file and never by a second one with the same CDRs.
cdr_file = Table(
    "cdr_file",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=True),
    Column("node", Text, nullable=False),  # who writes it, into its own directory
    Column("name", Text, nullable=False),
    Column("records", Integer, nullable=False),
    Column("digest", Text, nullable=False, server_default=""),  # SHA-256 of what it holds; "": not written yet
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
)

cdr_export = Table(
    "cdr_export",
    metadata,
    Column("cdr_id", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("file_number", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("cdr_id", "revision"),
    sqlite_with_rowid=False,
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("entry_no", BigInteger, nullable=False),  # gap-free from account.entry_no (S13)
    Column("amount", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),  # charge | assumed | correction | opening | topup | adjust | debit | refund
    Column("ref", Text, nullable=False),  # session id, or the idempotency key of the movement
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "entry_no"),
    sqlite_with_rowid=False,
)

unit_entry = Table(
    "unit_entry",
    metadata,
    Column("bucket_id", BigInteger, nullable=False),
    Column("session_id", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("units", BigInteger, nullable=False),  # negative: taken by the settlement of the session
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("bucket_id", "session_id", "revision"),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

nas_identity = Table(
    "nas_identity",
    metadata,
    Column("identity", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("restarted_at", BigInteger, nullable=False),
)

nas = Table(
    "nas",
    metadata,
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),  # JSON of the [[nas]] table, secrets sealed
    Column("created_at", BigInteger, nullable=False),
)

peer = Table(
    "peer",
    metadata,
    Column("origin_host", Text, nullable=False),
    Column("realm", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("origin_host", "realm"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default="{}"),
)

token = Table(
    "token",
    metadata,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),  # keyed hash; the token itself is shown once
    Column("roles", Text, nullable=False),  # space-separated: read operate money admin
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

voucher = Table(
    "voucher",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("batch", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False, unique=True),  # keyed hash of the PIN, which is shown once
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),  # active | used | blocked
    Column("expires_at", BigInteger),
    Column("extends", BigInteger),  # seconds that redeeming adds to the validity of the account
    Column("account_id", BigInteger),  # who redeemed it
    Column("redeemed_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
)

node = Table(
    "node",
    metadata,
    Column("number", Id, primary_key=True, autoincrement=True),  # a fresh one per start: session ids never repeat
    Column("name", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
)

generation = Table(
    "generation",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # grows with every provisioning transaction: look again
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("consumer", Text, nullable=False),  # one row for each that wants the event
    Column("kind", Text, nullable=False),  # session.started | session.settled | balance.low | ...
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Column("state", SmallInteger, nullable=False, server_default="0"),  # 0 pending, 1 delivered, 2 given up
    Index("ix_outbox_consumer_state_id", "consumer", "state", "id"),
    Index("ix_outbox_at", "at"),
)

outbox_lease = Table(
    "outbox_lease",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("owner", Text, nullable=False),  # the node that delivers now
    Column("until", BigInteger, nullable=False),
)
