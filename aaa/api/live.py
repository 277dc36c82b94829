"""
What the live page and `session top` show: running sessions and the figures above them, once a second.

One picture is made per second however many people look, and none when nobody does; above 500 sessions
it shows them by destination instead of one by one.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from aaa.api import present
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal
from aaa.api.security import READ
from aaa.api.shapes import Money, instant, money
from aaa.engine.model import Line, Session
from aaa.store import read
from aaa.store.codec import session_from_row
from rating.price import price

router = APIRouter(prefix="/v1", tags=["live"], dependencies=[READ])

ROWS_MAX = 500
SESSIONS_READ_MAX = 10_000
WATCHERS_MAX = 50
INTERVAL_S = 1.0
PICTURE_S = 0.9
DENIALS_WINDOW_US = 300_000_000
SECOND_US = 1_000_000


class LiveSession(BaseModel):
    """One running session; `left_s` is how long the balance would still last at the present rate."""

    id: str
    account: str
    subscriber: str
    caller: str
    destination: str
    destination_name: str
    service: str
    origin: str
    state: str
    begun_at: str
    elapsed_s: int
    rate_per_minute: Money
    charged: Money
    reserved: Money
    left_s: int | None
    refresh_s: int
    available: Money | None


class LiveGroup(BaseModel):
    """Sessions to one destination, shown together when there are too many."""

    destination_name: str
    sessions: int
    reserved: Money


class LiveCurrency(BaseModel):
    """Money now held and burnt in one currency."""

    currency: str
    reserved: Money
    accrued: Money
    exposure: Money = Field(description="granted while the store was away, and not known to it yet")
    burn_per_minute: Money


class Picture(BaseModel):
    """The state of all running sessions at one instant."""

    at_us: int
    active: int
    truncated: bool
    currencies: list[LiveCurrency]
    denials: dict[str, int]
    oldest_silent_s: int
    draining: bool
    sessions: list[LiveSession]
    groups: list[LiveGroup]


class Gallery:
    """Makes pictures, at most one per second, shared by everybody who looks."""

    def __init__(self) -> None:
        self.watchers = 0
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._painted_s = 0.0
        self._denials: deque[tuple[int, Counter[str]]] = deque()

    def picture(self, context: ApiContext) -> Picture:
        """The latest picture, made anew when it is older than a second."""
        with self._lock:
            if self._picture is None or time.monotonic() - self._painted_s >= PICTURE_S:
                self._picture = self._paint(context, context.clock())
                self._painted_s = time.monotonic()
            return self._picture

    def _paint(self, context: ApiContext, now: int) -> Picture:
        status = context.wait(context.control.status())
        with context.read() as connection:
            rows = read.sessions(connection, 0, SESSIONS_READ_MAX + 1)
            totals = read.totals(connection)
            tariffs = context.tariffs(connection)
            sessions = [
                session_from_row(
                    (row.id, row.account_id, row.key, row.origin, row.state, row.deadline, row.head, row.body), tariffs
                )
                for row in rows[:SESSIONS_READ_MAX]
            ]
            accounts = read.accounts_by_number(connection, [session.head.account_id for session in sessions])
            pools = read.accounts_by_number(connection, [row.pool_id for row in accounts.values() if row.pool_id])
        burn: Counter[str] = Counter()
        for session in sessions:
            burn[accounts[session.head.account_id].currency] += _burn(session)
        exposure = status.get("exposure_micro", {})
        shown = sessions if len(sessions) <= ROWS_MAX else []
        return Picture(
            at_us=now,
            active=sum(int(row.sessions) for row in totals),
            truncated=len(rows) > SESSIONS_READ_MAX,
            currencies=[
                LiveCurrency(
                    currency=row.currency,
                    reserved=money(row.reserved, row.currency),
                    accrued=money(row.accrued, row.currency),
                    exposure=money(exposure.get(row.currency, 0), row.currency),
                    burn_per_minute=money(burn[row.currency], row.currency),
                )
                for row in totals
            ],
            denials=self._recent_denials(status.get("counters", {}), now),
            oldest_silent_s=max((now - _heard(session) for session in sessions), default=0) // SECOND_US,
            draining=bool(status.get("draining")),
            sessions=[_row(session, accounts[session.head.account_id], pools, now) for session in shown],
            groups=[] if shown else _groups(sessions, accounts),
        )

    def _recent_denials(self, counters: dict[str, int], now: int) -> dict[str, int]:
        """Denials of the last five minutes by reason, since somebody began to look."""
        denied = Counter(
            {name.removeprefix("denied."): n for name, n in counters.items() if name.startswith("denied.")}
        )
        self._denials.append((now, denied))
        while self._denials[0][0] < now - DENIALS_WINDOW_US:
            self._denials.popleft()
        return {reason: count for reason, count in (denied - self._denials[0][1]).items() if count}


def gallery_of(request: Request) -> Gallery:
    """The gallery of the application."""
    gallery: Gallery = request.app.state.gallery
    return gallery


Pictures = Annotated[Gallery, Depends(gallery_of)]


@router.get("/live")
def live(context: Context, gallery: Pictures) -> Picture:
    """The picture of now."""
    return gallery.picture(context)


@router.get("/live/stream", response_class=StreamingResponse)
async def stream(request: Request, context: Context, gallery: Pictures) -> StreamingResponse:
    """The same as server-sent events, one a second."""
    if gallery.watchers >= WATCHERS_MAX:
        raise Refusal(503, f"{WATCHERS_MAX} others are watching already")

    async def events() -> AsyncIterator[str]:
        gallery.watchers += 1
        try:
            while not await request.is_disconnected():
                try:
                    picture = await asyncio.to_thread(gallery.picture, context)
                    yield f"event: picture\ndata: {picture.model_dump_json()}\n\n"
                except Refusal as refusal:
                    yield f"event: problem\ndata: {json.dumps(refusal.body())}\n\n"
                await asyncio.sleep(INTERVAL_S)
        finally:
            gallery.watchers -= 1

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _per_minute(line: Line) -> int:
    """What the next minute of a time line costs, at its present position."""
    if line.head.plan is None or line.head.key.unit != "seconds":
        return 0
    anchor = line.anchor_use_us or line.head.anchor_auth_us
    used = max(line.used, 1)
    return price(line.head.plan, anchor, used + 60, line.parts) - price(line.head.plan, anchor, used, line.parts)


def _burn(session: Session) -> int:
    return sum(_per_minute(line) for line in session.lines[-1:])


def _heard(session: Session) -> int:
    """When its client was last heard of."""
    return max(session.head.begun_us, session.asked_us, session.started_us)


def _row(session: Session, account: Any, pools: dict[int, Any], now: int) -> LiveSession:
    line = session.lines[-1]
    plan, currency = line.head.plan, account.currency
    per_minute = _burn(session)
    elapsed_s = max(0, now - (session.answered_us or session.head.begun_us)) // SECOND_US
    granted = line.head.offset + line.granted
    free = present.available(account if account.pool_id is None else pools[account.pool_id])
    left = None if free is None or not per_minute else max(0, granted - elapsed_s) + max(0, free) * 60 // per_minute
    return LiveSession(
        id=str(session.head.id),
        account=account.name,
        subscriber=session.head.subscriber,
        caller=session.head.caller,
        destination=line.head.destination,
        destination_name=plan.destination if plan else "",
        service=plan.service if plan else "voice",
        origin=session.head.origin,
        state="killing" if session.cause else "final" if line.is_final else session.state.value,
        begun_at=instant(session.head.begun_us) or "",
        elapsed_s=elapsed_s,
        rate_per_minute=money(per_minute, currency),
        charged=money(session.accrued_micro, currency),
        reserved=money(session.reserved_micro, currency),
        left_s=left,
        refresh_s=max(0, granted - elapsed_s),
        available=None if free is None else money(free, currency),
    )


def _groups(sessions: list[Session], accounts: dict[int, Any]) -> list[LiveGroup]:
    counts: Counter[tuple[str, str]] = Counter()
    reserved: Counter[tuple[str, str]] = Counter()
    for session in sessions:
        plan = session.lines[-1].head.plan
        key = (plan.destination if plan else "", accounts[session.head.account_id].currency)
        counts[key] += 1
        reserved[key] += session.reserved_micro
    return [
        LiveGroup(destination_name=name, sessions=count, reserved=money(reserved[name, currency], currency))
        for (name, currency), count in counts.most_common(ROWS_MAX)
    ]
