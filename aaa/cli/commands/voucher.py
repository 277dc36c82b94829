"""`aaactl voucher`: PINs that top accounts up."""

from __future__ import annotations

import click

from aaa.cli.ask import secret
from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("voucher", help="Vouchers: PINs that top accounts up.")

COLUMNS = columns("serial", "batch", "amount", "state", "expires_at", "redeemed_at", "account")


@verb(command)
@click.argument("batch")
@click.option("--count", type=click.IntRange(1, 10_000), required=True)
@click.option("--amount", required=True)
@click.option("--currency", required=True, metavar="CODE")
@click.option("--expires-at", metavar="TIME")
@click.option("--extends", metavar="TIME", help="What redeeming adds to the account's validity, such as 90d.")
def generate(
    options: Options, batch: str, count: int, amount: str, currency: str, expires_at: str | None, extends: str | None
) -> None:
    """Make a batch and print its PINs, this once; `-o csv` for the printer."""
    body = {"batch": batch, "count": count, "amount": amount, "currency": currency}
    terms = {"expires_at": expires_at, "extends": extends}
    body |= {key: value for key, value in terms.items() if value}
    made = options.client.request("POST", path_of("vouchers"), body)
    show_rows(made, columns("serial", "pin", "amount", "amount.currency", "expires_at"), options.form)


@verb(command)
@click.argument("account")
def redeem(options: Options, account: str) -> None:
    """Top an account up with the PIN asked for on a terminal, else read from standard input."""
    redemption = {"pin": secret("PIN")}
    show_one(options.client.request("POST", path_of("accounts", account, "vouchers"), redemption), options.form)


@verb(command)
@click.argument("serial")
@click.option("--yes", is_flag=True, help="Do not ask.")
def block(options: Options, serial: str, yes: bool) -> None:
    """Block a voucher that was not redeemed."""
    if not yes:
        click.confirm(f"Block voucher {serial}?", abort=True, err=True)
    show_one(options.client.request("POST", f"{path_of('vouchers', serial)}/block"), options.form)


@verb(command)
@click.argument("serial")
def show(options: Options, serial: str) -> None:
    """Show one voucher."""
    show_one(options.client.get(path_of("vouchers", serial)), options.form)


@verb(command, "list", repeats=True)
@click.option("--batch", default="", metavar="NAME")
@click.option("--limit", type=int, help="Stop after so many.")
def list_(options: Options, batch: str, limit: int | None) -> None:
    """List vouchers."""
    show_rows(options.client.pages(path_of("vouchers"), limit, batch=batch), COLUMNS, options.form)
