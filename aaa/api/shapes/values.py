"""The values that all shapes are made of: money, instants, pages, problems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from aaa.config.values import money_text

Item = TypeVar("Item")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Money(BaseModel):
    """An amount: exact decimal digits and the currency."""

    amount: str = Field(examples=["12.345000"])
    currency: str = Field(examples=["EUR"])


def money(amount_micro: int, currency: str) -> Money:
    """An amount of micro-units for people and machines."""
    return Money(amount=money_text(int(amount_micro)), currency=currency)


def instant(at_us: int | None) -> str | None:
    """An instant as RFC 3339 in UTC, microseconds only when there are any."""
    if at_us is None:
        return None
    return (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the following one, null at the end."""

    items: list[Item]
    next: str | None = None


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    hint: str | None = None
    errors: list[dict[str, object]] | None = None
