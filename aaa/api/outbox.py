"""
The consumers of the outbox: their events, what waits, and the key a webhook's receiver checks signatures with.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from aaa.api.accounts import Before, Limit
from aaa.api.context import Context
from aaa.api.problems import not_found
from aaa.api.security import ADMIN, READ, Who
from aaa.api.shapes import Page, instant
from aaa.outbox.sinks import webhook_key
from aaa.store import read

STATES: tuple[Literal["pending", "delivered", "given_up"], ...] = ("pending", "delivered", "given_up")

router = APIRouter(prefix="/v1/outbox", tags=["outbox"])


class OutboxConsumer(BaseModel):
    """One consumer: where its events go, how many wait, and how long the oldest has."""

    name: str
    sink: str
    events: list[str]
    pending: int
    oldest_s: float


class OutboxEvent(BaseModel):
    """One event as its consumer gets it; `number` is the order in which events were written."""

    number: str
    kind: str
    at: str
    state: Literal["pending", "delivered", "given_up"]
    body: dict[str, Any]


class WebhookKey(BaseModel):
    """The key of a consumer's signatures, as hex text: HMAC-SHA256 over timestamp, full stop and body."""

    name: str
    key: str


@router.get("", dependencies=[READ])
def list_consumers(context: Context) -> Page[OutboxConsumer]:
    """Every consumer of the configuration."""
    with context.read() as connection:
        waiting = {row.consumer: row for row in read.outbox(connection)}
    now_us = context.clock()
    found = []
    for table in context.config.outbox:
        row = waiting.get(table.name)
        sink = "file" if table.file is not None else "webhook" if table.webhook is not None else "stream"
        oldest_s = max(0.0, (now_us - row.oldest_at) / 1e6) if row is not None else 0.0
        pending = row.pending if row is not None else 0
        shown = OutboxConsumer(
            name=table.name, sink=sink, events=list(table.events), pending=pending, oldest_s=round(oldest_s, 3)
        )
        found.append(shown)
    return Page(items=found)


@router.get("/{name}/events", dependencies=[READ])
def list_events(context: Context, name: str, after: Before = None, limit: Limit = 100) -> Page[OutboxEvent]:
    """
    The events of a consumer that the outbox still keeps, those after a number; without one the last ones.

    Several nodes write at once, so an event may appear a moment after one with a higher number.
    """
    if not any(table.name == name for table in context.config.outbox):
        raise not_found("consumer", name)
    with context.read() as connection:
        rows = read.outbox_events(connection, name, after, limit)
    items = [
        OutboxEvent(
            number=str(row.id),
            kind=row.kind,
            at=instant(row.at) or "",
            state=STATES[row.state],
            body=json.loads(row.body),
        )
        for row in rows
    ]
    return Page(items=items, next=items[-1].number if after is not None and len(items) == limit else None)


@router.get("/{name}/key", dependencies=[ADMIN])
def show_key(context: Context, who: Who, name: str) -> WebhookKey:
    """The key a webhook's receiver needs; derived from the server key, the same on every node."""
    if not any(table.name == name and table.webhook is not None for table in context.config.outbox):
        raise not_found("webhook", name)
    context.audit(who, "outbox.key", name)
    return WebhookKey(name=name, key=webhook_key(context.keys, name))
