"""
The laws hold over thousands of sessions of both protocols with crashes, repeats, losses, races and store failures.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa.node.node import ChargingNode
from tests.sim.errors import LawBroken
from tests.sim.simulator import Simulator


@pytest.fixture
def fast_directory() -> Iterator[Path]:
    """A directory in memory where there is one: the simulated crashes do not need the disk."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    directory = Path(tempfile.mkdtemp(dir=base))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_law_is_broken_by_one_node(fast_directory: Path, seed: int) -> None:
    stats = Simulator(fast_directory, seed, sessions=2000).run()

    assert stats["settled"] > 600
    assert stats["crashes"] > 3
    assert stats["store_down"] > 3
    assert stats["topup_repeats"] > 3


@pytest.mark.parametrize("seed", [4, 5])
def test_no_law_is_broken_by_nodes_that_race(fast_directory: Path, seed: int) -> None:
    stats = Simulator(fast_directory, seed, sessions=2000, nodes=3).run()

    assert stats["settled"] > 600
    assert stats["crashes"] > 3
    assert stats["conflicts"] > 300


@pytest.mark.parametrize(("seed", "nodes"), [(6, 1), (7, 3)])
def test_no_law_is_broken_while_the_store_goes_and_comes(fast_directory: Path, seed: int, nodes: int) -> None:
    stats = Simulator(fast_directory, seed, sessions=1200, nodes=nodes, outages=True).run()

    assert stats["capped"] > 10
    assert stats["settled"] > 300


def test_a_run_is_the_same_for_the_same_seed(fast_directory: Path) -> None:
    places = [fast_directory / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    first, second = (Simulator(place, 9, sessions=200, nodes=2).run() for place in places)

    assert first == second


def test_a_planted_bug_is_found(fast_directory: Path) -> None:
    """Answers that do not wait for their commit break L5 or L6 before long."""

    def answer_early(node: ChargingNode) -> None:
        commit = node.store.commit

        def early(batch, now, done) -> None:  # type: ignore[no-untyped-def]
            for stage in batch.values():
                node.answer(stage.requests)
                stage.requests = []
            commit(batch, now, done)

        node.store.commit = early  # type: ignore[method-assign]

    with pytest.raises(LawBroken):
        Simulator(fast_directory, 1, sessions=2000, mutate=answer_early).run()
