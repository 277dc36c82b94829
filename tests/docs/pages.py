"""
What a page of the documentation tells its reader to do, in the order of the page.

A page marks what its test needs in its own source, where who reads the rendered page does not see it:

* a block of `sh` is run, all blocks of a page by one shell; one of `sh not-run` is not,
* a block of `toml PATH` is written to that file at its place, as the text around it tells the reader to,
* `<!-- given: COMMANDS -->` is run at its place: what the page takes for granted,
* `<!-- shows: TEXT -->` has to be in what the block before it printed,
* `<!-- store: postgresql -->` says that the server of the page needs that store.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs" / "how-to").glob("*.md")])
OTHERS = sorted(
    [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs/explanation").glob("*.md"), *(ROOT / "conf").rglob("*.md")]
)

_PART = re.compile(
    r"^```(?P<language>\w+)(?P<words>[^\n]*)\n(?P<text>.*?)^```$|<!-- (?P<word>given|shows):\s(?P<told>.*?)\s-->",
    re.MULTILINE | re.DOTALL,
)


class Step(NamedTuple):
    """
    One block.

    Args:
        kind: `sh`, `toml`, ..., or `given`.
        words: What stands behind the language: `not-run`, or the file of a `toml` block.
        shows: What it must print.
    """

    kind: str
    text: str
    words: str
    shows: tuple[str, ...] = ()

    @property
    def is_run(self) -> bool:
        """Whether a shell runs it."""
        return self.kind == "given" or (self.kind == "sh" and self.words != "not-run")


def steps(page: Path) -> list[Step]:
    """The blocks of a page."""
    found: list[Step] = []
    for part in _PART.finditer(page.read_text(encoding="utf-8")):
        if part["word"] == "shows":
            found[-1] = found[-1]._replace(shows=(*found[-1].shows, part["told"]))
        elif part["word"] == "given":
            found.append(Step("given", part["told"], ""))
        else:
            found.append(Step(part["language"], part["text"], part["words"].strip()))
    return found


def needs_postgresql(page: Path) -> bool:
    """Whether its server needs that store."""
    return "<!-- store: postgresql -->" in page.read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """
    The commands of a shell block, continued lines as one.

    >>> commands("a \\\\\\n  b  # why\\n# only this\\n\\nc\\n")
    ['a    b  # why', 'c']
    """
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def inline(page: Path) -> list[str]:
    """The commands of `aaactl` that stand in running text; `noun this|that` are two."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for command in re.findall(r"`(aaactl [^`]+)`", text):
        words = command.split()
        several = next((place for place, word in enumerate(words) if "|" in word), 0)
        for one in words[several].split("|") if several else ("",):
            found.append(" ".join([*words[:several], one, *words[several + 1 :]] if several else words))
    return found
