"""`aaactl peer`: Diameter peers."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_rows

command = click.Group("peer", help="Diameter peers.")


@verb(command, "list")
def list_(options: Options) -> None:
    """List the peers of the configuration and of the store."""
    shown = columns("origin_host", "realm", "source", "settings.address=address", "settings.allow=allow")
    show_rows(options.client.get(path_of("peers"))["items"], shown, options.form)
