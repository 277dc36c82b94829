"""`aaactl account`: who holds balances."""

from __future__ import annotations

from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("account", help="Accounts: create, show, list, change.")

COLUMNS = columns(
    "id", "status", "currency", "tariff", "pool", "balance", "reserved", "available", "live_sessions=calls"
)
LIMITS = (
    "max-sessions", "max-call-amount", "max-call-s", "spend-per-hour", "spend-per-day", "calls-per-second",
    "denied-classes", "allowed-classes", "valid-from", "valid-until", "valid-after-use", "pool",
)  # fmt: skip


def _settings(function: Any) -> Any:
    """The options that create and update share, with the keys of an `[[account]]` table."""
    for option in reversed(
        (
            click.option("--tariff", metavar="NAME"),
            click.option("--pool", metavar="ACCOUNT", help="Spend the money and units of this account."),
            click.option("--credit-limit", metavar="AMOUNT", help='How far below 0, or "unlimited".'),
            click.option("--max-sessions", type=int),
            click.option("--max-call-amount", metavar="AMOUNT", help="Most that one call may cost."),
            click.option("--max-call-s", type=int, help="Most seconds of one call."),
            click.option("--spend-per-hour", metavar="AMOUNT", help="Most in an hour of UTC, running calls included."),
            click.option("--spend-per-day", metavar="AMOUNT", help="Most in a day of UTC, running calls included."),
            click.option("--calls-per-second", type=int, help="Most new calls in a second."),
            click.option("--denied-class", "denied_classes", multiple=True, help="Destination class; repeatable."),
            click.option("--allowed-class", "allowed_classes", multiple=True, help="Only these; repeatable."),
            click.option("--valid-from", metavar="TIME"),
            click.option("--valid-until", metavar="TIME"),
            click.option("--valid-after-use", metavar="TIME", help="From the first session on, such as 90d."),
        )
    ):
        function = option(function)
    return function


def _body(settings: dict[str, Any]) -> dict[str, Any]:
    """Only what was given."""
    given = {key: value for key, value in settings.items() if value not in (None, ())}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}


@verb(command)
@click.argument("account")
@click.option("--currency", required=True, metavar="CODE")
@click.option("--opening-balance", metavar="AMOUNT")
@_settings
def create(options: Options, account: str, **settings: Any) -> None:
    """Create an account."""
    body = _body(settings) | {"id": account}
    show_one(options.client.request("POST", path_of("accounts"), body), options.form)


@verb(command)
@click.argument("account")
def show(options: Options, account: str) -> None:
    """Show one account."""
    show_one(options.client.get(path_of("accounts", account)), options.form)


@verb(command, "list", repeats=True)
@click.option("--status", type=click.Choice(["active", "suspended", "closed"]))
@click.option("--pool", metavar="ACCOUNT", help="Only those that spend from it.")
@click.option("--limit", type=int, help="Stop after so many.")
def list_(options: Options, status: str | None, pool: str | None, limit: int | None) -> None:
    """List all accounts."""
    show_rows(options.client.pages(path_of("accounts"), limit, status=status, pool=pool), COLUMNS, options.form)


@verb(command)
@click.argument("account")
@_settings
@click.option("--without", multiple=True, type=click.Choice(LIMITS), help="Take a limit or the pool away; repeatable.")
def update(options: Options, account: str, without: tuple[str, ...], **settings: Any) -> None:
    """Change what is given, leave the rest."""
    body = _body(settings) | {name.replace("-", "_"): None for name in without}
    show_one(options.client.request("PATCH", path_of("accounts", account), body), options.form)


def _set_status(options: Options, account: str, status: str) -> None:
    show_one(options.client.request("PATCH", path_of("accounts", account), {"status": status}), options.form)


@verb(command)
@click.argument("account")
def suspend(options: Options, account: str) -> None:
    """Refuse new sessions; running ones are not extended."""
    _set_status(options, account, "suspended")


@verb(command)
@click.argument("account")
def resume(options: Options, account: str) -> None:
    """Take a suspended account back into service."""
    _set_status(options, account, "active")


@verb(command)
@click.argument("account")
@click.option("--yes", is_flag=True, help="Do not ask.")
def close(options: Options, account: str, yes: bool) -> None:
    """Close an account for good; its ledger stays."""
    if not yes:
        click.confirm(f"Close account {account}?", abort=True, err=True)
    _set_status(options, account, "closed")
