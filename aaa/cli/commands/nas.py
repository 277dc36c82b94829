"""`aaactl nas`: RADIUS clients."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.errors import USAGE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("nas", help="RADIUS clients.")

COLUMNS = columns("name", "address", "profile", "source", "secrets")
SECRET_OCTETS = 24
_secret_file = click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the secret; without one a secret is made and printed, this once.",
)


@verb(command, "list", repeats=True)
def list_(options: Options) -> None:
    """List the clients of the configuration and of the store."""
    show_rows(options.client.get(path_of("nas"))["items"], COLUMNS, options.form)


@verb(command)
@click.argument("nas")
def show(options: Options, nas: str) -> None:
    """Show one client; secrets are only counted."""
    show_one(options.client.get(path_of("nas", nas)), options.form)


@verb(command)
@click.argument("nas")
@click.option("--address", required=True, metavar="CIDR", help="Where its packets come from.")
@click.option("--profile", default="generic", show_default=True, metavar="NAME")
@click.option("--coa", metavar="HOST:PORT", help="Where it takes Disconnect and CoA requests.")
@_secret_file
def add(options: Options, nas: str, secret_file: Path | None, **settings: str | None) -> None:
    """Add a client; everything else about it is said by `apply`."""
    secret = _secret(secret_file)
    body = {key: value for key, value in settings.items() if value} | {"name": nas, "secret": secret}
    _show(options, options.client.request("POST", path_of("nas"), body), None if secret_file else secret)


@verb(command)
@click.argument("nas")
@_secret_file
@click.option("--finish", is_flag=True, help="Forget the old secrets: the switch uses the new one now.")
def secret_rotate(options: Options, nas: str, secret_file: Path | None, finish: bool) -> None:
    """Give a client a new secret; the old one works until `--finish`."""
    path = path_of("nas", nas, "secrets")
    if finish:
        if secret_file:
            raise CliError("usage", "--finish takes no new secret", USAGE)
        show_one(options.client.request("DELETE", path), options.form)
        return
    secret = _secret(secret_file)
    _show(options, options.client.request("POST", path, {"secret": secret}), None if secret_file else secret)


def _secret(file: Path | None) -> str:
    """The secret of a file, or a new one; never from the command line, which everybody can read."""
    if file is None:
        return secrets.token_urlsafe(SECRET_OCTETS)
    return file.read_text(encoding="utf-8").rstrip("\r\n")


def _show(options: Options, nas: dict[str, Any], secret: str | None) -> None:
    show_one(nas | ({"secret": secret} if secret else {}), options.form)
