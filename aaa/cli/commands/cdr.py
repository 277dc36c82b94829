"""`aaactl cdr`: charging records of ended sessions."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_rows

command = click.Group("cdr", help="Charging records of ended sessions.")

COLUMNS = columns(
    "id", "account", "caller", "destination", "origin", "begun_at", "ended_at", "used", "amount", "amount.currency",
    "cause", "assumed",
)  # fmt: skip


def _list(options: Options, limit: int | None, **query: object) -> None:
    show_rows(options.client.pages(path_of("cdrs"), limit, **query), COLUMNS, options.form)


@verb(command, "list")
@click.option("--account", metavar="ID", default="")
@click.option("--since", metavar="TIME", default="", help="Ended at or after.")
@click.option("--until", metavar="TIME", default="", help="Ended before.")
@click.option("--limit", type=int, help="Stop after so many.")
def list_(options: Options, account: str, since: str, until: str, limit: int | None) -> None:
    """List CDRs in the order in which their sessions ended."""
    _list(options, limit, account=account, since=since, until=until)


@verb(command)
@click.option("--limit", type=int, help="Stop after so many.")
def unrated(options: Options, limit: int | None) -> None:
    """List usage that nobody is known to pay for."""
    _list(options, limit, unrated=True)


@verb(command)
@click.argument("cdr")
def explain(options: Options, cdr: str) -> None:
    """Show how the charge of a CDR came about."""
    told = options.client.get(path_of("cdrs", cdr, "explain"))
    if options.form != "table":
        show_rows(told, columns("destination", "price", "text"), options.form)
        return
    for line in told:
        print(line["text"])
