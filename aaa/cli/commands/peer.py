"""`aaactl peer`: Diameter peers."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("peer", help="Diameter peers.")


@verb(command, "list", repeats=True)
def list_(options: Options) -> None:
    """List the peers of the configuration and of the store, with their connections."""
    peers = options.client.get(path_of("peers"))["items"]
    rows = [{**peer, "connected": sum(one["connections"] for one in peer["connections"])} for peer in peers]
    shown = columns("origin_host", "realm", "source", "connected", "settings.address=address", "settings.allow=allow")
    show_rows(rows, shown, options.form)


@verb(command)
@click.argument("origin_host")
def show(options: Options, origin_host: str) -> None:
    """Show one peer: what it may ask, how it is charged, and its connections."""
    show_one(options.client.get(path_of("peers", origin_host)), options.form)


@verb(command)
@click.argument("origin_host")
@click.option("--yes", is_flag=True, help="Do not ask.")
def disconnect(options: Options, origin_host: str, yes: bool) -> None:
    """End the connections of a host; it may connect again, and its sessions go on."""
    if not yes:
        click.confirm(f"Disconnect {origin_host}?", abort=True, err=True)
    show_one(options.client.request("POST", path_of("peers", origin_host) + "/disconnect"), options.form)
