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


@verb(command)
@click.argument("file", type=click.Path(dir_okay=False))
def support_bundle(options: Options, file: str) -> None:
    """Pack what a supporter needs into FILE (.tar.gz), without secrets: status, health, configuration, log, audit."""
    import io  # noqa: PLC0415
    import json  # noqa: PLC0415
    import tarfile  # noqa: PLC0415

    parts = {name: options.client.get(path_of(name)) for name in ("status", "config", "nas", "peers", "tariffs")}
    parts["log"] = options.client.get(path_of("log"))
    parts["audit"] = options.client.get(path_of("audit"), limit=1000)
    parts["ready"] = options.client.probe("/readyz?verbose=true")
    with tarfile.open(file, "w:gz") as bundle:
        for name, document in parts.items():
            content = json.dumps(document, indent=2).encode()
            entry = tarfile.TarInfo(f"prepaid-aaa-support/{name}.json")
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))
    print(f"{file}: {', '.join(sorted(parts))}")
