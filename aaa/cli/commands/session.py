"""`aaactl session`: running calls, and how to end them."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.errors import USAGE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import cell, columns, show_one, show_rows

command = click.Group("session", help="Running sessions.")

COLUMNS = columns(
    "id", "account", "state", "caller", "destination", "origin", "begun_at", "elapsed_s", "used", "granted", "charged",
    "reserved",
)  # fmt: skip
STATES = click.Choice(["live", "held", "open", "expired", "closed", "all"])
POLL_S = 0.5


@verb(command, "list", repeats=True)
@click.option("--account", metavar="ID", default="")
@click.option("--state", type=STATES, default="live")
@click.option("--limit", type=int, help="Stop after so many.")
def list_(options: Options, account: str, state: str, limit: int | None) -> None:
    """List sessions; those that hold money unless --state says otherwise."""
    rows = options.client.pages(path_of("sessions"), limit, account=account, state=state)
    show_rows(rows, COLUMNS, options.form)


@verb(command)
@click.argument("session")
def show(options: Options, session: str) -> None:
    """Show one session with its lines."""
    show_one(options.client.get(path_of("sessions", session)), options.form)


@verb(command)
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", "wait_s", type=float, default=30, show_default=True, help="Seconds to wait for the Stop.")
def kill(options: Options, session: str, yes: bool, wait_s: float) -> None:
    """End a session and wait until its Stop confirms it."""
    if not yes:
        click.confirm(f"Kill session {session}?", abort=True, err=True)
    path = path_of("sessions", session)
    found: dict[str, Any] = options.client.request("POST", f"{path}/kill")
    until = time.monotonic() + wait_s
    while found["state"] in ("held", "open") and time.monotonic() < until:
        time.sleep(POLL_S)
        found = options.client.get(path)
    show_one(found, options.form)
    if found["state"] in ("held", "open") and wait_s > 0:
        hint = f"it gets no more quota and is settled at {found['deadline']} at the latest"
        raise CliError("not_confirmed", f"no Stop of session {session} within {wait_s:g} s", hint=hint)


@verb(command)
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
def settle(options: Options, session: str, yes: bool) -> None:
    """Settle a session now at what is known; a late Stop corrects it."""
    if not yes:
        click.confirm(f"Settle session {session} without its Stop?", abort=True, err=True)
    show_one(options.client.request("POST", f"{path_of('sessions', session)}/settle"), options.form)


@verb(command, repeats=True)
@click.argument("number")
def why(options: Options, number: str) -> None:
    """Show the last refusals about a subscriber or a number, however it is written, the newest first."""
    shown = columns("at", "reason", "detail", "origin", "subscriber", "caller", "received", "destination")
    show_rows(options.client.get(path_of("refusals"), name=number)["items"], shown, options.form)


@verb(command)
@click.option("--interval", type=click.FloatRange(0.5), default=1.0, show_default=True, metavar="S")
def top(options: Options, interval: float) -> None:
    """Watch running sessions on a live screen until interrupted."""
    if not sys.stdout.isatty():
        raise CliError("usage", "a live screen needs a terminal; use `session list --watch`", USAGE)
    from rich.live import Live  # noqa: PLC0415 - for terminals only

    with Live(screen=True, auto_refresh=False) as screen:
        while True:
            screen.update(_screen(options.client.get(path_of("live"))), refresh=True)
            time.sleep(interval)


def _screen(picture: dict[str, Any]) -> Any:
    """One picture of the running sessions as a table with the figures above it."""
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    figures = [f"{picture['active']} sessions"]
    for money in picture["currencies"]:
        figures.append(
            f"burn {cell(money['burn_per_minute'])}/min, reserved {cell(money['reserved'])}, "
            f"exposure {cell(money['exposure'])}"
        )
    figures.append(f"longest silence {picture['oldest_silent_s']} s")
    figures += [f"denied {reason}: {count}" for reason, count in picture["denials"].items()]
    keys = ("account", "caller", "destination", "origin", "state", "elapsed_s", "charged", "reserved", "left_s")
    table = Table(*keys, box=None, header_style="bold")
    for session in picture["sessions"]:
        table.add_row(*(cell(session[key]) for key in keys))
    for group in picture["groups"]:
        table.add_row(
            "", "", group["destination_name"], "", f"{group['sessions']} sessions", "", "", cell(group["reserved"])
        )
    return Group("  ".join(figures), table)
