"""`aaactl subscription`: how the network names the payer."""

from __future__ import annotations

from typing import Any

import click

from aaa.cli.ask import secret
from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("subscription", help="The identities that pay from an account.")

COLUMNS = columns("type", "value", "account", "proves_by", "created_at")
TYPES: Any = click.Choice(["username", "e164", "sip_uri", "imsi", "ip", "pin"])


def _put(options: Options, account: str, kind: str, value: str, password: str | None) -> None:
    body = {"type": kind, "value": value} | ({"password": password} if password else {})
    show_one(options.client.request("PUT", path_of("accounts", account, "subscriptions"), body), options.form)


@verb(command)
@click.argument("account")
@click.argument("kind", metavar="TYPE", type=TYPES)
@click.argument("value", required=False)
@click.option("--password-stdin", is_flag=True, help="Read a password from standard input.")
def add(options: Options, account: str, kind: str, value: str | None, password_stdin: bool) -> None:
    """Add an identity to an account; a PIN is asked for on a terminal, else read from standard input."""
    if (kind == "pin") == bool(value):
        hint = "a PIN is not given in the command, where everybody can read it" if value else "what is the value?"
        raise click.UsageError(hint)
    _put(options, account, kind, value or secret("PIN"), secret("password") if password_stdin else None)


@verb(command)
@click.argument("account")
@click.argument("kind", metavar="TYPE", type=TYPES)
@click.argument("value")
def set_password(options: Options, account: str, kind: str, value: str) -> None:
    """Set the password of an identity, asked for on a terminal, else read from standard input."""
    _put(options, account, kind, value, secret("password", twice=True))


@verb(command, "list", repeats=True)
@click.argument("account")
def list_(options: Options, account: str) -> None:
    """List the identities of an account."""
    page = options.client.get(path_of("accounts", account, "subscriptions"))
    show_rows(page["items"], COLUMNS, options.form)


@verb(command)
@click.argument("account")
@click.argument("kind", metavar="TYPE", type=TYPES)
@click.argument("value")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(options: Options, account: str, kind: str, value: str, yes: bool) -> None:
    """Remove an identity; a PIN is named by its keyed hash as `list` shows it."""
    if not yes:
        click.confirm(f"Remove {kind} {value} from {account}?", abort=True, err=True)
    options.client.request("DELETE", path_of("accounts", account, "subscriptions", kind, value))
