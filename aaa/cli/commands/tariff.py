"""`aaactl tariff`: versions, and which is in force."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from aaa.cli.client import path_of
from aaa.cli.commands.apply import body_of
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("tariff", help="Tariffs and their versions.")

COLUMNS = columns("name", "currency", "in_force=version", "activations.0.active_from=active_from")


@verb(command, "list", repeats=True)
def list_(options: Options) -> None:
    """List tariffs with the version in force."""
    show_rows(options.client.get(path_of("tariffs"))["items"], COLUMNS, options.form)


@verb(command)
@click.argument("tariff")
def show(options: Options, tariff: str) -> None:
    """Show the versions and activations of a tariff."""
    show_one(options.client.get(path_of("tariffs", tariff)), options.form)


@verb(command, "import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check and compare.")
def import_(options: Options, file: Path, dry_run: bool) -> None:
    """Add the [[tariff]] tables of an apply file as versions; `diff` them, then `activate` them."""
    found = options.client.request("POST", path_of("tariffs"), body_of(file), {"dry_run": dry_run})
    for warning in [warning for each in found for warning in each["warnings"]]:
        print(f"warning: {warning}", file=sys.stderr)
    show_rows(found, columns("tariff", "version", "in_force", "is_new=new", "changes", "jumps"), options.form)


@verb(command)
@click.argument("tariff")
@click.option("--version", "number", type=int, help="Another than the one in force.")
@click.option("--csv", "as_csv", is_flag=True, help="Only the rates, as a rates file.")
def export(options: Options, tariff: str, number: int | None, as_csv: bool) -> None:
    """Print a version's canonical document."""
    if number is None:
        number = options.client.get(path_of("tariffs", tariff))["in_force"]
    if as_csv:
        print(options.client.text(path_of("tariffs", tariff, "versions", str(number), "rates.csv")), end="")
        return
    print(json.dumps(options.client.get(path_of("tariffs", tariff, "versions", str(number)))))


@verb(command)
@click.argument("tariff")
@click.argument("before", type=int)
@click.argument("after", type=int)
def diff(options: Options, tariff: str, before: int, after: int) -> None:
    """Show what changes from one version to another; jumps of half or more are marked."""
    changes = options.client.get(path_of("tariffs", tariff, "diff"), before=before, after=after)
    shown = columns("kind", "service", "prefix", "what", "before", "after", "change_percent=percent", "is_jump=jump")
    show_rows(changes, shown, options.form)


@verb(command)
@click.argument("tariff")
@click.argument("version", type=int)
@click.option("--at", metavar="TIME", help="When; now unless given.")
def activate(options: Options, tariff: str, version: int, at: str | None) -> None:
    """Bring a version into force."""
    body = {"version": version} | ({"at": at} if at else {})
    show_one(options.client.request("POST", path_of("tariffs", tariff, "activations"), body), options.form)


@verb(command)
@click.argument("tariff")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rollback(options: Options, tariff: str, yes: bool) -> None:
    """Bring the version before the one in force back."""
    if not yes:
        click.confirm(f"Roll tariff {tariff} back?", abort=True, err=True)
    show_one(options.client.request("POST", path_of("tariffs", tariff, "rollback")), options.form)
