"""`aaactl trace`: the packets of one subscriber, decoded, in the log of a live server."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_rows

command = click.Group("trace", help="Decoded packets and messages of one subscriber in the server's log.")

COLUMNS = columns("subscriber", "until")


@verb(command)
@click.option("--subscriber", metavar="NAME", required=True, help="As the packets name it: a user, a number.")
@click.option("--for", "duration", metavar="TIME", default="10m", show_default=True, help="It ends by itself.")
def start(options: Options, subscriber: str, duration: str) -> None:
    """Write a subscriber's packets into the log, secrets hidden, for a while."""
    body = {"subscriber": subscriber, "duration": duration}
    show_rows(options.client.request("POST", path_of("traces"), body)["items"], COLUMNS, options.form)


@verb(command)
@click.option("--subscriber", metavar="NAME", required=True)
def stop(options: Options, subscriber: str) -> None:
    """Stop before the time is over."""
    show_rows(options.client.request("DELETE", path_of("traces", subscriber))["items"], COLUMNS, options.form)


@verb(command, "list", repeats=True)
def list_(options: Options) -> None:
    """List who is traced."""
    show_rows(options.client.get(path_of("traces"))["items"], COLUMNS, options.form)
