"""Sessions that run and the records of those that ended."""

from __future__ import annotations

from pydantic import BaseModel

from aaa.api.shapes.values import Money


class Line(BaseModel):
    """One priced stretch of a session."""

    service: str
    unit: str
    rating_group: int | None
    destination: str
    received: str
    prefix: str
    destination_name: str
    tariff: str
    tariff_version: int
    used: int
    granted: int
    charged: Money
    reserved: Money
    anchor: str
    is_final: bool


class Session(BaseModel):
    """A session with its lines; `charged` is the price of what it used, posted or not."""

    id: str
    account: str
    state: str
    protocol: str
    origin: str
    key: str
    subscriber: str
    caller: str
    destination: str
    begun_at: str
    deadline: str
    elapsed_s: int
    used: int
    granted: int
    charged: Money
    reserved: Money
    cause: str
    lines: list[Line]


class Cdr(BaseModel):
    """A settled session; `account` null: unrated, nobody is known to pay (SEMANTICS S19)."""

    id: str
    account: str | None
    protocol: str
    origin: str
    key: str
    revision: int
    subscriber: str
    caller: str
    destination: str
    begun_at: str
    ended_at: str
    used: int
    amount: Money
    cause: str
    assumed: bool
    implausible: bool
    reported: int | None
    lines: list[Line]
