"""
The command tree: nouns are loaded when they are used, global options come before them.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from aaa.cli.client import DEFAULT_SOCKET, Client
from aaa.cli.errors import INTERRUPTED, REFUSED, USAGE, CliError
from aaa.cli.output import FORMATS, clear, show_error

NOUNS = {
    "account": "Accounts: create, show, list, change.",
    "apply": "Apply a provisioning file.",
    "balance": "Balances and the ledger of an account.",
    "cdr": "Charging records of ended sessions.",
    "config": "The configuration file, offline.",
    "db": "The database schema.",
    "event": "Events of the outbox, live.",
    "ledger": "Prove that the ledger adds up.",
    "nas": "RADIUS clients.",
    "peer": "Diameter peers.",
    "probe": "Place a call against a server.",
    "rate": "What a call costs, and why.",
    "reservation": "Money that running sessions hold.",
    "server": "The server: status, health, reload, drain.",
    "session": "Running sessions.",
    "subscription": "The identities that pay from an account.",
    "tariff": "Tariffs and their versions.",
    "token": "API tokens with roles.",
    "trace": "Decoded packets and messages of one subscriber in the log.",
    "voucher": "Vouchers: PINs that top accounts up.",
}

COMPLETION = "_AAACTL_COMPLETE"  # set by the script that a shell sources; see docs/how-to/complete-commands.md


@dataclass
class Options:
    """The global options, and the client they describe."""

    socket: str = DEFAULT_SOCKET
    url: str = ""
    token_file: str = ""
    config: str = "/etc/aaa/aaa.toml"
    form: str = "table"
    reason: str = ""
    _client: list[Client] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """The server these options name."""
        if not self._client:
            token = ""
            if self.token_file:
                try:
                    with open(self.token_file, encoding="utf-8") as file:
                        token = file.read().strip()
                except OSError as error:
                    raise CliError("usage", f"{self.token_file}: {error.strerror}", USAGE) from error
            self._client.append(Client(self.socket, self.url, token, self.reason))
        return self._client[0]


class LazyGroup(click.Group):
    """A group whose subcommands are modules, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All nouns."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one noun."""
        if cmd_name not in NOUNS:
            return None
        module = importlib.import_module(f"aaa.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Suggest the noun that was meant."""
        if args and args[0] not in NOUNS and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415

            near = difflib.get_close_matches(args[0], NOUNS, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Nouns: {', '.join(NOUNS)}."
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "AAACTL"})
@click.option("--socket", metavar="PATH", envvar="AAACTL_SOCKET", default=DEFAULT_SOCKET, help="Control socket.")
@click.option("--url", metavar="URL", default="", help="Control API over TCP instead, such as https://ocs:8443.")
@click.option("--token-file", metavar="FILE", default="", help="File with the API token for --url.")
@click.option("--config", metavar="FILE", default="/etc/aaa/aaa.toml", help="Configuration, for `config` and `db`.")
@click.option("-o", "--output", "form", type=click.Choice(FORMATS), default="table", help="Output format.")
@click.option("--reason", metavar="TEXT", default="", help="Why; goes into the audit log with every write.")
@click.version_option(package_name="prepaid-aaa")
@click.pass_context
def root(ctx: click.Context, socket: str, url: str, token_file: str, config: str, form: str, reason: str) -> None:
    """Operate a prepaid AAA server."""
    ctx.obj = Options(socket, url, token_file, config, form, reason)


def verb(
    group: click.Group, name: str = "", *, repeats: bool = False, **settings: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """
    Make a function a command of a noun: it gets the options first, and `-o` works after it too.

    Args:
        repeats: It takes `--watch`, as lists do.
        settings: Of click's context, such as `ignore_unknown_options` for negative amounts.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, form_here: str | None, watch_s: float | None = None, **kwargs: Any) -> Any:
            options: Options = click.get_current_context().find_root().obj
            if form_here is not None:
                options.form = form_here
            while watch_s is not None:
                clear(options.form)
                function(options, *args, **kwargs)
                sys.stdout.flush()
                time.sleep(watch_s)
            return function(options, *args, **kwargs)

        decorated = click.option("-o", "--output", "form_here", type=click.Choice(FORMATS), help="Output format.")(run)
        if repeats:
            seconds = click.FloatRange(0.1)
            told = "Show again every S seconds until interrupted."
            decorated = click.option("--watch", "watch_s", type=seconds, metavar="S", help=told)(decorated)
        command_name = name or function.__name__.removesuffix("_").replace("_", "-")
        return group.command(command_name, context_settings=settings)(decorated)

    return decorate


def run(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    instruction = os.environ.get(COMPLETION)
    if instruction:
        from click.shell_completion import shell_complete  # noqa: PLC0415 - for shells only

        return shell_complete(root, {}, "aaactl", COMPLETION, instruction)
    given = sys.argv[1:] if arguments is None else arguments
    options = Options()
    try:
        with root.make_context("aaactl", list(given)) as ctx:
            code = root.invoke(ctx)
            return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        code = USAGE if isinstance(error, click.UsageError) else REFUSED
        if _form_of(given, options) in ("json", "jsonl"):
            show_error(CliError("usage", error.format_message(), code), "json")
        else:
            error.show()
        return code
    except CliError as error:
        show_error(error, _form_of(given, options))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _form_of(given: list[str], options: Options) -> str:
    """The output format the arguments ask for, also when they were not understood further."""
    for position, word in enumerate(given):
        if word in ("-o", "--output") and position + 1 < len(given):
            return given[position + 1]
        if word.startswith(("-o", "--output=")):
            return word.removeprefix("--output=").removeprefix("-o").removeprefix("=")
    return options.form
