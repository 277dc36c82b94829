"""`aaactl nas`: RADIUS clients."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("nas", help="RADIUS clients.")

COLUMNS = columns("name", "address", "profile", "source", "secrets")


@verb(command, "list")
def list_(options: Options) -> None:
    """List the clients of the configuration and of the store."""
    show_rows(options.client.get(path_of("nas"))["items"], COLUMNS, options.form)


@verb(command)
@click.argument("nas")
def show(options: Options, nas: str) -> None:
    """Show one client; secrets are only counted."""
    show_one(options.client.get(path_of("nas", nas)), options.form)
