"""The server itself: who speaks to it, who operates it, how it is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Nas(BaseModel):
    """A RADIUS client, its secrets left out."""

    name: str
    address: str
    profile: str
    source: str = Field(description="config or store")
    secrets: int = Field(description="how many secrets verify")
    settings: dict[str, object]


class PeerConnection(BaseModel):
    """The open connections of a Diameter host from one address."""

    origin_host: str
    address: str
    connections: int


class Peer(BaseModel):
    """A Diameter peer; an entry for all hosts of a realm has the connections of every one."""

    origin_host: str
    realm: str
    source: str = Field(description="config or store")
    connections: list[PeerConnection]
    settings: dict[str, object]


class Applied(BaseModel):
    """What applying a file did, or would do."""

    created: int
    changed: int
    unchanged: int
    openings: int = Field(description="opening balances posted")
    actions: list[str]
    warnings: list[str]
    dry_run: bool


class Audit(BaseModel):
    """One write: who, what, why."""

    id: int
    at: str
    actor: str
    action: str
    target: str
    reason: str
    detail: dict[str, object]


class Token(BaseModel):
    """An API token, without what it is."""

    name: str
    roles: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class MadeToken(BaseModel):
    """A new token; it is stored as a hash and never shown again."""

    name: str
    roles: list[str]
    token: str


class Setting(BaseModel):
    """One key of the configuration in effect."""

    key: str
    value: Any
    origin: str


class Identity(BaseModel):
    """The caller, as the audit log names them."""

    actor: str
    roles: list[str]


class Check(BaseModel):
    """One check of readiness."""

    name: str
    ok: bool
    detail: str


class Readiness(BaseModel):
    """Whether the server takes new sessions, with each check."""

    ready: bool
    checks: list[Check]
