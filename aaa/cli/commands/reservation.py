"""`aaactl reservation`: money that running sessions hold."""

from __future__ import annotations

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("reservation", help="Money that running sessions hold.")

COLUMNS = columns("id", "account", "state", "origin", "destination", "reserved", "charged", "deadline")


@verb(command, "list", repeats=True)
@click.option("--account", metavar="ID", default="")
@click.option("--limit", type=int, help="Stop after so many.")
def list_(options: Options, account: str, limit: int | None) -> None:
    """List what is held, by which session, until when at the latest."""
    show_rows(options.client.pages(path_of("sessions"), limit, account=account, state="live"), COLUMNS, options.form)


@verb(command)
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
def release(options: Options, session: str, yes: bool) -> None:
    """Settle what a session is known to have used and give the rest back; a late Stop corrects it."""
    if not yes:
        click.confirm(f"Release what session {session} holds?", abort=True, err=True)
    show_one(options.client.request("POST", f"{path_of('sessions', session)}/settle"), options.form)
