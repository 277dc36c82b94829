"""
The manual pages aaactl(1) and aaad(8), made from the commands themselves: `python -m aaa.ops.manual DIR`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

MADE = '.\\" Made by `python -m aaa.ops.manual docs/man`; do not edit.\n'
EXIT_CODES = (
    ("0", "done"),
    ("1", "refused or failed"),
    ("2", "usage"),
    ("3", "configuration or schema invalid"),
    ("4", "not found"),
    ("5", "conflict"),
    ("6", "server or store unreachable"),
    ("7", "not permitted"),
    ("8", "a check found something"),
    ("130", "interrupted"),
)


def pages() -> dict[str, str]:
    """Every page by file name."""
    return {"aaactl.1": aaactl(), "aaad.8": aaad()}


def aaactl() -> str:
    """The operator's command with all its nouns and verbs."""
    from aaa.cli.main import NOUNS, root  # noqa: PLC0415

    parts = [MADE, '.TH AAACTL 1 "" "prepaid-aaa"', ".SH NAME", "aaactl \\- operate a prepaid AAA server"]
    parts += [".SH SYNOPSIS", _synopsis(root, "aaactl"), ".SH OPTIONS", *_options(root)]
    for noun in NOUNS:
        command: click.Command = importlib.import_module(f"aaa.cli.commands.{noun}").command
        parts += [f".SH {noun.upper()}", _text(command.help or "")]
        verbs = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        for name, verb in sorted(verbs):
            parts += [".SS " + _synopsis(verb, f"aaactl {noun} {name}".strip()), _text(verb.help or "")]
            parts += _options(verb)
    parts.append(".SH EXIT STATUS")
    parts += [f".TP\n.B {code}\n{meaning}" for code, meaning in EXIT_CODES]
    parts += [".SH SEE ALSO", ".BR aaad (8)", ""]
    return "\n".join(parts)


def aaad() -> str:
    """The daemon."""
    from aaa.app import parser  # noqa: PLC0415

    daemon = parser()
    parts = [MADE, '.TH AAAD 8 "" "prepaid-aaa"', ".SH NAME", "aaad \\- prepaid AAA server, RADIUS and Diameter"]
    parts += [".SH SYNOPSIS", _text(daemon.format_usage().removeprefix("usage: "))]
    parts += [".SH DESCRIPTION", _text(daemon.description or ""), ".SH OPTIONS"]
    for action in daemon._actions:
        if not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            names = ", ".join(action.option_strings)
            shown = f"{names} {action.metavar}" if action.metavar else names
            parts.append(f".TP\n.B {_text(shown)}\n{_text(action.help or '')}")
    parts += [".SH SIGNALS", ".TP\n.B SIGTERM\nDrain, then stop; a second one stops at once."]
    parts += [".TP\n.B SIGHUP\nRead the configuration again: all of it is used, or none."]
    parts += [".SH SEE ALSO", ".BR aaactl (1)", ""]
    return "\n".join(parts)


def _synopsis(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path.rpartition(" ")[2])
    return _text(" ".join([path, *command.collect_usage_pieces(context)]))


def _options(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and record[0] != "-h, --help":
            yield f".TP\n.B {_text(record[0])}\n{_text(record[1])}"


def _text(text: str) -> str:
    """Text as roff takes it: one paragraph, nothing that begins a request or is an escape."""
    words = " ".join(text.replace("\b", "").split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{words}" if words[:1] in (".", "'") else words


def main(directory: Path) -> None:
    """Write the pages."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
