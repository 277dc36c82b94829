"""
Running sessions, and the CDRs of those that ended.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from aaa.api import present, shapes
from aaa.api.accounts import Cursor, Limit
from aaa.api.context import ApiContext, Context
from aaa.api.problems import not_found
from aaa.api.security import OPERATE, READ, Who
from aaa.api.shapes import Page
from aaa.api.times import asked_time
from aaa.engine.commands import Expire, Kill
from aaa.store import read
from aaa.store.codec import STATE_NUMBER
from aaa.store.read import LIVE_STATES

router = APIRouter(prefix="/v1", tags=["sessions"], dependencies=[READ])

StateName = Literal["live", "held", "open", "expired", "closed", "all"]
SESSION_ID_MAX = 2**63
PAGE_OF_STREAM = 1_000
CSV_COLUMNS = (
    "id", "account", "protocol", "origin", "subscriber", "caller", "destination", "begun_at", "ended_at", "used",
    "amount", "currency", "cause", "assumed", "revision",
)  # fmt: skip


@router.get("/sessions")
def list_sessions(
    context: Context, account: str = "", state: StateName = "live", after: Cursor = "0", limit: Limit = 100
) -> Page[shapes.Session]:
    """Sessions in the order in which they began; `live` are those that hold money."""
    with context.read() as connection:
        number = context.account(connection, account).id if account else None
        rows = read.sessions(connection, _session_id(after), limit, _states(state), number)
        owners = read.account_names(connection, [row.account_id for row in rows])
        tariffs = context.tariffs(connection)
        now = context.clock()
        items = [present.session(row, owners.get(row.account_id, ("", "")), tariffs, now) for row in rows]
    return Page(items=items, next=items[-1].id if len(items) == limit else None)


@router.get("/sessions/{number}")
def show_session(context: Context, number: str) -> shapes.Session:
    """One session, running or ended less than a day ago."""
    with context.read() as connection:
        row = _session(context, connection, number)
        owner = read.account_names(connection, [row.account_id]).get(row.account_id, ("", ""))
        return present.session(row, owner, context.tariffs(connection), context.clock())


@router.post("/sessions/{number}/kill", dependencies=[OPERATE])
def kill_session(context: Context, who: Who, number: str) -> shapes.Session:
    """End a session: it gets no more quota, its client is told to hang up, and its Stop settles it."""
    with context.read() as connection:
        row = _session(context, connection, number)
    context.audit(who, "session.kill", number)
    context.submit(Kill(f"#{row.id}"), row.account_id)
    return show_session(context, number)


@router.post("/sessions/{number}/settle", dependencies=[OPERATE])
def settle_session(context: Context, who: Who, number: str) -> shapes.Session:
    """Settle a session at what is known, as its deadline would; a late Stop corrects by the difference."""
    with context.read() as connection:
        row = _session(context, connection, number)
    context.audit(who, "session.settle", number)
    context.submit(Expire(f"#{row.id}", "settled"), row.account_id)
    return show_session(context, number)


@router.get("/cdrs")
def list_cdrs(
    context: Context,
    account: str = "",
    since: str = "",
    until: str = "",
    unrated: bool = False,
    after: Annotated[str, Query(pattern=r"^\d{1,19}\.\d{1,19}$")] = "0.0",
    limit: Limit = 100,
) -> Page[shapes.Cdr]:
    """CDRs in the order in which their sessions ended."""
    with context.read() as connection:
        ended_at, _, number = after.partition(".")
        rows = read.cdrs(
            connection,
            (min(int(ended_at), SESSION_ID_MAX - 1), min(int(number), SESSION_ID_MAX - 1)),
            limit,
            account_id=context.account(connection, account).id if account else None,
            since_us=asked_time(since, "since"),
            until_us=asked_time(until, "until"),
            is_unrated=unrated,
        )
        owners = read.account_names(connection, [row.account_id for row in rows if row.account_id is not None])
        tariffs = context.tariffs(connection)
        items = [present.cdr(row, owners.get(row.account_id, (None, ""))[0], tariffs) for row in rows]
    return Page(items=items, next=f"{rows[-1].ended_at}.{rows[-1].id}" if len(rows) == limit else None)


@router.get("/cdrs.{format}", response_class=StreamingResponse)
def stream_cdrs(
    context: Context, format: Literal["csv", "jsonl"], account: str = "", since: str = "", until: str = ""
) -> StreamingResponse:
    """All CDRs of a time as one stream, a page at a time in memory."""
    if account:
        with context.read() as connection:
            context.account(connection, account)
    asked_time(since, "since")
    asked_time(until, "until")
    pages = _cdr_pages(context, account, since, until)
    if format == "csv":
        return StreamingResponse(csv_text(pages), media_type="text/csv")
    lines = (cdr.model_dump_json() + "\n" for page in pages for cdr in page)
    return StreamingResponse(lines, media_type="application/x-ndjson")


def _cdr_pages(context: ApiContext, account: str, since: str, until: str) -> Iterator[list[shapes.Cdr]]:
    after: str | None = "0.0"
    while after is not None:
        page = list_cdrs(context, account, since, until, False, after, PAGE_OF_STREAM)
        yield page.items
        after = page.next


def csv_text(pages: Iterator[list[shapes.Cdr]]) -> Iterator[str]:
    """CDRs as CSV, the header first, a page at a time."""
    yield ",".join(CSV_COLUMNS) + "\r\n"
    for page in pages:
        text = io.StringIO()
        writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore")
        for cdr in page:
            row: dict[str, Any] = cdr.model_dump()
            writer.writerow({**row, "amount": cdr.amount.amount, "currency": cdr.amount.currency})
        yield text.getvalue()


def _session(context: ApiContext, connection: Any, number: str) -> Any:
    row = read.session(connection, _session_id(number))
    if row is None:
        raise not_found("session", number)
    return row


def _session_id(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= SESSION_ID_MAX:
        raise not_found("session", text)
    return int(text)


def _states(name: StateName) -> tuple[int, ...]:
    if name == "live":
        return LIVE_STATES
    return tuple(number for state, number in STATE_NUMBER.items() if name in ("all", state.value))
