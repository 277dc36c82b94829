"""Processes share what only their memory knows: any of them can be asked."""

from __future__ import annotations

import pytest

from aaa.bus.hub import Hub, Message
from aaa.node.refusals import Refusal, Refusals
from aaa.ops.questions import TOLD_PER_SECOND, answers
from aaa.ops.traced import Traced
from tests.support.control import NOW_US, World, make_config


class Wire:
    """A link that delivers at once."""

    def __init__(self, there: Hub) -> None:
        self._there = there

    def send(self, message: Message) -> bool:
        self._there.received(message, None)
        return True


@pytest.fixture
def pair(tmp_path, keys):
    """A process that serves and one that is asked: rings, traces and questions of each."""
    world = World(make_config(tmp_path), keys)
    made = []
    hubs = [Hub(world.errors.append), Hub(world.errors.append)]
    for hub in hubs:
        face, traces = Refusals(), Traced()
        made.append((face, traces, answers(world.node, face, traces, hub)))
    hubs[0].join(Wire(hubs[1]))
    yield made, hubs
    world.close()
    assert [] == world.errors


def refusal(number: int = 0) -> Refusal:
    return Refusal(NOW_US + number, "radius", "sbc", "alice", "", "", "", "password")


def test_a_refusal_of_one_process_is_told_by_another(pair):
    """Whichever process the switch speaks to."""
    (serving, asked), _ = pair
    serving[0].note(refusal())

    assert ["password"] == [each["reason"] for each in asked[2]["refusals"](name="alice")]


def test_a_flood_of_refusals_does_not_flood_the_bus(pair):
    """So many a second are told; the process itself knows them all."""
    (serving, asked), _ = pair
    for number in range(TOLD_PER_SECOND + 30):
        serving[0].note(refusal(number))

    assert TOLD_PER_SECOND == len(asked[2]["refusals"](name="alice"))
    assert TOLD_PER_SECOND + 30 == len(serving[2]["refusals"](name="alice"))


def test_a_trace_is_started_and_stopped_everywhere(pair):
    """The process that is asked may not be the one that serves the subscriber."""
    (here, there), _ = pair
    here[2]["trace"](subscriber="alice", until_us=NOW_US + 1_000_000)
    running = bool(there[1].until)
    here[2]["trace"](subscriber="alice", until_us=0)

    assert (True, False) == (running, bool(there[1].until))
