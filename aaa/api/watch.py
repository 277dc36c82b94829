"""
What the serving processes remember and show of one subscriber: why it was refused, what it sends.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from aaa.api import records
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal
from aaa.api.security import OPERATE, READ, Who
from aaa.api.shapes import Page, instant
from aaa.config.values import Seconds

router = APIRouter(prefix="/v1", tags=["watch"], dependencies=[READ])

TRACE_MAX_S = 24 * 3600
Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class TraceOrder(BaseModel):
    """Trace a subscriber for so long."""

    model_config = ConfigDict(extra="forbid")
    subscriber: Name
    duration: Annotated[Seconds, Field(ge=1, le=TRACE_MAX_S)] = Field(
        default=600, json_schema_extra={"type": "string", "examples": ["10m"]}
    )


@router.get("/refusals")
def list_refusals(context: Context, name: Annotated[Name, Query()]) -> Page[records.Refusal]:
    """The last refusals about a subscriber, a caller or a called number, since the process began."""
    found = context.wait(context.control.ask("refusals", name=name))
    return Page(items=[records.Refusal(at=instant(each.pop("at_us")) or "", **each) for each in found])


@router.get("/log")
def recent_log(context: Context) -> list[dict[str, Any]]:
    """The last warnings and errors of the serving processes, secrets hidden."""
    found: list[dict[str, Any]] = context.wait(context.control.ask("log"))
    return found


@router.get("/traces")
def list_traces(context: Context) -> Page[records.Trace]:
    """Who is traced, and until when."""
    return _shown(context, context.wait(context.control.ask("traces")))


@router.post("/traces", dependencies=[OPERATE])
def start_trace(context: Context, who: Who, body: TraceOrder) -> Page[records.Trace]:
    """Write the decoded packets of a subscriber into the log for a while, secrets hidden."""
    context.audit(who, "trace.start", body.subscriber, duration_s=body.duration)
    until_us = context.clock() + body.duration * 1_000_000
    running = context.wait(context.control.ask("trace", subscriber=body.subscriber, until_us=until_us))
    if not running:
        raise Refusal(409, "too many subscribers are traced already; stop one of them")
    return _shown(context, running)


@router.delete("/traces/{subscriber:path}", dependencies=[OPERATE])
def stop_trace(context: Context, who: Who, subscriber: str) -> Page[records.Trace]:
    """Stop tracing a subscriber; one that is not traced is no mistake."""
    context.audit(who, "trace.stop", subscriber)
    context.wait(context.control.ask("trace", subscriber=subscriber, until_us=0))
    return list_traces(context)


def _shown(context: ApiContext, running: list[dict[str, object]]) -> Page[records.Trace]:
    """Each subscriber once, whichever process traces it."""
    until = {str(each["subscriber"]): int(str(each["until_us"])) for each in running}
    return Page(items=[records.Trace(subscriber=name, until=instant(us) or "") for name, us in sorted(until.items())])
