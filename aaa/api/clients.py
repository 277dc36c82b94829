"""
RADIUS clients: added, and their secrets rotated with an overlap (SEMANTICS S24).

A new secret is first in the list: it signs what the server begins, and any of the list verifies what it
is sent.  So the switch can be changed over at leisure, and the old secret is forgotten after that.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import Connection, insert, select, update

from aaa.api import present, shapes
from aaa.api.apply import refuse_or_write
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import ADMIN, READ, Who
from aaa.config.clients import NasTable, as_document, check_secrets
from aaa.errors import ConfigError
from aaa.provision import ApplyFile
from aaa.store import tables as db

router = APIRouter(prefix="/v1", tags=["nas"], dependencies=[READ])

SECRETS_MAX = 4  # every packet is tried against all of them


class NewSecret(BaseModel):
    """The secret that signs from now on."""

    model_config = ConfigDict(extra="forbid")
    secret: Annotated[str, StringConstraints(min_length=8, max_length=128)]


@router.post("/nas", status_code=201, dependencies=[ADMIN])
def add_nas(context: Context, who: Who, body: NasTable) -> shapes.Nas:
    """Add a RADIUS client; one that exists is a conflict."""
    if body.secret is None:
        raise Refusal(422, "secret is required: the server reads no files and variables for others")
    with context.read() as connection:
        if _stored(connection, body.name) is not None or _is_configured(context, body.name):
            raise Refusal(409, f"nas {body.name} exists already")
    if context.check_nas is not None:
        try:
            context.check_nas(as_document(body))
        except ConfigError as error:
            raise Refusal(422, error.problems[0]) from None
    refuse_or_write(context, who, "nas.add", body.name, ApplyFile(nas=(body,)))
    return _shown(context, body.name)


@router.post("/nas/{name}/secrets", dependencies=[ADMIN])
def rotate_secret(context: Context, who: Who, name: str, body: NewSecret) -> shapes.Nas:
    """Sign with a new secret from now on; the ones before still verify."""

    def changed(document: dict[str, Any]) -> list[str]:
        check_secrets([body.secret], document["address"])
        known = [context.keys.unseal(sealed).decode() for sealed in document["secret"]]
        if body.secret in known:
            raise Refusal(409, f"nas {name} has this secret already")
        if len(known) >= SECRETS_MAX:
            raise Refusal(409, f"nas {name} has {len(known)} secrets; forget the old ones first")
        return [context.keys.seal(body.secret.encode()), *document["secret"]]

    return _change(context, who, "nas.secret_rotate", name, changed)


@router.delete("/nas/{name}/secrets", dependencies=[ADMIN])
def forget_secrets(context: Context, who: Who, name: str) -> shapes.Nas:
    """Forget all secrets but the newest: packets of a switch that still uses an old one are dropped."""
    return _change(context, who, "nas.secret_forget", name, lambda document: document["secret"][:1])


def _change(context: ApiContext, who: Who, action: str, name: str, changed: Any) -> shapes.Nas:
    """Replace the secrets of a stored client, with an audit line, in one transaction."""
    if _is_configured(context, name):
        raise Refusal(409, f"nas {name} is in the configuration file", hint="make its secret a list there and reload")
    audit = context.audit_row(who, action, name, {})

    def work(connection: Connection) -> None:
        row = _stored(connection, name)
        if row is None:
            raise not_found("nas", name)
        document = json.loads(row.document)
        document["secret"] = changed(document)
        connection.execute(update(db.nas).where(db.nas.c.name == name).values(document=json.dumps(document)))
        connection.execute(insert(db.audit), [audit])

    try:
        context.provision(work)
    except ValueError as error:
        raise Refusal(422, str(error)) from None
    return _shown(context, name)


def _shown(context: ApiContext, name: str) -> shapes.Nas:
    with context.read() as connection:
        row = _stored(connection, name)
    if row is None:
        raise not_found("nas", name)
    return present.nas(json.loads(row.document), "store")


def _is_configured(context: ApiContext, name: str) -> bool:
    return any(nas["name"] == name for nas in context.config.nas)


def _stored(connection: Connection, name: str) -> Any:
    return connection.execute(select(db.nas).where(db.nas.c.name == name)).first()
