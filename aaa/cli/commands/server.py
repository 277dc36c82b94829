"""`aaactl server`: the server itself."""

from __future__ import annotations

import sys

import click

from aaa.cli.client import path_of
from aaa.cli.errors import DONE, FOUND_SOMETHING
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("server", help="The server: status, health, reload, drain.")


@verb(command)
def status(options: Options) -> None:
    """Show everything a supporter asks first."""
    show_one(options.client.get(path_of("status")), options.form)


@verb(command)
def health(options: Options) -> int:
    """Exit 0 only when the server is ready to serve; 8 names the failed checks, 6: it cannot be reached."""
    response = options.client.probe("/readyz?verbose=true")
    show_rows(response["checks"], columns("name", "ok", "detail"), options.form)
    return DONE if response["ready"] else FOUND_SOMETHING


def _drain(options: Options, draining: bool) -> None:
    show_one(options.client.request("POST", path_of("drain"), {"draining": draining}), options.form)


@verb(command)
def drain(options: Options) -> None:
    """Refuse new sessions; running ones go on."""
    _drain(options, True)


@verb(command)
def undrain(options: Options) -> None:
    """Take new sessions again."""
    _drain(options, False)


@verb(command)
def reload(options: Options) -> None:
    """Read the configuration again: all of it is used, or none (exit code 3)."""
    done = options.client.request("POST", path_of("reload"))
    show_one(done, options.form)
    for setting in done["needs_restart"]:
        print(f"needs a restart: {setting}", file=sys.stderr)
