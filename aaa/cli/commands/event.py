"""`aaactl event`: what the outbox tells its consumers, as it happens."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from aaa.cli.client import Client, path_of
from aaa.cli.errors import NOT_FOUND, CliError
from aaa.cli.main import Options, verb

command = click.Group("event", help="Events of the outbox, live.")

PAGE = 1_000
OVERLAP = 200  # nodes write at once: an event may appear behind one with a higher number


@verb(command)
@click.option("--consumer", metavar="NAME", default="", help="Whose events; the first [[outbox]] table if not given.")
@click.option("--last", type=click.IntRange(0, PAGE), default=10, show_default=True, help="Show so many of before.")
@click.option("--kind", "kinds", metavar="KIND", multiple=True, help="Only these, such as session.settled; repeatable.")
@click.option("--interval", type=click.FloatRange(0.1), default=1.0, show_default=True, metavar="S")
@click.option("--follow/--no-follow", default=True, help="Go on until interrupted.")
def tail(options: Options, consumer: str, last: int, kinds: tuple[str, ...], interval: float, follow: bool) -> None:
    """Show the events of a consumer as they are written, whether it has taken them or not."""
    name = consumer or _first(options.client)
    for events in _batches(options.client, name, last, interval, follow):
        for event in events:
            if not kinds or event["kind"] in kinds:
                _print(event, options.form)
        sys.stdout.flush()


def _first(client: Client) -> str:
    """The consumer whose events are shown when none is named."""
    found = client.get(path_of("outbox"))["items"]
    if not found:
        hint = "events are written once the configuration has an [[outbox]] table"
        raise CliError("not_found", "the server has no consumer of events", NOT_FOUND, hint=hint)
    return str(found[0]["name"])


def _batches(client: Client, name: str, last: int, interval: float, follow: bool) -> Iterator[list[dict[str, Any]]]:
    """The last events, then those that are new, every time somebody looks."""
    path = path_of("outbox", name, "events")
    before = client.get(path, limit=max(1, last))["items"]
    yield before if last else []
    numbers = [int(event["number"]) for event in before]
    floor = numbers[0] - 1 if last and numbers else max(numbers, default=0)
    seen, highest = set(numbers), max(numbers, default=0)
    while follow:
        after = max(floor, highest - OVERLAP)
        page = client.get(path, after=str(after), limit=PAGE)["items"]
        new = [event for event in page if int(event["number"]) not in seen]
        yield new
        seen.update(int(event["number"]) for event in new)
        highest = max(seen, default=0)
        seen = {number for number in seen if number > highest - OVERLAP}
        if len(page) < PAGE:
            time.sleep(interval)


def _print(event: dict[str, Any], form: str) -> None:
    """One event in a line; a stream has no header and no brackets."""
    if form in ("json", "jsonl"):
        print(json.dumps(event))
        return
    row = (event["at"], event["kind"], event["body"].get("account", ""), json.dumps(event["body"]))
    if form == "csv":
        csv.writer(sys.stdout).writerow(row)
    else:
        print("\t".join(row))
