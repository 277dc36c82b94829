"""
Tariffs and their versions: look, activate, roll back.  Versions are added by `apply` and `tariff_import`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, insert

from aaa.api import shapes
from aaa.api.context import ApiContext, Caller, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import ADMIN, READ, Who
from aaa.api.shapes import Page, instant
from aaa.provision.tables import Instant
from aaa.provision.write import ACTIVATION_LEAD_US
from aaa.store import read
from aaa.store import tables as db
from rating.diff import diff
from rating.document import TariffDocument
from rating.export import export_csv

router = APIRouter(prefix="/v1/tariffs", tags=["tariffs"], dependencies=[READ])

NumberOfVersion = Annotated[int, Field(ge=1, le=2**62)]
NumberInQuery = Annotated[int, Query(ge=1, le=2**62)]


class Activate(BaseModel):
    """Which version comes into force, and when (now when not given)."""

    model_config = ConfigDict(extra="forbid")
    version: NumberOfVersion
    at: Instant | None = Field(default=None, json_schema_extra={"type": "string", "format": "date-time"})


@router.get("")
def list_tariffs(context: Context) -> Page[shapes.Tariff]:
    """All tariffs with their versions and activations."""
    with context.read() as connection:
        names = sorted({row.tariff for row in read.versions(connection)})
        return Page(items=[_tariff(context, connection, name) for name in names])


@router.get("/{name}")
def show_tariff(context: Context, name: str) -> shapes.Tariff:
    """One tariff."""
    with context.read() as connection:
        return _tariff(context, connection, name)


@router.get("/{name}/versions/{version}")
def export_version(context: Context, name: str, version: NumberOfVersion) -> dict[str, Any]:
    """The canonical document of a version."""
    with context.read() as connection:
        _tariff_has(connection, name, version)
        document: dict[str, Any] = json.loads(read.document(connection, version) or "{}")
        return document


@router.get("/{name}/versions/{version}/rates.csv", response_class=PlainTextResponse)
def export_rates(context: Context, name: str, version: NumberOfVersion) -> PlainTextResponse:
    """The rates of a version as a rates file."""
    with context.read() as connection:
        _tariff_has(connection, name, version)
        document = TariffDocument.from_json(read.document(connection, version) or "")
    return PlainTextResponse(export_csv(document), media_type="text/csv")


@router.get("/{name}/diff")
def diff_versions(context: Context, name: str, before: NumberInQuery, after: NumberInQuery) -> list[shapes.Change]:
    """What changes between two versions, price jumps marked."""
    with context.read() as connection:
        documents = []
        for version in (before, after):
            _tariff_has(connection, name, version)
            documents.append(TariffDocument.from_json(read.document(connection, version) or ""))
    return [
        shapes.Change(
            kind=change.kind,
            service=change.key.service if change.key else None,
            prefix=change.prefix,
            what=change.what,
            before=change.before,
            after=change.after,
            change_percent=change.change_percent,
            is_jump=change.is_jump,
        )
        for change in diff(*documents)
    ]


@router.post("/{name}/activations", status_code=201, dependencies=[ADMIN])
def activate(context: Context, who: Who, name: str, body: Activate) -> shapes.Tariff:
    """Bring a version into force at an instant; running grants keep the one they were made under (S17)."""
    return _activate(context, who, "tariff.activate", name, body.version, body.at)


@router.post("/{name}/rollback", status_code=201, dependencies=[ADMIN])
def roll_back(context: Context, who: Who, name: str) -> shapes.Tariff:
    """Bring the version before the one in force back, by one more activation."""
    with context.read() as connection:
        tariff = _tariff(context, connection, name)
    past = [row.version for row in tariff.activations if row.active_from <= (instant(context.clock()) or "")]
    older = [version for version in past if version != tariff.in_force]
    if not older:
        raise Refusal(409, f"tariff {name} has no earlier version to go back to")
    return _activate(context, who, "tariff.rollback", name, older[0], None)


def _activate(
    context: ApiContext, who: Caller, action: str, name: str, version: int, at_us: int | None
) -> shapes.Tariff:
    with context.read() as connection:
        _tariff_has(connection, name, version)
        taken = {row.active_from for row in read.activations(connection, name)}
    now = context.clock()
    if at_us is not None and at_us < now:
        raise Refusal(422, "an activation cannot lie in the past: calls were rated since")
    lead = ACTIVATION_LEAD_US if context.engine.dialect.name == "postgresql" else 0
    active_from = max(at_us or 0, now + lead)
    while active_from in taken:
        active_from += 1
    row = {"tariff": name, "active_from": active_from, "version_id": version, "created_at": now}
    audit = context.audit_row(who, action, name, {"version": version, "active_from": instant(active_from)})

    def work(connection: Connection) -> None:
        connection.execute(insert(db.tariff_activation), [row])
        connection.execute(insert(db.audit), [audit])

    context.provision(work)
    return show_tariff(context, name)


def _tariff_has(connection: Connection, name: str, version: int) -> None:
    if version not in {row.id for row in read.versions(connection, name)}:
        raise not_found("version", f"{version} of tariff {name}")


def _tariff(context: ApiContext, connection: Connection, name: str) -> shapes.Tariff:
    versions = read.versions(connection, name)
    if not versions:
        raise not_found("tariff", name)
    activations = read.activations(connection, name)
    now = context.clock()
    in_force = next((row.version_id for row in activations if row.active_from <= now), None)
    document = json.loads(read.document(connection, in_force or versions[0].id) or "{}")
    return shapes.Tariff(
        name=name,
        currency=document.get("currency", ""),
        in_force=in_force,
        versions=[
            shapes.TariffVersion(version=row.id, digest=row.digest[:16], created_at=instant(row.created_at) or "")
            for row in versions
        ],
        activations=[
            shapes.Activation(version=row.version_id, active_from=instant(row.active_from) or "") for row in activations
        ],
    )
