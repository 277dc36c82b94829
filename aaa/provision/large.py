"""
Apply files of a million accounts: read in parts, so that memory does not grow with the file.

The whole file is still checked before anything is written: once to check it, keeping only names, and
again, part by part, to write it.  Parts begin at `[[account]]` headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from aaa.config.problems import PROBLEMS_MAX, Problem
from aaa.provision.parse import OBJECTS_PER_PART, ApplyFile
from aaa.provision.tariffs import TariffTable

LARGE_CHARACTERS = 4_000_000
ACCOUNTS_PER_PART = 2_000

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*account[ \t]*\]\]", re.MULTILINE)

ParsePart = Callable[[str], ApplyFile | list[Problem]]


@dataclass(frozen=True)
class Part:
    """A stretch of the text: where it begins and ends, the lines and accounts before it."""

    start: int
    end: int
    lines_before: int
    accounts_before: int


@dataclass(frozen=True)
class LargeFile:
    """A sound large file: what is not an account, and the parts in which the accounts stand."""

    rest: ApplyFile
    objects: int
    text: str
    parts: tuple[Part, ...]
    parse: ParsePart

    @property
    def tariffs(self) -> tuple[TariffTable, ...]:
        """The tariffs of the file."""
        return self.rest.tariffs

    def batches(self) -> Iterator[ApplyFile]:
        """Transactions of at most a thousand objects, tariffs and clients first."""
        yield self.rest
        for part in self.parts:
            parsed = self.parse(self.text[part.start : part.end])
            if isinstance(parsed, list):
                raise RuntimeError(f"a part of the file changed after it was checked: {parsed[0]}")
            yield from ApplyFile(accounts=parsed.accounts, offset=part.accounts_before).slices(OBJECTS_PER_PART)


def is_large(text: str) -> bool:
    """Whether a text is large and can be cut at its headers: no multi-line string could hide one."""
    return len(text) > LARGE_CHARACTERS and '"""' not in text and "'''" not in text


def parse_large(text: str, parse: ParsePart, where: str) -> LargeFile | list[Problem]:
    """
    Check a whole large file, part by part.

    Args:
        parse: Checks one part as a file of its own.
    """
    parts = tuple(_parts(text))
    problems: list[Problem] = []
    ids: set[str] = set()
    identities: set[str] = set()
    rest = ApplyFile()
    objects = 0
    for part in parts:
        parsed = parse(text[part.start : part.end])
        if isinstance(parsed, list):
            problems += [_moved(problem, part) for problem in parsed]
            if len(problems) >= PROBLEMS_MAX:
                break
            continue
        objects += parsed.objects
        rest = ApplyFile(rest.tariffs + parsed.tariffs, (), rest.nas + parsed.nas, rest.peers + parsed.peers)
        for index, account in enumerate(parsed.accounts):
            names = [f"{subscription.type}\0{subscription.value}" for subscription in account.subscription]
            if account.id in ids or not identities.isdisjoint(names):
                line = line_of_account(text, part.accounts_before + index)
                reason = "its id or an identity of it stands in the file twice"
                problems.append(Problem(where, line, "[[account]]", account.id, reason))
            ids.add(account.id)
            identities.update(names)
    if problems:
        return problems[:PROBLEMS_MAX]
    return LargeFile(rest, objects, text, parts, parse)


def line_of_account(text: str, index: int) -> int | None:
    """The line of the header of one account, counted from 0."""
    found = next(islice(_HEADER.finditer(text), index, None), None)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _parts(text: str) -> Iterator[Part]:
    start, lines, accounts = 0, 0, 0
    for number, header in enumerate(_HEADER.finditer(text)):
        if number and number % ACCOUNTS_PER_PART == 0:
            yield Part(start, header.start(), lines, accounts)
            lines += text.count("\n", start, header.start())
            start, accounts = header.start(), number
    yield Part(start, len(text), lines, accounts)


def _moved(problem: Problem, part: Part) -> Problem:
    return problem if problem.line is None else problem._replace(line=problem.line + part.lines_before)
