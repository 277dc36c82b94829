"""The command line against a control API on a real unix socket."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aaa.api.server import ApiServer, unix_socket
from aaa.cli.main import run
from aaa.keys import Keys
from tests.support.control import FILE, World, make_config

PROGRAM = "import sys; sys.argv[0] = 'aaactl'; from aaa.cli import main; main()"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Shop:
    """A served world and the command line in front of it."""

    def __init__(self, world: World, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.directory = directory
        self._capsys = capsys

    def aaactl(self, *arguments: str) -> Ran:
        """Run one command in this process."""
        self._capsys.readouterr()
        code = run(["--socket", self.world.context.config.api.socket, *arguments])
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    def file(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text)
        return str(path)


@pytest.fixture
def more() -> str:
    """What the configuration has beside the usual."""
    return ""


@pytest.fixture
def shop(tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str], more: str) -> Iterator[Shop]:
    world = World(make_config(tmp_path, more), keys)
    path = world.context.config.api.socket
    server = ApiServer(world.context, unix_socket(path, None))
    server.start()
    shop = Shop(world, tmp_path, capsys)
    assert 0 == shop.aaactl("apply", shop.file("demo.toml", FILE)).code
    yield shop
    server.stop()
    world.close()


def separately(*arguments: str, **environ: str) -> Ran:
    """Run `aaactl` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    return Ran(done.returncode, done.stdout, done.stderr)
