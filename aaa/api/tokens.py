"""
API tokens: made once, shown once, revoked at any time.
"""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, insert, update

from aaa.api import shapes
from aaa.api.context import Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import ADMIN, Role, Who
from aaa.api.shapes import Page, instant
from aaa.config.clients import Name
from aaa.provision.tables import Instant
from aaa.store import read
from aaa.store import tables as db

router = APIRouter(prefix="/v1/tokens", tags=["tokens"], dependencies=[ADMIN])

TOKEN_OCTETS = 32


class NewToken(BaseModel):
    """What a token shall be allowed, and until when."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    roles: Annotated[list[Role], Field(min_length=1, max_length=4)]
    expires_at: Instant | None = Field(default=None, json_schema_extra={"type": "string", "format": "date-time"})


@router.post("", status_code=201)
def create_token(context: Context, who: Who, body: NewToken) -> shapes.MadeToken:
    """Make a token; the answer is the only place where it can ever be read."""
    with context.read() as connection:
        if any(row.name == body.name for row in read.tokens(connection)):
            raise Refusal(409, f"token {body.name} exists already")
    token = f"aaa_{secrets.token_urlsafe(TOKEN_OCTETS)}"
    now = context.clock()
    row = {"name": body.name, "digest": context.keys.fingerprints("token", token)[0], "created_at": now}
    row |= {"roles": " ".join(sorted(set(body.roles))), "expires_at": body.expires_at}
    audit = context.audit_row(who, "token.create", body.name, {"roles": row["roles"]})

    def work(connection: Connection) -> None:
        connection.execute(insert(db.token), [row])
        connection.execute(insert(db.audit), [audit])

    context.provision(work, forgets=False)
    return shapes.MadeToken(name=body.name, roles=sorted(set(body.roles)), token=token)


@router.get("")
def list_tokens(context: Context) -> Page[shapes.Token]:
    """All tokens, without what they are."""
    with context.read() as connection:
        rows = read.tokens(connection)
    items = [
        shapes.Token(
            name=row.name,
            roles=row.roles.split(),
            created_at=instant(row.created_at) or "",
            expires_at=instant(row.expires_at),
            revoked_at=instant(row.revoked_at),
        )
        for row in rows
    ]
    return Page(items=items)


@router.delete("/{name}", status_code=204)
def revoke_token(context: Context, who: Who, name: str) -> None:
    """Revoke a token at once; its name stays taken, because the audit log names it."""
    with context.read() as connection:
        if all(row.name != name for row in read.tokens(connection)):
            raise not_found("token", name)
    audit = context.audit_row(who, "token.revoke", name, {})
    is_valid = (db.token.c.name == name) & db.token.c.revoked_at.is_(None)
    revoke = update(db.token).where(is_valid).values(revoked_at=context.clock())

    def work(connection: Connection) -> None:
        connection.execute(revoke)
        connection.execute(insert(db.audit), [audit])

    context.provision(work, forgets=False)
