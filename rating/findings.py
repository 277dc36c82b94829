"""
Findings: what is wrong with a tariff somebody wants to load, said so that they can correct it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

FINDINGS_MAX = 200


class Finding(NamedTuple):
    """
    One mistake (or doubt, when it is a warning) in a tariff.

    `where` is a file and line for CSV, a table for TOML; `key` the column or key.
    """

    where: str
    key: str
    message: str
    hint: str = ""
    is_error: bool = True

    def __str__(self) -> str:
        text = f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"
        text = text if self.is_error else f"warning: {text}"
        return f"{text} ({self.hint})" if self.hint else text


class Findings(list[Finding]):
    """A list of findings that stops growing at a bound."""

    def error(self, where: str, key: str, message: str, hint: str = "") -> None:
        """Note a mistake: the tariff is refused."""
        self._note(Finding(where, key, message, hint))

    def warn(self, where: str, key: str, message: str, hint: str = "") -> None:
        """Note a doubt: the tariff is accepted."""
        self._note(Finding(where, key, message, hint, is_error=False))

    @property
    def has_errors(self) -> bool:
        return any(finding.is_error for finding in self)

    def _note(self, finding: Finding) -> None:
        if len(self) < FINDINGS_MAX:
            self.append(finding)
        elif finding.is_error and not self.has_errors:
            self[-1] = finding


def closest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word most like this one, or all of them."""
    known = list(known)
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
