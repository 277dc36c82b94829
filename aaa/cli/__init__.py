"""
`aaactl`: the operator's command line, a client of the control API.

Starts fast because nothing is imported before it is needed; imports no server code.
"""


def main() -> None:
    """Run the command line and exit with its code."""
    from aaa.cli.main import run  # noqa: PLC0415 - keeps `import aaa.cli` free

    raise SystemExit(run())
