"""`aaactl cdr`: charging records of ended sessions."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aaa.cli.client import path_of
from aaa.cli.errors import USAGE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, progress, show_rows

if TYPE_CHECKING:
    from rating import Tariff

command = click.Group("cdr", help="Charging records of ended sessions.")

COLUMNS = columns(
    "id", "account", "caller", "destination", "origin", "begun_at", "ended_at", "used", "amount", "amount.currency",
    "cause", "assumed",
)  # fmt: skip


RERATE_PAGE = 500
FILE_COLUMNS = columns("number", "name", "node", "records", "sha256", "closed_at")


def _list(options: Options, limit: int | None, **query: object) -> None:
    show_rows(options.client.pages(path_of("cdrs"), limit, **query), COLUMNS, options.form)


@verb(command, "list", repeats=True)
@click.option("--account", metavar="ID", default="")
@click.option("--since", metavar="TIME", default="", help="Ended at or after; a date is its midnight UTC.")
@click.option("--until", metavar="TIME", default="", help="Ended before.")
@click.option("--limit", type=int, help="Stop after so many.")
def list_(options: Options, account: str, since: str, until: str, limit: int | None) -> None:
    """List CDRs in the order in which their sessions ended."""
    _list(options, limit, account=account, since=since, until=until)


@verb(command, repeats=True)
@click.option("--limit", type=int, help="Stop after so many.")
def unrated(options: Options, limit: int | None) -> None:
    """List usage that nobody is known to pay for."""
    _list(options, limit, unrated=True)


@verb(command)
def export(options: Options) -> None:
    """Write what was not exported yet into closed files, in the directory of the server's [export] table."""
    show_rows(options.client.request("POST", path_of("cdr-files")), FILE_COLUMNS, options.form)


@verb(command, repeats=True)
@click.option("--limit", type=int, help="Stop after so many.")
def files(options: Options, limit: int | None) -> None:
    """List the exported files with their digests."""
    show_rows(options.client.pages(path_of("cdr-files"), limit), FILE_COLUMNS, options.form)


@verb(command)
@click.option("--version", type=int, required=True, help="Of the tariff that charged them; see `tariff list`.")
@click.option("--account", metavar="ID", default="")
@click.option("--since", metavar="TIME", default="", help="Ended at or after; a date is its midnight UTC.")
@click.option("--until", metavar="TIME", default="", help="Ended before.")
@click.option("--post", is_flag=True, help="Correct the accounts by the differences; demands --reason.")
@click.option("--reason", metavar="TEXT", default="")
@click.option("--yes", is_flag=True, help="Do not ask before posting.")
def rerate(
    options: Options, version: int, account: str, since: str, until: str, post: bool, reason: str, yes: bool
) -> None:
    """Price closed CDRs again under another version of their tariff and show what differs."""
    reason = reason or options.reason
    if post and not reason:
        raise CliError("usage", "--post demands --reason", USAGE)
    if post and not yes:
        click.confirm("Post the differences to the accounts?", abort=True, err=True)
    order = {"version": version, "account": account, "since": since, "until": until, "reason": reason}
    body: dict[str, Any] = {key: value for key, value in order.items() if value} | {"post": post, "limit": RERATE_PAGE}
    counts = {"rated": 0, "skipped": 0}

    def differences() -> Iterator[Any]:
        while True:
            page = options.client.request("POST", path_of("cdrs", "rerate"), body)
            yield from page["items"]
            for name in counts:
                counts[name] += page[name]
            if page["next"] is None:
                return
            body["after"] = page["next"]

    shown = columns("cdr", "account", "used", "before", "after", "difference", "posted")
    differing = show_rows(differences(), shown, options.form)
    print(f"{counts['rated']} rated, {differing} differ, {counts['skipped']} of other tariffs", file=sys.stderr)


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


@verb(command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tariff", metavar="NAME", help="A tariff of the server, as it is in force.")
@click.option(
    "--tariff-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The tariff of an apply file."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where the rated calls go; else stdout.")
@click.option("--processes", type=click.IntRange(1, 64), default=os.cpu_count() or 1, show_default=True)
def rate(
    options: Options, file: Path, tariff: str | None, tariff_file: Path | None, out: Path | None, processes: int
) -> None:
    """Rate a CSV or JSONL file of finished calls, with the prices calls are charged by."""
    from aaa.cli.rate_files import rate_file  # noqa: PLC0415 - the rating core, for this command alone
    from rating import format_money  # noqa: PLC0415

    if (tariff is None) == (tariff_file is None):
        raise CliError("usage", "give either --tariff or --tariff-file", USAGE)
    prices = _stored_tariff(options, tariff) if tariff is not None else _tariff_of_file(tariff_file or file)
    size = file.stat().st_size

    def show(_calls: int, octets: int) -> None:
        progress(octets, size, f"rating {file.name}")

    with out.open("w", encoding="utf-8", newline="") if out else nullcontext(sys.stdout) as target:
        summary = rate_file(file, prices, target, processes, show)
    amount = format_money(summary.amount_micro)
    print(f"{summary.calls} calls, {summary.rated} rated, {amount} {summary.currency}", file=sys.stderr)
    for reason, count in summary.errors.most_common():
        print(f"{count} not rated: {reason}", file=sys.stderr)


def _stored_tariff(options: Options, name: str) -> Tariff:
    """The version of a tariff that is in force on the server."""
    from rating import load  # noqa: PLC0415

    number = options.client.get(path_of("tariffs", name))["in_force"]
    document = options.client.get(path_of("tariffs", name, "versions", str(number)))
    return load(json.dumps(document), number)


def _tariff_of_file(path: Path) -> Tariff:
    """
    The one tariff of an apply file, read without a server.

    Raises:
        CliError: Not one tariff, or one with mistakes, each with its place.
    """
    from rating import TariffDocument, load, parse_toml_tariff  # noqa: PLC0415

    try:
        tables = tomllib.loads(path.read_text()).get("tariff", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CliError("refused", f"{path}: {error}") from error
    if len(tables) != 1:
        raise CliError("refused", f"{path}: {len(tables)} tariffs, expected one")
    rates = tables[0].get("rates_file")
    parsed = parse_toml_tariff(tables[0], (path.parent / rates).read_text() if rates else None, str(path))
    if not isinstance(parsed, TariffDocument):
        raise CliError("refused", f"{path} was refused", lines=[str(finding) for finding in parsed])
    return load(parsed.to_json(), 0)
