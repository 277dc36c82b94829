"""`aaactl rate`: what a call costs, and why."""

from __future__ import annotations

from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.main import Options, verb
from aaa.cli.output import cell, show_one

command = click.Group("rate", help="What a call costs, and why.")

SERVICES = click.Choice(["voice", "data", "message", "event"])


def _show(options: Options, told: dict[str, Any]) -> None:
    if options.form != "table":
        show_one(told, options.form)
        return
    if told["received"] != told["destination"]:
        print(f"{told['received']} is {told['destination']}")
    print(told["text"])
    print(f"price  {cell(told['price'])}")
    if told["affordable"] is not None:
        print(f"affordable now  {told['affordable']} {told['lines']['unit']}")


@verb(command)
@click.argument("account")
@click.argument("destination")
@click.option("--at", metavar="TIME", help="When; now unless given.")
@click.option("--duration", "units", type=int, default=60, show_default=True, metavar="S", help="Seconds, or units.")
@click.option("--service", type=SERVICES, default="voice", show_default=True)
@click.option("--nas", metavar="NAME", help="Normalise the number as this client's are.")
def explain(
    options: Options, account: str, destination: str, at: str | None, units: int, service: str, nas: str | None
) -> None:
    """Explain what a call of an account would cost, and how long it could last."""
    query = {"account": account, "destination": destination, "at": at, "units": units, "service": service, "nas": nas}
    _show(options, options.client.get(path_of("rate", "explain"), **query))


@verb(command)
@click.argument("tariff")
@click.argument("destination")
@click.option("--at", metavar="TIME", help="When; now unless given.")
@click.option("--duration", "units", type=int, default=60, show_default=True, metavar="S", help="Seconds, or units.")
@click.option("--service", type=SERVICES, default="voice", show_default=True)
def quote(options: Options, tariff: str, destination: str, at: str | None, units: int, service: str) -> None:
    """Price a call under a tariff."""
    query = {"tariff": tariff, "destination": destination, "at": at, "units": units, "service": service}
    _show(options, options.client.get(path_of("rate", "quote"), **query))
