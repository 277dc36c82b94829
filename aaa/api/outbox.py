"""
The consumers of the outbox: what waits for them, and the key a webhook's receiver checks signatures with.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from aaa.api.context import Context
from aaa.api.problems import not_found
from aaa.api.security import ADMIN, READ, Who
from aaa.api.shapes import Page
from aaa.outbox.sinks import webhook_key
from aaa.store import read

router = APIRouter(prefix="/v1/outbox", tags=["outbox"])


class OutboxConsumer(BaseModel):
    """One consumer: where its events go, how many wait, and how long the oldest has."""

    name: str
    sink: str
    events: list[str]
    pending: int
    oldest_s: float


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


@router.get("/{name}/key", dependencies=[ADMIN])
def show_key(context: Context, who: Who, name: str) -> WebhookKey:
    """The key a webhook's receiver needs; derived from the server key, the same on every node."""
    if not any(table.name == name and table.webhook is not None for table in context.config.outbox):
        raise not_found("webhook", name)
    context.audit(who, "outbox.key", name)
    return WebhookKey(name=name, key=webhook_key(context.keys, name))
