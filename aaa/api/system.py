"""
The server itself: health, status, drain, reload; its clients; the audit log.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from aaa.api import present, shapes
from aaa.api.accounts import Before, Limit
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import OPERATE, READ, Who
from aaa.api.shapes import Page, instant
from aaa.config.problems import Problem
from aaa.config.show import settings
from aaa.errors import AaaError, ConfigError
from aaa.store import read, schema

router = APIRouter(tags=["system"])

REACTOR_TIMEOUT_S = 5.0
CLOCK_OFFSET_MAX_US = 2_000_000  # SEMANTICS S18


class Drain(BaseModel):
    """Refuse new sessions, or take them again."""

    model_config = ConfigDict(extra="forbid")
    draining: bool


@router.get("/livez")
def live(context: Context) -> dict[str, bool]:
    """Whether the reactor turned within 5 s."""
    context.wait(context.control.status(), REACTOR_TIMEOUT_S)
    return {"live": True}


@router.get("/readyz", responses={503: {"model": shapes.Readiness}})
def ready(context: Context, response: Response, verbose: str = "false") -> shapes.Readiness:
    """Whether the server takes new sessions; 503 when not.  `?verbose` lists every check, else the failed ones."""
    checks = readiness(context)
    is_verbose = verbose.lower() not in ("false", "no", "0")
    is_ready = all(check.ok for check in checks)
    response.status_code = 200 if is_ready else 503
    return shapes.Readiness(ready=is_ready, checks=[check for check in checks if is_verbose or not check.ok])


@router.get("/v1/status", dependencies=[READ])
def status(context: Context) -> dict[str, Any]:
    """Everything a supporter asks first, in one answer."""
    now = context.clock()
    node = context.wait(context.control.status())
    with context.read() as connection:
        totals = read.totals(connection)
        revision = schema.current(context.engine)
    return {
        "version": context.version,
        "python": sys.version.split()[0],
        "pid": os.getpid(),
        "node": context.config.server.node,
        "schema": revision,
        "started_at": instant(context.started_us),
        "uptime_s": (now - context.started_us) // 1_000_000,
        "config": {"digest": context.config.digest, "files": [str(file) for file in context.config.files]},
        "sessions": {
            row.currency: {
                "live": int(row.sessions),
                "accounts": row.accounts,
                "reserved": shapes.money(row.reserved, row.currency).model_dump(),
                "accrued": shapes.money(row.accrued, row.currency).model_dump(),
            }
            for row in totals
        },
        **node,
    }


@router.get("/v1/config", dependencies=[READ])
def show_config(context: Context) -> list[shapes.Setting]:
    """Every value in effect and who decided it, without secrets."""
    return [shapes.Setting(**setting._asdict()) for setting in settings(context.config)]


@router.post("/v1/drain", dependencies=[OPERATE])
def drain(context: Context, who: Who, body: Drain) -> dict[str, bool]:
    """Drain before maintenance: running calls go on, new ones are refused."""
    context.audit(who, "server.drain" if body.draining else "server.undrain", context.config.server.node)
    context.wait(context.control.drain(body.draining))
    return {"draining": body.draining}


@router.post("/v1/reload", dependencies=[OPERATE])
def reload(context: Context, who: Who) -> dict[str, Any]:
    """Read the configuration again: all of it is used, or none."""
    if context.reload is None:
        raise Refusal(503, "this process cannot reload its configuration")
    context.audit(who, "server.reload", context.config.server.node)
    try:
        needs_restart = context.reload()
    except ConfigError as error:
        problems = [Problem("", None, "", "", line) for line in error.problems]
        raise Refusal(422, error.problems[0], code="config_rejected", errors=problems) from None
    return {"reloaded": True, "needs_restart": needs_restart}


@router.get("/v1/nas", dependencies=[READ])
def list_nas(context: Context) -> Page[shapes.Nas]:
    """RADIUS clients of the configuration and of the store."""
    with context.read() as connection:
        stored = [present.nas(json.loads(row.document), "store") for row in read.nas(connection)]
    configured = [present.nas(document, "config") for document in context.config.nas]
    return Page(items=sorted(configured + stored, key=lambda nas: nas.name))


@router.get("/v1/nas/{name}", dependencies=[READ])
def show_nas(context: Context, name: str) -> shapes.Nas:
    """One RADIUS client."""
    for nas in list_nas(context).items:
        if nas.name == name:
            return nas
    raise not_found("nas", name)


@router.get("/v1/audit", dependencies=[READ])
def list_audit(context: Context, before: Before = None, limit: Limit = 100) -> Page[shapes.Audit]:
    """Who changed what and why, the newest first."""
    with context.read() as connection:
        rows = read.audits(connection, before, limit)
    return Page(items=[present.audit(row) for row in rows], next=str(rows[-1].id) if len(rows) == limit else None)


@router.get("/v1/whoami", dependencies=[READ])
def who_am_i(who: Who) -> shapes.Identity:
    """How the audit log will name the caller, and what they may do."""
    return shapes.Identity(actor=who.actor, roles=sorted(who.roles))


def readiness(context: ApiContext) -> list[shapes.Check]:
    """Every check of readiness (OPERATIONS section 5); none of them raises."""
    node: dict[str, Any] = {}

    def reactor() -> str:
        node.update(context.wait(context.control.status(), REACTOR_TIMEOUT_S))
        return "turned"

    def store() -> str:
        with context.read() as connection:
            connection.exec_driver_sql("SELECT 1")
        if not node.get("store_up", True):
            raise AaaError("the last batch could not be written")
        return "answers"

    def revision() -> str:
        found, wanted = schema.current(context.engine), schema.head()
        if found != wanted:
            raise AaaError(f"schema is {found}, expected {wanted}")
        return str(found)

    def tariff() -> str:
        now = context.clock()
        with context.read() as connection:
            names = {row.tariff for row in read.activations(connection) if row.active_from <= now}
        if not names:
            raise AaaError("no tariff is in force")
        return f"{len(names)} in force"

    def listeners() -> str:
        bound = len(node.get("listeners", ()))
        wanted = node.get("listeners_wanted", 0)
        if bound < wanted:
            raise AaaError(f"{bound} of {wanted} bound")
        return f"{bound} bound"

    def clock() -> str:
        offset_us = node.get("clock_offset_us", 0)
        if abs(offset_us) > CLOCK_OFFSET_MAX_US:
            raise AaaError(f"{offset_us / 1e6:+.1f} s off the store's clock")
        return f"{offset_us / 1e6:+.3f} s off the store's clock"

    def workers() -> str:
        there = node.get("workers")
        serving = [worker for worker in there or () if worker["serving"]]
        if there and not serving:
            raise AaaError(f"0 of {len(there)} serve")
        return f"{len(serving)} of {len(there)} serve" if there else "none wanted"

    def drained() -> str:
        if node.get("draining"):
            raise AaaError("draining")
        return "takes new sessions"

    return [_check(check) for check in (reactor, store, revision, tariff, listeners, clock, workers, drained)]


def _check(check: Callable[[], str]) -> shapes.Check:
    name = check.__name__
    try:
        return shapes.Check(name=name, ok=True, detail=check())
    except (AaaError, Refusal) as error:
        return shapes.Check(name=name, ok=False, detail=str(error))
