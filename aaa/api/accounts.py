"""
Accounts, their identities, their balances, and the two ways to move money by hand.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, delete, insert

from aaa.api import present, shapes
from aaa.api.apply import refuse_or_write
from aaa.api.context import ApiContext, Caller, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import ADMIN, MONEY, READ, Who
from aaa.api.shapes import Page
from aaa.config.values import Micro
from aaa.engine.answers import Ack, Outcome
from aaa.engine.commands import Adjust
from aaa.provision import ApplyFile
from aaa.provision.credentials import stored_value
from aaa.provision.tables import AccountTable, SubscriptionTable
from aaa.store import read
from aaa.store import tables as db

router = APIRouter(prefix="/v1", tags=["accounts"], dependencies=[READ])

IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Reason = Annotated[str, StringConstraints(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=read.PAGE_MAX)]
Cursor = Annotated[str, Query(max_length=200)]
Before = Annotated[int | None, Query(ge=0, le=2**63 - 1)]  # what a 64-bit column holds


class Movement(BaseModel):
    """Money to move; the same key moves it once, however often it is asked."""

    model_config = ConfigDict(extra="forbid")
    amount: Micro = Field(json_schema_extra={"type": "string", "examples": ["10.00"]})
    currency: str | None = None
    idempotency_key: IdempotencyKey
    reason: Reason = ""


class AccountChanges(AccountTable):
    """The keys of an `[[account]]` table that shall change; its id is in the path."""

    id: Literal[""] = ""


@router.get("/accounts")
def list_accounts(
    context: Context, after: Cursor = "", limit: Limit = 100, status: str = "", pool: str = ""
) -> Page[shapes.Account]:
    """Accounts in order of their ids; with `pool` those that spend from it."""
    with context.read() as connection:
        pool_id = context.account(connection, pool).id if pool else None
        rows = read.accounts(connection, after, limit, status, pool_id)
        payers = read.payers(connection, rows)
    items = [present.account(row, payer) for row, payer in zip(rows, payers, strict=True)]
    return Page(items=items, next=rows[-1].name if len(rows) == limit else None)


@router.post("/accounts", status_code=201, dependencies=[ADMIN])
def create_account(context: Context, who: Who, body: AccountTable) -> shapes.Account:
    """Create an account with everything inside it; one that exists is a conflict."""
    with context.read() as connection:
        if read.account(connection, body.id) is not None:
            raise Refusal(409, f"account {body.id} exists already")
    return _write_account(context, who, "account.create", body)


@router.get("/accounts/{name}")
def show_account(context: Context, name: str) -> shapes.Account:
    """One account."""
    return _shown(context, name)


@router.patch("/accounts/{name}", dependencies=[ADMIN])
def update_account(context: Context, who: Who, name: str, body: AccountChanges) -> shapes.Account:
    """Change the keys that are given and leave the others."""
    with context.read() as connection:
        context.account(connection, name)
    return _write_account(context, who, "account.update", body.model_copy(update={"id": name}))


@router.get("/accounts/{name}/balance")
def show_balance(context: Context, name: str) -> shapes.Balance:
    """Balance, accrued, reserved, available (SEMANTICS S1) and the unit buckets."""
    with context.read() as connection:
        row = context.account(connection, name)
        payer = context.payer(connection, row)
        return present.balance(row, payer, read.buckets(connection, payer.id), context.clock())


@router.post("/accounts/{name}/topups", dependencies=[MONEY])
def top_up(context: Context, who: Who, name: str, body: Movement) -> shapes.Moved:
    """Add money, exactly once by the idempotency key."""
    if body.amount <= 0:
        raise Refusal(422, "a top-up is above 0; use an adjustment to take money away")
    return _move(context, who, name, body, "topup")


@router.post("/accounts/{name}/adjustments", dependencies=[MONEY])
def adjust(context: Context, who: Who, name: str, body: Movement) -> shapes.Moved:
    """Correct a balance by hand, up or down; demands a reason."""
    if not body.reason.strip():
        raise Refusal(422, "an adjustment demands a reason")
    return _move(context, who, name, body, "adjust")


@router.get("/accounts/{name}/entries")
def list_entries(context: Context, name: str, before: Before = None, limit: Limit = 100) -> Page[shapes.Entry]:
    """The ledger of an account, the newest entry first."""
    with context.read() as connection:
        account = context.account(connection, name)
        rows = read.entries(connection, account.id, before, limit)
        ends = read.ends(connection, [row.ref for row in rows])
    items = [present.entry(row, account.currency, ends) for row in rows]
    return Page(items=items, next=str(rows[-1].entry_no) if len(rows) == limit else None)


@router.get("/accounts/{name}/subscriptions")
def list_subscriptions(context: Context, name: str) -> Page[shapes.Subscription]:
    """The identities that pay from an account."""
    with context.read() as connection:
        account = context.account(connection, name)
        rows = read.subscriptions(connection, account.id)
    return Page(items=[present.subscription(row, name) for row in rows])


@router.put("/accounts/{name}/subscriptions", dependencies=[ADMIN])
def put_subscription(context: Context, who: Who, name: str, body: SubscriptionTable) -> shapes.Subscription:
    """Add an identity, or change how it proves itself."""
    with context.read() as connection:
        context.account(connection, name)
    file = ApplyFile(accounts=(AccountTable(id=name, subscription=(body,)),))
    value = stored_value(body, context.keys)
    refuse_or_write(context, who, "subscription.put", f"{name} {body.type} {value}", file)
    with context.read() as connection:
        return present.subscription(read.subscription(connection, body.type, value), name)


@router.delete("/accounts/{name}/subscriptions/{kind}/{value:path}", status_code=204, dependencies=[ADMIN])
def remove_subscription(context: Context, who: Who, name: str, kind: str, value: str) -> None:
    """Remove an identity; running sessions go on, they know their account."""
    with context.read() as connection:
        row = read.subscription(connection, kind, value)
        if row is None or row.account != name:
            raise not_found(f"subscription {kind} of account {name}:", value)
    gone = delete(db.subscription).where(db.subscription.c.type == kind, db.subscription.c.value == value)
    audited = insert(db.audit).values(context.audit_row(who, "subscription.remove", f"{name} {kind} {value}", {}))

    def work(connection: Connection) -> None:
        connection.execute(gone)
        connection.execute(audited)

    context.provision(work)


def _write_account(context: ApiContext, who: Caller, action: str, table: AccountTable) -> shapes.Account:
    refuse_or_write(context, who, action, table.id, ApplyFile(accounts=(table,)))
    return _shown(context, table.id)


def _shown(context: ApiContext, name: str) -> shapes.Account:
    with context.read() as connection:
        row = context.account(connection, name)
        return present.account(row, context.payer(connection, row))


def _move(context: ApiContext, who: Caller, name: str, body: Movement, cause: str) -> shapes.Moved:
    with context.read() as connection:
        account = context.payer(connection, context.account(connection, name))
    if body.currency is not None and body.currency != account.currency:
        raise Refusal(422, f"account {name} is in {account.currency}, not in {body.currency}")
    moved = shapes.money(body.amount, account.currency)
    who = Caller(who.actor, body.reason or who.reason)
    context.audit(who, f"balance.{cause}", name, amount=moved.amount, idempotency_key=body.idempotency_key)
    command = Adjust(body.amount, cause, body.idempotency_key, who.reason, who.actor)
    return moved_shape(context, name, account.name, moved, command, context.submit(command, account.id))


def moved_shape(
    context: ApiContext, name: str, payer: str, amount: shapes.Money, command: Adjust, done: Ack
) -> shapes.Moved:
    """What to tell of money that was moved for an account: in the pool it spends from, or in its own."""
    after = _shown(context, payer)
    return shapes.Moved(
        account=name,
        pool=None if payer == name else payer,
        amount=amount,
        idempotency_key=command.idempotency_key,
        repeated=done.outcome is Outcome.REPEAT,
        balance=after.balance,
        available=after.available,
    )
