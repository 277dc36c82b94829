"""
What a call costs and why: the same price function that grants and settles, asked beforehand or afterwards.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from aaa.api import present
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import READ
from aaa.api.shapes import Money, money
from aaa.api.times import asked_time
from aaa.engine.numbers import normalise, plan_from
from aaa.store import read
from aaa.store.codec import line_from_row
from rating.explain import explain, explain_text
from rating.grant import grant
from rating.plan import RatePlan

router = APIRouter(prefix="/v1", tags=["rates"], dependencies=[READ])

UNITS_MAX = 2**53
Units = Annotated[int, Query(ge=0, le=UNITS_MAX)]
Text = Annotated[str, Query(max_length=200)]


class Explanation(BaseModel):
    """A price with its charge lines; `affordable` is how many units the account could be granted now."""

    received: str
    destination: str
    price: Money
    affordable: int | None = Field(description="null: no account was named")
    lines: dict[str, Any]
    text: str


@router.get("/rate/explain")
def explain_rate(
    context: Context,
    account: Text,
    destination: Text,
    units: Units = 60,
    at: Text = "",
    service: Text = "voice",
    nas: Text = "",
) -> Explanation:
    """What usage would cost this account, under its tariff in force at an instant."""
    with context.read() as connection:
        row = context.account(connection, account)
        number = _normalised(context, connection, destination, nas)
        at_us = _at(context, at)
        plan = _plan(context, connection, row.tariff, number, service, at_us)
        payer = context.payer(connection, row)
    free = present.available(payer)
    affordable = grant(plan, at_us, at_us, free, context.config.charging.session_cap)
    return _explanation(plan, destination, number, at_us, units, affordable)


@router.get("/rate/quote")
def quote_rate(
    context: Context, tariff: Text, destination: Text, units: Units = 60, at: Text = "", service: Text = "voice"
) -> Explanation:
    """What usage would cost under a tariff."""
    with context.read() as connection:
        at_us = _at(context, at)
        plan = _plan(context, connection, tariff, destination, service, at_us)
    return _explanation(plan, destination, destination, at_us, units, None)


@router.get("/cdrs/{number}/explain")
def explain_cdr(context: Context, number: str) -> list[Explanation]:
    """The charge of a settled session, computed anew from its anchors, usage and funding plan."""
    with context.read() as connection:
        row = read.cdr(connection, int(number)) if number.isascii() and number.isdigit() and len(number) < 19 else None
        if row is None:
            raise not_found("CDR", number)
        lines = [line_from_row(each, context.tariffs(connection)) for each in json.loads(row.lines)]
    explanations = []
    for line in lines:
        if line.head.plan is None:
            continue
        anchor = line.anchor_use_us or line.head.anchor_auth_us
        used = line.granted if row.assumed and line.used < line.granted and line.posted_micro else line.used
        lines_data = explain(line.head.plan, anchor, used, line.parts)
        explanations.append(
            Explanation(
                received=line.head.received,
                destination=line.head.destination,
                price=money(line.posted_micro, row.currency),
                affordable=None,
                lines=lines_data,
                text=explain_text(line.head.plan, anchor, used, line.parts),
            )
        )
    return explanations


def _explanation(
    plan: RatePlan, received: str, destination: str, at_us: int, units: int, affordable: int | None
) -> Explanation:
    lines = explain(plan, at_us, units)
    return Explanation(
        received=received,
        destination=destination,
        price=money(lines["amount_micro"], plan.currency),
        affordable=affordable,
        lines=lines,
        text=explain_text(plan, at_us, units),
    )


def _plan(
    context: ApiContext, connection: Connection, tariff: str, destination: str, service: str, at_us: int
) -> RatePlan:
    book = context.tariffs(connection)
    # Before its first version a tariff had no price; what it would have been is what people ask.
    version = book.in_force(tariff, at_us) or book.in_force(tariff, context.clock())
    if version is None:
        raise not_found("tariff in force:", tariff)
    plan = version.find(service, destination, at_us=at_us)
    if plan is None:
        raise Refusal(404, f"tariff {tariff} has no {service} rate for {destination!r}", code="unknown_destination")
    if plan.blocked:
        raise Refusal(
            422, f"tariff {tariff} blocks {destination!r} (prefix {plan.prefix!r})", code="destination_blocked"
        )
    return plan


def _normalised(context: ApiContext, connection: Connection, destination: str, nas: str) -> str:
    """The number as this client's numbering plan makes it (S22), or as it is when no client was named."""
    if not nas:
        return destination
    documents = {document["name"]: document for document in context.config.nas}
    documents |= {row.name: json.loads(row.document) for row in read.nas(connection)}
    if nas not in documents:
        raise not_found("nas", nas)
    return normalise(destination, plan_from(documents[nas].get("numbers")))


def _at(context: ApiContext, text: str) -> int:
    at_us = asked_time(text, "at")
    return context.clock() if at_us is None else at_us
