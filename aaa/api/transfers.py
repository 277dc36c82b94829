"""
Transfers: money from one account to another, exactly once, never money that running sessions hold.

The two accounts are two consistency boundaries (S10), so a transfer is two movements: first the payer's,
refused when it is not available, then the receiver's, which cannot be refused.  Both keys name the whole
transfer, so that one that a crash cut in half is found in the store and completed: at the next start, or
when the same transfer is asked again.
"""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, func, select

from aaa.api import present, records
from aaa.api.accounts import IdempotencyKey, Reason
from aaa.api.context import ApiContext, Caller, Context
from aaa.api.problems import Refusal, accepted
from aaa.api.security import MONEY, READ, Who
from aaa.api.shapes import money
from aaa.engine.answers import Outcome
from aaa.engine.commands import Adjust
from aaa.provision.tables import PositiveMicro
from aaa.store import read
from aaa.store import tables as db

router = APIRouter(prefix="/v1", tags=["accounts"], dependencies=[READ])

OUT, INTO = "transfer-out", "transfer-in"
HALVES_MAX = 1_000


class TransferOrder(BaseModel):
    """Money that goes from one account to another; the same key moves it once."""

    model_config = ConfigDict(extra="forbid")
    payer: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    receiver: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    amount: PositiveMicro = Field(json_schema_extra={"type": "string", "examples": ["10.00"]})
    idempotency_key: IdempotencyKey
    reason: Reason = ""


@router.post("/transfers", dependencies=[MONEY])
def transfer(context: Context, who: Who, body: TransferOrder) -> records.Transferred:
    """Move what is available, not what running sessions hold, to another account of the same currency."""
    if body.payer == body.receiver:
        raise Refusal(422, "payer and receiver are the same account")
    with context.read() as connection:
        payer, receiver = context.account(connection, body.payer), context.account(connection, body.receiver)
        before = _earlier(connection, body.idempotency_key)
        for row, owner in zip((payer, receiver), read.payers(connection, (payer, receiver)), strict=True):
            if owner is not row:
                raise Refusal(422, f"account {row.name} has no money of its own, it spends that of {owner.name}")
    if payer.currency != receiver.currency:
        detail = f"account {body.payer} is in {payer.currency}, account {body.receiver} in {receiver.currency}"
        raise Refusal(422, detail)
    rest = f"{quote(body.idempotency_key, safe='')}:{payer.id}:{receiver.id}"
    if before not in ("", f"{OUT}:{rest}"):
        raise Refusal(409, "the idempotency key was used for another transfer")
    who = Caller(who.actor, body.reason or who.reason)
    amount = money(body.amount, payer.currency)
    context.audit(who, "balance.transfer", body.payer, to=body.receiver, amount=amount.amount, key=body.idempotency_key)
    taken = Adjust(-body.amount, "transfer", f"{OUT}:{rest}", who.reason, who.actor, only_available=True)
    done = context.submit(taken, payer.id)
    context.submit(Adjust(body.amount, "transfer", f"{INTO}:{rest}", who.reason, who.actor), receiver.id)
    with context.read() as connection:
        payer, receiver = context.account(connection, body.payer), context.account(connection, body.receiver)
    return records.Transferred(
        payer=present.account(payer, payer),
        receiver=present.account(receiver, receiver),
        amount=amount,
        idempotency_key=body.idempotency_key,
        repeated=done.outcome is Outcome.REPEAT,
    )


def complete(context: ApiContext) -> int:
    """
    Credit the receivers of transfers that a crash cut in half; returns how many there were.

    Money: one entry of cause `transfer` per receiver, under the key it would have had.
    """
    with context.read() as connection:
        halves = _halves(connection)
        receivers = read.accounts_by_number(connection, [int(key.rpartition(":")[2]) for key, _ in halves])
    for key, amount_micro in halves:
        rest = key.removeprefix(f"{OUT}:")
        receiver = int(rest.rpartition(":")[2])
        receiver = receivers[receiver].pool_id or receiver  # it may spend from a pool by now
        accepted(context.wait(context.control.submit(Adjust(amount_micro, "transfer", f"{INTO}:{rest}"), receiver)))
    return len(halves)


def _halves(connection: Connection) -> list[tuple[str, int]]:
    """Keys and amounts of transfers whose payer has paid and whose receiver has nothing."""
    taken, given = db.idempotency, db.idempotency.alias()
    key_in = INTO + func.substr(taken.c.key, len(OUT) + 1)
    query = (
        select(taken.c.key, taken.c.result)
        .outerjoin(given, given.c.key == key_in)
        .where(taken.c.key >= f"{OUT}:", taken.c.key < f"{OUT};", given.c.key.is_(None))
        .limit(HALVES_MAX)
    )
    return [(row.key, -json.loads(row.result)["amount"]) for row in connection.execute(query)]


def _earlier(connection: Connection, key: str) -> str:
    """The payer's movement of an earlier transfer under this key, "" when there is none."""
    begin = f"{OUT}:{quote(key, safe='')}:"
    table = db.idempotency
    query = select(table.c.key).where(table.c.key >= begin, table.c.key < begin[:-1] + ";").limit(1)
    return connection.execute(query).scalar() or ""
