"""`aaactl token`: API tokens with roles."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("token", help="API tokens with roles.")

COLUMNS = columns("name", "roles", "created_at", "expires_at", "revoked_at")
ROLES = click.Choice(["read", "operate", "money", "admin"])


@verb(command)
@click.argument("name")
@click.option("--role", "roles", type=ROLES, multiple=True, required=True, help="Repeatable.")
@click.option("--expires-at", metavar="TIME")
def create(options: Options, name: str, roles: tuple[str, ...], expires_at: str | None) -> None:
    """Make a token; it is printed this once."""
    body = {"name": name, "roles": list(roles)} | ({"expires_at": expires_at} if expires_at else {})
    made = options.client.request("POST", path_of("tokens"), body)
    if options.form == "table":
        print(made["token"])
    else:
        show_one(made, options.form)


@verb(command, "list", repeats=True)
def list_(options: Options) -> None:
    """List the tokens, without what they are."""
    show_rows(options.client.get(path_of("tokens"))["items"], COLUMNS, options.form)


@verb(command)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(options: Options, name: str, yes: bool) -> None:
    """Revoke a token at once."""
    if not yes:
        click.confirm(f"Revoke token {name}?", abort=True, err=True)
    options.client.request("DELETE", path_of("tokens", name))
