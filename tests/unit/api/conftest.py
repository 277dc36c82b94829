"""The control API that every test of this package asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa.config import Config
from aaa.keys import Keys
from tests.support.control import World, make_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path)


@pytest.fixture
def world(config: Config, keys: Keys) -> Iterator[World]:
    world = World(config, keys)
    yield world
    world.close()
    assert [] == world.errors
