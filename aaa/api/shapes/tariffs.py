"""Tariffs, their versions, and how these differ."""

from __future__ import annotations

from pydantic import BaseModel


class Activation(BaseModel):
    """From when a version of a tariff is in force."""

    version: int
    active_from: str


class Tariff(BaseModel):
    """A tariff: the version in force now, all versions and activations, the newest first."""

    name: str
    currency: str
    in_force: int | None
    versions: list[TariffVersion]
    activations: list[Activation]


class TariffVersion(BaseModel):
    """One immutable edition of a tariff."""

    version: int
    digest: str
    created_at: str


class Change(BaseModel):
    """One difference between two versions of a tariff; `prefix` null: of the tariff itself."""

    kind: str
    service: str | None
    prefix: str | None
    what: str
    before: str
    after: str
    change_percent: int | None
    is_jump: bool
