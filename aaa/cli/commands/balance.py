"""`aaactl balance`: what an account holds, and the two ways to move money by hand."""

from __future__ import annotations

import uuid

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import cell, columns, show_one, show_rows

command = click.Group("balance", help="Balances and the ledger of an account.")

ENTRY_COLUMNS = columns("entry_no", "at", "amount", "balance_after", "cause", "ended", "ref")


@verb(command)
@click.argument("account")
def show(options: Options, account: str) -> None:
    """Show balance, reserved, available and buckets."""
    show_one(options.client.get(path_of("accounts", account, "balance")), options.form)


def _move(options: Options, kind: str, account: str, amount: str, key: str | None, reason: str) -> None:
    body = {"amount": amount, "idempotency_key": key or f"aaactl:{uuid.uuid4()}", "reason": reason or options.reason}
    show_one(options.client.request("POST", path_of("accounts", account, kind), body), options.form)


@verb(command)
@click.argument("account")
@click.argument("amount")
@click.option("--idempotency-key", metavar="KEY", help="The same key tops up once, however often it is sent.")
@click.option("--reason", metavar="TEXT", default="")
def topup(options: Options, account: str, amount: str, idempotency_key: str | None, reason: str) -> None:
    """Add money to an account."""
    _move(options, "topups", account, amount, idempotency_key, reason)


@verb(command, ignore_unknown_options=True)
@click.argument("account")
@click.argument("amount")
@click.option("--reason", metavar="TEXT", required=True, help="Why; stands in the audit log for ever.")
@click.option("--idempotency-key", metavar="KEY")
def adjust(options: Options, account: str, amount: str, idempotency_key: str | None, reason: str) -> None:
    """Correct a balance, up or down: aaactl balance adjust alice -1.50 --reason "billed twice"."""
    _move(options, "adjustments", account, amount, idempotency_key, reason)


@verb(command)
@click.argument("payer")
@click.argument("receiver")
@click.argument("amount")
@click.option("--idempotency-key", metavar="KEY", help="The same key moves it once, however often it is sent.")
@click.option("--reason", metavar="TEXT", default="")
def transfer(
    options: Options, payer: str, receiver: str, amount: str, idempotency_key: str | None, reason: str
) -> None:
    """Move money to another account; what running sessions hold stays."""
    body = {"payer": payer, "receiver": receiver, "amount": amount, "reason": reason or options.reason}
    body["idempotency_key"] = idempotency_key or f"aaactl:{uuid.uuid4()}"
    moved = options.client.request("POST", path_of("transfers"), body)
    if options.form == "table":
        moved |= {who: f"{moved[who]['id']}, {cell(moved[who]['balance'])}" for who in ("payer", "receiver")}
    show_one(moved, options.form)


@verb(command)
@click.argument("account")
@click.option("--limit", type=int, help="Stop after so many.")
def history(options: Options, account: str, limit: int | None) -> None:
    """List the ledger entries, the newest first."""
    rows = options.client.pages(path_of("accounts", account, "entries"), limit, cursor_name="before")
    show_rows(rows, ENTRY_COLUMNS, options.form)
