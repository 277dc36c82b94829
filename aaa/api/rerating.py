"""
Rating closed CDRs again under another version of their tariff, and posting the differences where told to.

The price comes from the one price function, with the anchors, the usage and the funding plan of the CDR.
A CDR is never changed: what it was corrected by is in the ledger, under keys that name the CDR, so that a
difference is posted once and the next rating starts from what has been charged by then.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, select

from aaa.api import records
from aaa.api.accounts import Reason
from aaa.api.context import ApiContext, Caller, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import MONEY, READ, Who
from aaa.api.shapes import money
from aaa.api.tariffs import NumberOfVersion
from aaa.api.times import Time
from aaa.engine.commands import Adjust
from aaa.engine.model import Line
from aaa.store import read
from aaa.store import tables as db
from aaa.store.codec import line_from_row
from rating.price import price
from rating.tariff import Tariff

router = APIRouter(prefix="/v1", tags=["cdrs"], dependencies=[READ])

RERATED_AT_ONCE = 500
CAUSE = "rerate"
_TIME: dict[str, Any] = {"type": "string", "examples": ["2027-01-01T00:00:00Z", "2027-01-01"]}


class RerateOrder(BaseModel):
    """Which CDRs to rate again, under which version; `post` corrects the accounts and demands a reason."""

    model_config = ConfigDict(extra="forbid")
    version: NumberOfVersion
    account: Annotated[str, StringConstraints(max_length=200)] = ""
    since: Time | None = Field(default=None, json_schema_extra=_TIME)
    until: Time | None = Field(default=None, json_schema_extra=_TIME)
    post: bool = False
    reason: Reason = ""
    after: Annotated[str, StringConstraints(pattern=r"^\d{1,18}\.\d{1,18}$")] = "0.0"
    limit: Annotated[int, Field(ge=1, le=RERATED_AT_ONCE)] = 100


class _Rerated(NamedTuple):
    """One CDR with what was charged for it until now, and what the other version makes of it."""

    row: Any
    before_micro: int
    after_micro: int
    corrections: int  # how often it was corrected


@router.post("/cdrs/rerate", dependencies=[MONEY])
def rerate(context: Context, who: Who, body: RerateOrder) -> records.RerateResult:
    """Rate one page of CDRs again; `next` continues with the following page."""
    if body.post and not body.reason.strip():
        raise Refusal(422, "posting corrections demands a reason")
    with context.read() as connection:
        tariff = context.tariffs(connection).version(body.version)
        if tariff is None:
            raise not_found("tariff version that was ever in force:", body.version)
        number = context.account(connection, body.account).id if body.account else None
        ended_at, _, last = body.after.partition(".")
        rows = read.cdrs(
            connection,
            (int(ended_at), int(last)),
            body.limit,
            account_id=number,
            since_us=body.since,
            until_us=body.until,
        )
        found = [_rerated(context, connection, row, tariff) for row in rows if row.account_id is not None]
        owners = read.account_names(connection, [row.account_id for row in rows if row.account_id is not None])
    changed = [each for each in found if each is not None and each.after_micro != each.before_micro]
    if body.post and changed:
        who = Caller(who.actor, body.reason)
        context.audit(who, "cdr.rerate", f"version {body.version}", cdrs=[str(each.row.id) for each in changed])
        for each in changed:
            _post(context, who, each, body.version)
    return records.RerateResult(
        items=[_shown(each, owners[each.row.account_id][0], body.post) for each in changed],
        rated=sum(each is not None for each in found),
        skipped=len(rows) - sum(each is not None for each in found),
        next=f"{rows[-1].ended_at}.{rows[-1].id}" if len(rows) == body.limit else None,
    )


def _rerated(context: ApiContext, connection: Connection, row: Any, tariff: Tariff) -> _Rerated | None:
    """The CDR under a version of its tariff; None when it was charged by another tariff, or has no rate there."""
    lines = [line_from_row(each, context.tariffs(connection)) for each in json.loads(row.lines)]
    amount = 0
    for line in lines:
        charged = _price(line, tariff, assumed=bool(row.assumed))
        if charged is None:
            return None
        amount += charged
    entry = db.ledger_entry
    begin = f"{CAUSE}:{row.id}:"
    corrections = connection.execute(
        select(entry.c.amount).where(
            entry.c.account_id == _payer(row), entry.c.ref >= begin, entry.c.ref < begin[:-1] + ";"
        )
    ).all()
    corrected = sum(each.amount for each in corrections)
    return _Rerated(row, row.amount - corrected, amount, len(corrections))


def _price(line: Line, tariff: Tariff, *, assumed: bool) -> int | None:
    head = line.head
    if head.plan is None or head.plan.tariff != tariff.name:
        return None
    plan = tariff.find(head.key.service, head.destination, head.key.direction, head.key.rating_group, head.key.unit)
    if plan is None or plan.blocked:
        return None
    used = line.granted if assumed and line.used < line.granted and line.posted_micro else line.used
    return price(plan, line.anchor_use_us or head.anchor_auth_us, used, line.parts or line.posted_parts)


def _post(context: ApiContext, who: Caller, each: _Rerated, version: int) -> None:
    """
    Correct the account by the difference.

    Money: one entry of cause `rerate`, exactly once for this CDR, version and count of corrections.
    """
    key = f"{CAUSE}:{each.row.id}:{each.row.revision}:{version}:{each.corrections}"
    context.submit(Adjust(each.before_micro - each.after_micro, CAUSE, key, who.reason, who.actor), _payer(each.row))


def _payer(row: Any) -> int:
    """The account that paid what a CDR says."""
    payer: int = row.account_id if row.pool_id is None else row.pool_id
    return payer


def _shown(each: _Rerated, owner: str, posted: bool) -> records.Rerated:
    currency = each.row.currency
    return records.Rerated(
        cdr=str(each.row.id),
        account=owner,
        used=each.row.used,
        before=money(each.before_micro, currency),
        after=money(each.after_micro, currency),
        difference=money(each.after_micro - each.before_micro, currency),
        posted=posted,
    )
