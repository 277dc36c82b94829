"""
Reading for people: accounts, ledgers, sessions, CDRs and what was provisioned, in pages.

These queries have their own read-only connections, so a report can neither write nor hold up the batch.
Everything is paged by key, never by offset: a page costs the same wherever it is.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, FromClause, Select, case, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from aaa.errors import StoreUnavailable
from aaa.store import cdrs as cdr_blocks
from aaa.store import tables as db

LIVE_STATES = (0, 1)
PAGE_MAX = 10_000
NUMBERS_PER_STATEMENT = 1_000
Rows = Sequence[Any]


def open_reader(url: str) -> Engine:
    """
    An engine whose connections cannot write.

    A SQLite file is opened in read-only mode, PostgreSQL sessions are read-only.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = urllib.parse.quote(parsed.database or "")
        engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", connect_args={"timeout": 5})

        @event.listens_for(engine, "connect")
        def _no_writes(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA query_only=ON")

        return engine
    return create_engine(url, connect_args={"options": "-c default_transaction_read_only=on"}, pool_pre_ping=True)


@contextlib.contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """
    A connection whose statements all see the same state of the store.

    Raises:
        StoreUnavailable: The database cannot be reached, or fails while it is read.
    """
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()
    except SQLAlchemyError as error:
        raise StoreUnavailable(str(error.__cause__ or error)) from error


def account(connection: Connection, name: str) -> Any:
    """The account of this public id."""
    return connection.execute(select(db.account).where(db.account.c.name == name)).first()


def accounts(connection: Connection, after: str, limit: int, status: str = "", pool_id: int | None = None) -> Rows:
    """Accounts in order of their public ids, those after one of them; only those of a pool, where one is given."""
    query = select(db.account).where(db.account.c.name > after).order_by(db.account.c.name)
    if pool_id is not None:
        query = query.where(db.account.c.pool_id == pool_id)
    if status:
        query = query.where(db.account.c.status == status)
    return _page(connection, query, limit)


def account_names(connection: Connection, numbers: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Public id and currency of accounts by number."""
    return {number: (row.name, row.currency) for number, row in accounts_by_number(connection, numbers).items()}


def accounts_by_number(connection: Connection, numbers: Sequence[int]) -> dict[int, Any]:
    """Account rows by their numbers, in statements of bounded size."""
    wanted = sorted(set(numbers))
    found: dict[int, Any] = {}
    for start in range(0, len(wanted), NUMBERS_PER_STATEMENT):
        part = wanted[start : start + NUMBERS_PER_STATEMENT]
        found |= {row.id: row for row in connection.execute(select(db.account).where(db.account.c.id.in_(part)))}
    return found


def payers(connection: Connection, rows: Sequence[Any]) -> list[Any]:
    """For each of these account rows the row of its pool, or itself."""
    pools = accounts_by_number(connection, [row.pool_id for row in rows if row.pool_id is not None])
    return [row if row.pool_id is None else pools[row.pool_id] for row in rows]


def buckets(connection: Connection, account_id: int) -> Rows:
    """The unit buckets of an account, in the order they were made."""
    query = select(db.bucket).where(db.bucket.c.account_id == account_id).order_by(db.bucket.c.id)
    return connection.execute(query).all()


def subscriptions(connection: Connection, account_id: int) -> Rows:
    """The identities of an account."""
    table = db.subscription
    query = select(table).where(table.c.account_id == account_id).order_by(table.c.type, table.c.value)
    return connection.execute(query).all()


def subscription(connection: Connection, kind: str, value: str) -> Any:
    """One identity with the account it pays for."""
    table = db.subscription
    query = select(table, db.account.c.name.label("account")).join(db.account, db.account.c.id == table.c.account_id)
    return connection.execute(query.where(table.c.type == kind, table.c.value == value)).first()


def entries(connection: Connection, account_id: int, before: int | None, limit: int) -> Rows:
    """Ledger entries of an account, the newest first, those before an entry number."""
    table = db.ledger_entry
    query = select(table).where(table.c.account_id == account_id).order_by(table.c.entry_no.desc())
    if before is not None:
        query = query.where(table.c.entry_no < before)
    return _page(connection, query, limit)


def entries_of(connection: Connection, account_id: int, ref: str) -> Rows:
    """The ledger entries one session or movement caused."""
    table = db.ledger_entry
    query = select(table).where(table.c.account_id == account_id, table.c.ref == ref).order_by(table.c.entry_no)
    return _page(connection, query, PAGE_MAX)


def ends(connection: Connection, refs: Iterable[str]) -> dict[str, str]:
    """How the sessions ended that ledger entries refer to, by their ids; those that were pruned are left out."""
    numbers = {int(ref) for ref in refs if ref.isascii() and ref.isdigit() and len(ref) < 19}
    query = select(db.cdr.c.id, db.cdr.c.cause).where(db.cdr.c.id.in_(numbers))
    return {str(row.id): row.cause for row in connection.execute(query)} if numbers else {}


def sessions(
    connection: Connection, after: int, limit: int, states: Sequence[int] = LIVE_STATES, account_id: int | None = None
) -> Rows:
    """Sessions in these states, in order of their ids, those after one of them."""
    table = db.session
    is_after = table.c.id > after
    query = select(table).order_by(table.c.id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    elif tuple(states) == LIVE_STATES:
        live = select(table.c.id).where(db.IS_LIVE, is_after).order_by(table.c.id).limit(min(limit, PAGE_MAX))
        # By id it would look at all closed ones too.
        query = query.where(table.c.id.in_(live.with_hint(table, f"INDEXED BY {db.LIVE_INDEX}", "sqlite")))
    wanted = db.IS_LIVE if tuple(states) == LIVE_STATES else table.c.state.in_(states)
    return _page(connection, query.where(is_after, wanted), limit)


def session(connection: Connection, number: int) -> Any:
    """One session by its id."""
    return connection.execute(select(db.session).where(db.session.c.id == number)).first()


def cdr(connection: Connection, number: int) -> Any:
    """One CDR by the id of its session."""
    return connection.execute(select(db.cdr).where(db.cdr.c.id == number)).first()


def cdrs(
    connection: Connection,
    after: tuple[int, int],
    limit: int,
    *,
    account_id: int | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
    is_unrated: bool = False,
) -> Rows:
    """
    CDRs in the order in which their sessions ended, those after an (ended_at, id).

    Args:
        is_unrated: Only usage that nobody is known to pay for (SEMANTICS S19).
    """
    table: FromClause = db.cdr
    if is_unrated or account_id is not None:
        table = cdr_blocks.of(connection, db.cdr.c.account_id == (None if is_unrated else account_id))
    ended_at, number = after
    later = (table.c.ended_at > ended_at) | ((table.c.ended_at == ended_at) & (table.c.id > number))
    query = select(table).where(later).order_by(table.c.ended_at, table.c.id)
    if since_us is not None:
        query = query.where(table.c.ended_at >= since_us)
    if until_us is not None:
        query = query.where(table.c.ended_at < until_us)
    return _page(connection, query, limit)


def outbox(connection: Connection) -> Rows:
    """Per consumer: events that wait, and when the oldest of them happened."""
    table = db.outbox
    query = select(table.c.consumer, func.count().label("pending"), func.min(table.c.at).label("oldest_at"))
    return connection.execute(query.where(table.c.state == 0).group_by(table.c.consumer)).all()


def outbox_events(connection: Connection, consumer: str, after: int | None, limit: int) -> list[Any]:
    """Events of a consumer in the order of their rows, those after one; without it the last ones."""
    table = db.outbox
    query = select(table).where(table.c.consumer == consumer)
    if after is None:
        return list(reversed(_page(connection, query.order_by(table.c.id.desc()), limit)))
    return list(_page(connection, query.where(table.c.id > after).order_by(table.c.id), limit))


def nas(connection: Connection) -> Rows:
    """The RADIUS clients that were provisioned."""
    return connection.execute(select(db.nas).order_by(db.nas.c.name)).all()


def peers(connection: Connection) -> Rows:
    """The Diameter peers that were provisioned."""
    return connection.execute(select(db.peer).order_by(db.peer.c.realm, db.peer.c.origin_host)).all()


def versions(connection: Connection, tariff: str = "") -> Rows:
    """Tariff versions without their documents, the newest first."""
    table = db.tariff_version
    columns = (table.c.id, table.c.tariff, table.c.digest, table.c.created_at)
    query = select(*columns).order_by(table.c.tariff, table.c.id.desc())
    return connection.execute(query.where(table.c.tariff == tariff) if tariff else query).all()


def document(connection: Connection, version: int) -> str | None:
    """The document of a tariff version."""
    return connection.execute(select(db.tariff_version.c.document).where(db.tariff_version.c.id == version)).scalar()


def activations(connection: Connection, tariff: str = "") -> Rows:
    """When which version of a tariff came or comes into force, the newest first."""
    table = db.tariff_activation
    query = select(table).order_by(table.c.tariff, table.c.active_from.desc())
    return connection.execute(query.where(table.c.tariff == tariff) if tariff else query).all()


def token(connection: Connection, digests: Sequence[str]) -> Any:
    """The API token with one of these keyed hashes."""
    return connection.execute(select(db.token).where(db.token.c.digest.in_(digests))).first()


def tokens(connection: Connection) -> Rows:
    """All API tokens."""
    return connection.execute(select(db.token).order_by(db.token.c.name)).all()


def voucher(connection: Connection, digests: Sequence[str]) -> Any:
    """The voucher whose PIN has one of these keyed hashes."""
    return connection.execute(select(db.voucher).where(db.voucher.c.digest.in_(digests))).first()


def vouchers(connection: Connection, after: str, limit: int, batch: str = "", serial: str = "") -> Rows:
    """Vouchers in order of their serials, those after one of them."""
    query = select(db.voucher).where(db.voucher.c.serial > after).order_by(db.voucher.c.serial)
    if batch:
        query = query.where(db.voucher.c.batch == batch)
    if serial:
        query = query.where(db.voucher.c.serial == serial)
    return _page(connection, query, limit)


def tariff_mark(connection: Connection) -> tuple[int, int]:
    """Changes whenever a tariff version or an activation was added."""
    newest = connection.execute(select(func.max(db.tariff_version.c.id))).scalar() or 0
    return newest, connection.execute(select(func.count()).select_from(db.tariff_activation)).scalar_one()


def audits(connection: Connection, before: int | None, limit: int) -> Rows:
    """Who changed what, the newest first."""
    query = select(db.audit).order_by(db.audit.c.id.desc())
    return _page(connection, query if before is None else query.where(db.audit.c.id < before), limit)


def totals(connection: Connection) -> Rows:
    """Per currency: accounts that pay for live sessions, live sessions, money reserved and accrued."""
    table = db.account
    owners = select(db.session.c.account_id).where(db.IS_LIVE).distinct()
    pools = select(table.c.pool_id).where(table.c.id.in_(owners), table.c.pool_id.is_not(None))
    query = (
        select(
            table.c.currency,
            func.count().label("accounts"),
            func.sum(table.c.live_sessions).label("sessions"),
            func.sum(table.c.reserved).label("reserved"),
            func.sum(table.c.accrued).label("accrued"),
        )
        .where(table.c.pool_id.is_(None), table.c.id.in_(owners) | table.c.id.in_(pools))
        .group_by(table.c.currency)
        .order_by(table.c.currency)
    )
    return connection.execute(query).all()


def live_by_kind(connection: Connection) -> Rows:
    """How many sessions hold money, by service and protocol."""
    table = db.session
    # Both columns are JSON arrays whose beginning is fixed (aaa.store.codec): the first line's service
    # opens the body, the protocol opens the head; reading more of a hundred thousand rows would cost seconds.
    service = case(
        *((table.c.body.like(f'[[[["{name}"%'), name) for name in ("voice", "data", "message", "event")), else_="none"
    )
    protocol = case((table.c.head.like('["radius"%'), "radius"), else_="diameter")
    query = (
        select(service.label("service"), protocol.label("protocol"), func.count().label("count"))
        .where(db.IS_LIVE)
        .group_by(service, protocol)
    )
    return connection.execute(query).all()


def in_force(connection: Connection, at_us: int | None = None) -> list[tuple[str, int]]:
    """Every tariff with its version in force, at an instant or by the newest activation."""
    found: dict[str, int] = {}
    for row in activations(connection):
        if at_us is None or row.active_from <= at_us:
            found.setdefault(row.tariff, row.version_id)
    return sorted(found.items())


def _page(connection: Connection, query: Select[Any], limit: int) -> Rows:
    return connection.execute(query.limit(min(limit, PAGE_MAX))).all()
