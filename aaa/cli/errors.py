"""
Why a command did not do what it was told, and the exit code that says so (OPERATIONS section 2).
"""

from __future__ import annotations

from collections.abc import Sequence

DONE = 0
REFUSED = 1
USAGE = 2
INVALID_CONFIG = 3
NOT_FOUND = 4
CONFLICT = 5
UNREACHABLE = 6
NOT_PERMITTED = 7
FOUND_SOMETHING = 8
INTERRUPTED = 130

EXIT_OF_STATUS = {
    401: NOT_PERMITTED,
    403: NOT_PERMITTED,
    404: NOT_FOUND,
    409: CONFLICT,
    502: UNREACHABLE,
    503: UNREACHABLE,
    504: UNREACHABLE,
}


class CliError(Exception):
    """
    A command that failed.

    Args:
        code: Stable word for scripts, such as `not_found`.
        exit_code: One of the constants of this module.
        lines: Every single problem, when there are several.
    """

    def __init__(
        self, code: str, message: str, exit_code: int = REFUSED, *, hint: str = "", lines: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code
        self.hint = hint
        self.lines = list(lines)
