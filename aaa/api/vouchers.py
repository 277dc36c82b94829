"""
Vouchers: batches with serials, PINs that are stored as keyed hashes, redeemed once.

Redeeming marks the voucher for the account first and then moves the money under a key made of the
serial.  A crash in between leaves a voucher that is used and money that did not move; redeeming it again
for the same account completes it, for another is refused.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, case, insert, update

from aaa.api import shapes
from aaa.api.accounts import Cursor, Limit, moved_shape
from aaa.api.context import ApiContext, Caller, Context
from aaa.api.problems import Refusal, not_found
from aaa.api.security import MONEY, READ, Who
from aaa.api.shapes import Page, instant, money
from aaa.config.clients import Name
from aaa.config.values import Seconds
from aaa.engine.commands import Adjust
from aaa.provision.tables import Currency, Instant, PositiveMicro
from aaa.store import read
from aaa.store import tables as db

router = APIRouter(prefix="/v1", tags=["vouchers"], dependencies=[READ])

PIN_DIGITS = 14
BATCH_MAX = 10_000


class Batch(BaseModel):
    """Vouchers to make: how many, worth what, until when."""

    model_config = ConfigDict(extra="forbid")
    batch: Name
    count: Annotated[int, Field(ge=1, le=BATCH_MAX)]
    amount: PositiveMicro = Field(json_schema_extra={"type": "string", "examples": ["10.00"]})
    currency: Currency
    extends: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None,
        json_schema_extra={"type": "string", "examples": ["90d"]},
        description="what redeeming adds to the validity of the account, from its last day or from now",
    )
    expires_at: Instant | None = Field(default=None, json_schema_extra={"type": "string", "format": "date-time"})


class Redemption(BaseModel):
    """The PIN of the voucher that tops an account up."""

    model_config = ConfigDict(extra="forbid")
    pin: Annotated[str, StringConstraints(pattern=r"^[0-9]{6,24}$")]


@router.post("/vouchers", status_code=201, dependencies=[MONEY])
def generate(context: Context, who: Who, body: Batch) -> list[shapes.MadeVoucher]:
    """Make a batch; its PINs are in this answer and nowhere else."""
    with context.read() as connection:
        if read.vouchers(connection, "", 1, body.batch):
            raise Refusal(409, f"batch {body.batch} exists already")
    pins: dict[str, None] = {}  # a set would order them by their hashes, not by chance
    while len(pins) < body.count:
        pins["".join(secrets.choice("0123456789") for _ in range(PIN_DIGITS))] = None
    made = [(f"{body.batch}-{number:06d}", pin) for number, pin in enumerate(pins, start=1)]
    terms = {"batch": body.batch, "amount": body.amount, "currency": body.currency, "state": "active"}
    terms |= {"expires_at": body.expires_at, "extends": body.extends, "created_at": context.clock()}
    rows = [{"serial": serial, "digest": context.keys.fingerprints("pin", pin)[0], **terms} for serial, pin in made]
    audit = context.audit_row(who, "voucher.generate", body.batch, {"count": body.count})

    def work(connection: Connection) -> None:
        connection.execute(insert(db.voucher), rows)
        connection.execute(insert(db.audit), [audit])

    context.provision(work, forgets=False)
    worth, until = money(body.amount, body.currency), instant(body.expires_at)
    return [shapes.MadeVoucher(serial=serial, pin=pin, amount=worth, expires_at=until) for serial, pin in made]


@router.get("/vouchers")
def list_vouchers(context: Context, batch: str = "", after: Cursor = "", limit: Limit = 100) -> Page[shapes.Voucher]:
    """Vouchers in order of their serials."""
    with context.read() as connection:
        rows = read.vouchers(connection, after, limit, batch)
        owners = read.account_names(connection, [row.account_id for row in rows if row.account_id is not None])
    items = [_shown(row, owners) for row in rows]
    return Page(items=items, next=rows[-1].serial if len(rows) == limit else None)


@router.get("/vouchers/{serial}")
def show_voucher(context: Context, serial: str) -> shapes.Voucher:
    """One voucher."""
    with context.read() as connection:
        row = _by_serial(connection, serial)
        return _shown(row, read.account_names(connection, [row.account_id or 0]))


@router.post("/vouchers/{serial}/block", dependencies=[MONEY])
def block(context: Context, who: Who, serial: str) -> shapes.Voucher:
    """Block a voucher that was not redeemed, a stolen one for instance."""
    with context.read() as connection:
        _by_serial(connection, serial)
    is_active = (db.voucher.c.serial == serial) & (db.voucher.c.state == "active")
    if not _change(context, who, "voucher.block", serial, update(db.voucher).where(is_active).values(state="blocked")):
        raise Refusal(409, f"voucher {serial} is not active")
    return show_voucher(context, serial)


@router.post("/accounts/{name}/vouchers", dependencies=[MONEY])
def redeem(context: Context, who: Who, name: str, body: Redemption) -> shapes.Moved:
    """Top an account up with a voucher; five wrong PINs for an account lock it for a minute."""
    now = context.clock()
    if context.guesses.is_locked(name, now):
        raise Refusal(403, "too many wrong PINs; wait a minute", code="locked")
    with context.read() as connection:
        account = context.account(connection, name)
        payer = context.payer(connection, account)
        row = read.voucher(connection, context.keys.fingerprints("pin", body.pin))
    if row is None:
        context.guesses.failed(name, now)
        raise Refusal(404, "no voucher has this PIN")
    context.guesses.succeeded(name)
    if row.currency != account.currency:
        raise Refusal(422, f"the voucher is in {row.currency}, account {name} in {account.currency}")
    if row.state == "active":
        if row.expires_at is not None and row.expires_at <= now:
            raise Refusal(422, f"voucher {row.serial} has expired", code="expired")
        used = {"state": "used", "account_id": account.id, "redeemed_at": now}
        is_active = (db.voucher.c.serial == row.serial) & (db.voucher.c.state == "active")
        redeemed = update(db.voucher).where(is_active).values(used)
        also = () if row.extends is None else (_extended(account, row.extends, now),)
        _change(context, who, "voucher.redeem", f"{name} {row.serial}", redeemed, also)
        with context.read() as connection:
            row = _by_serial(connection, row.serial)
    if row.state != "used" or row.account_id != account.id:
        raise Refusal(409, f"voucher {row.serial} is {row.state}")
    command = Adjust(row.amount, "voucher", f"voucher:{row.serial}", f"voucher {row.serial}", who.actor)
    done = context.submit(command, payer.id)
    return moved_shape(context, name, payer.name, money(row.amount, row.currency), command, done)


def _extended(account: Any, extends_s: int, now: int) -> Any:
    """The statement that moves the last day of an account: from there, or from now if it has passed or is none."""
    table = db.account
    last_us = case((table.c.valid_until > now, table.c.valid_until), else_=now)
    values = {"valid_until": last_us + extends_s * 1_000_000, "version": table.c.version + 1}
    return update(table).where(table.c.id == account.id).values(values)


def _change(
    context: ApiContext, who: Caller, action: str, target: str, change: Any, also: tuple[Any, ...] = ()
) -> bool:
    """
    Change one voucher with its audit line; False when it was not in the state the change needs.

    Args:
        also: Statements for the same transaction, when it was.
    """
    audit = context.audit_row(who, action, target, {})

    def work(connection: Connection) -> bool:
        is_changed: bool = connection.execute(change).rowcount == 1
        if is_changed:
            for statement in (insert(db.audit).values(audit), *also):
                connection.execute(statement)
        return is_changed

    changed: bool = context.provision(work, forgets=bool(also))
    return changed


def _by_serial(connection: Connection, serial: str) -> Any:
    rows = read.vouchers(connection, "", 1, serial=serial)
    if not rows:
        raise not_found("voucher", serial)
    return rows[0]


def _shown(row: Any, owners: dict[int, tuple[str, str]]) -> shapes.Voucher:
    return shapes.Voucher(
        serial=row.serial,
        batch=row.batch,
        amount=money(row.amount, row.currency),
        state=row.state,
        expires_at=instant(row.expires_at),
        redeemed_at=instant(row.redeemed_at),
        account=owners[row.account_id][0] if row.account_id in owners else None,
    )
