"""
The laws hold over thousands of sessions with crashes, repeats, losses and store failures.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.simulator import Simulator


@pytest.fixture
def fast_directory() -> Iterator[Path]:
    """A directory in memory where there is one: the simulated crashes do not need the disk."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    directory = Path(tempfile.mkdtemp(dir=base))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_no_law_is_broken(fast_directory: Path, seed: int) -> None:
    stats = Simulator(fast_directory, seed, sessions=2000).run()

    assert stats["stops"] > 300
    assert stats["crashes"] > 3
    assert stats["store_down"] > 3
    assert stats["topup_repeats"] > 3
