"""`aaactl config`: the configuration file, without a server."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.errors import INVALID_CONFIG, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_one, show_rows

command = click.Group("config", help="The configuration file, offline.")


def load(options: Options) -> Any:
    """
    The configuration of the `--config` file and the environment.

    Raises:
        CliError: Exit code 3 with every problem.
    """
    return _checked(options)[0]


def _checked(options: Options, checks_clients: bool = False) -> tuple[Any, list[str]]:
    """The configuration, and what its clients ask for in vain when they are looked at too."""
    from aaa.config import load_config  # noqa: PLC0415 - pydantic is for offline nouns only
    from aaa.errors import ConfigError  # noqa: PLC0415

    try:
        config = load_config(options.config, os.environ)
        if not checks_clients:
            return config, []
        from aaa.entries import advice, configured_clients, configured_peers  # noqa: PLC0415

        configured_peers(config)
        return config, advice(config, configured_clients(config).entries)
    except ConfigError as error:
        count = len(error.problems)
        message = f"{options.config}: {count} problem{'s' if count > 1 else ''}"
        raise CliError("config_invalid", message, INVALID_CONFIG, lines=error.problems) from error


@verb(command)
def check(options: Options) -> None:
    """Check the configuration; exit code 3 and every problem when it cannot be used."""
    config, advice = _checked(options, checks_clients=True)
    for line in advice:
        print(f"warning: {line}", file=sys.stderr)
    files = ", ".join(str(file) for file in config.files)
    if options.form == "table":
        print(f"{files}: sound")
    else:
        files_and_digest = {"files": [str(file) for file in config.files], "digest": config.digest}
        show_one(files_and_digest | {"warnings": advice}, options.form)


@verb(command)
@click.option("--origin", is_flag=True, help="Say who decided each value: default, file:line, environment.")
def show(options: Options, origin: bool) -> None:
    """Show every value in effect; secrets are left out."""
    from aaa.config.show import settings  # noqa: PLC0415

    config = load(options)
    rows = [setting._asdict() for setting in settings(config)]
    shown = columns("key", "value", "origin") if origin else columns("key", "value")
    if options.form in ("json", "jsonl") and not origin:
        rows = [{"key": row["key"], "value": row["value"]} for row in rows]
    show_rows(rows, shown, options.form)


@verb(command)
def diff(options: Options) -> None:
    """Show what differs between the file and the running server's configuration."""
    from aaa.config.show import settings  # noqa: PLC0415

    here = {setting.key: setting.value for setting in settings(load(options))}
    there = {row["key"]: row["value"] for row in options.client.get(path_of("config"))}
    rows = [
        {"key": key, "file": here.get(key), "running": there.get(key)}
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    ]
    show_rows(rows, columns("key", "file", "running"), options.form)
