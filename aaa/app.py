"""
`aaad`: the composition root.  Reads the configuration, puts the parts together, serves until told to stop.

Exit codes: 0 stopped on request, 1 failed, 3 configuration or schema invalid, 6 store unreachable.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from aaa.config import Config, load_config
from aaa.errors import AaaError, ConfigError, SchemaMismatch, StoreUnavailable
from aaa.keys import Keys
from aaa.store import library, schema

EXIT_FAILED = 1
EXIT_CONFIG = 3
EXIT_STORE = 6
WORKERS_MAX = 64


def product_version() -> str:
    """The installed release."""
    try:
        return version("prepaid-aaa")
    except PackageNotFoundError:
        return "0+unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon; returns its exit code."""
    options = parser().parse_args(arguments)
    library.keep_no_statistics()
    try:
        config = load_config(options.config, os.environ)
        keys = Keys.load(config.server.key_file)
        if options.check:
            from aaa.entries import advice, configured_clients, configured_peers  # noqa: PLC0415 - only `--check` needs them

            configured_peers(config)
            for line in advice(config, configured_clients(config).entries):
                sys.stderr.write(f"{options.config}: warning: {line}\n")
            sys.stdout.write(f"{options.config}: ok\n")
            return 0
        schema.check(config.store.url)
        return _serve(config, keys, options)
    except (ConfigError, SchemaMismatch) as error:
        sys.stderr.write(f"aaad: {error}\n")
        return EXIT_CONFIG
    except StoreUnavailable as error:
        sys.stderr.write(f"aaad: store: {error}\n")
        return EXIT_STORE
    except AaaError as error:
        sys.stderr.write(f"aaad: {error}\n")
        return EXIT_FAILED


class _Parser(argparse.ArgumentParser):
    """Arguments that cannot be used are a configuration that cannot: a supervisor must not try again and again."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_CONFIG, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """The command line of the daemon."""
    parser = _Parser(prog="aaad", description="Prepaid AAA server: RADIUS and Diameter charging.")
    parser.add_argument("--config", default="/etc/aaa/aaa.toml", metavar="PATH", help="configuration file")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument("--role", choices=("all", "radius", "diameter", "api"), default="all", help="what to serve")
    parser.add_argument(
        "--workers",
        type=_worker_count,
        default=0,
        metavar="N",
        help="serve with N processes under this one (PostgreSQL)",
    )
    parser.add_argument("--version", action="version", version=f"aaad {product_version()}")
    return parser


def _worker_count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= WORKERS_MAX:
        raise ValueError(text)
    return count


def _serve(config: Config, keys: Keys, options: argparse.Namespace) -> int:
    """Run the reactor until a signal ends it."""
    from twisted.internet import reactor  # noqa: PLC0415 - installing the reactor is the last thing to do

    from aaa.ops import logs  # noqa: PLC0415
    from aaa.part import Part  # noqa: PLC0415
    from aaa.server import Server  # noqa: PLC0415
    from aaa.workers.inherit import Inherited  # noqa: PLC0415

    logs.observe_twisted()
    arguments = ("--config", options.config, "--role", options.role)
    inherited = Inherited.of(os.environ)
    part = Part(options.role, 0 if inherited else options.workers, inherited, arguments)
    server = Server(config, keys, reactor, lambda: load_config(options.config, os.environ), product_version(), part)
    server.start()
    # A full collection stops for a third of a second with a million cached accounts, and what a request makes has
    # no cycles: what is loaded now stays, and collections are rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    running: Any = reactor  # the module is the reactor; its type says only what every reactor has
    running.run(installSignalHandlers=False)
    return server.exit_code


if __name__ == "__main__":
    sys.exit(main())
