"""What a person at a terminal sees: lists that are shown again and again, and the live screen."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import PROGRAM, Shop

WAIT_S = 15.0
CONTROL = re.compile(r"\x1b\[([\d;?]*[A-Za-z])")
CLEARED, OTHER_SCREEN, FIRST_SCREEN = "2J", "?1049h", "?1049l"


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
        command = [sys.executable, "-c", PROGRAM, *arguments]
        self._process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)
        self.controls: list[str] = []
        self._seen = ""

    def until(self, pattern: str) -> str:
        """What was shown from the last look up to this, without what moves the cursor and makes colours."""
        end = time.monotonic() + WAIT_S
        while (found := re.search(pattern, self._seen, re.DOTALL)) is None:
            assert time.monotonic() < end, f"{pattern!r} is not in {self._seen[-500:]!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                new = os.read(self._ours, 1 << 16).decode()
                self.controls += CONTROL.findall(new)
                self._seen += CONTROL.sub("", new)
        shown, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return shown

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(WAIT_S)

    def rest(self) -> None:
        """What is left to read once the command has ended."""
        while select.select([self._ours], [], [], 0.2)[0]:
            try:
                self.controls += CONTROL.findall(os.read(self._ours, 1 << 16).decode())
            except OSError:  # the other end is closed
                return

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)


@pytest.fixture
def screen(shop: Shop) -> Iterator[Any]:
    """Runs a command against the shop."""
    made: list[Screen] = []

    def show(*arguments: str) -> Screen:
        made.append(Screen("--socket", shop.world.context.config.api.socket, *arguments))
        return made[-1]

    yield show
    for each in made:
        each.close()


def test_session_top_follows_the_calls_and_gives_the_screen_back(shop: Shop, screen: Any):
    """A call appears and goes without a key; Ctrl-C is exit code 130 on the screen that was there before."""
    top = screen("session", "top", "--interval", "0.5")
    top.until(r"0 sessions")
    shop.world.begin("call-1", 60)
    appeared = top.until(r"1 sessions.*alice.*4420.*0\.6000 EUR")
    shop.world.end("call-1", 30)
    top.until(r"0 sessions")
    code = top.interrupt()
    top.rest()

    assert "burn 0.6000 EUR/min, reserved 0.6000 EUR" in appeared
    assert 130 == code
    assert [OTHER_SCREEN, FIRST_SCREEN] == [each for each in top.controls if each in (OTHER_SCREEN, FIRST_SCREEN)]


def test_lists_are_shown_again(shop: Shop, screen: Any):
    """`--watch` on a list: a clean screen each time, the new row on it."""
    listed = screen("account", "list", "--watch", "0.3")
    listed.until(r"bob")
    text = '[[account]]\nid = "carol"\ncurrency = "EUR"\ntariff = "retail"\n'
    shop.aaactl("apply", shop.file("c.toml", text))
    listed.until(r"carol")

    assert listed.controls.count(CLEARED) > 1
    assert 130 == listed.interrupt()


def test_a_list_that_is_watched_by_a_program_stays_plain(shop: Shop):
    """Nothing but lines, so that they can be read one by one."""
    command = [sys.executable, "-c", PROGRAM, "--socket", shop.world.context.config.api.socket]
    watched = subprocess.Popen(
        [*command, "account", "list", "--watch", "0.2", "-o", "jsonl"], stdout=subprocess.PIPE, text=True
    )
    assert watched.stdout is not None
    lines = [watched.stdout.readline() for _ in range(4)]  # two accounts, twice
    watched.send_signal(signal.SIGINT)

    assert lines[:2] == lines[2:]
    assert lines[0].startswith("{")
    assert 130 == watched.wait(WAIT_S)
