"""
The JSON shapes of what happens to accounts and calls beside charging: transfers, exports, rerating, refusals, traces.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from aaa.api.shapes import Account, Money


class Transferred(BaseModel):
    """A transfer, with both accounts after it."""

    payer: Account
    receiver: Account
    amount: Money
    idempotency_key: str
    repeated: bool


class Rerated(BaseModel):
    """A CDR that another version of its tariff prices otherwise."""

    cdr: str
    account: str
    used: int
    before: Money = Field(description="charged by now, earlier corrections included")
    after: Money
    difference: Money
    posted: bool


class RerateResult(BaseModel):
    """One page of CDRs that were rated again: those that differ, and how many did not."""

    items: list[Rerated]
    rated: int
    skipped: int = Field(description="of another tariff, or without a rate in this version")
    next: str | None


class CdrFile(BaseModel):
    """An exported file of CDRs; without `sha256` it is announced and not closed yet."""

    number: int
    name: str
    node: str
    records: int
    sha256: str | None
    created_at: str
    closed_at: str | None


class Refusal(BaseModel):
    """One request that was refused: by whom it was asked, for whom, and why."""

    at: str
    face: str
    origin: str
    subscriber: str
    caller: str
    destination: str
    received: str
    reason: str
    detail: str


class Trace(BaseModel):
    """A subscriber that is traced, and until when."""

    subscriber: str
    until: str
