"""Secrets that people type, and programs send: never from the arguments, which everybody can read."""

from __future__ import annotations

import sys

import click


def secret(what: str, *, twice: bool = False) -> str:
    """
    Ask for a secret on a terminal, without showing it; else read a line of standard input.

    Args:
        what: Shown as the question, such as "PIN".
        twice: A terminal is asked again, and both must be the same.

    Raises:
        UsageError: Nothing was given.
    """
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise click.UsageError(f"the {what} is empty")
    return given
