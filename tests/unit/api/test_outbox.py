"""The events of a consumer can be looked at, whether it has taken them or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aaa.keys import Keys
from tests.support.control import World, make_config


@pytest.fixture
def told(tmp_path: Path, keys: Keys) -> Iterator[World]:
    """A world whose events two consumers want."""
    tables = "".join(f'[[outbox]]\nname = "{name}"\nfile = "{tmp_path}/{name}"\n' for name in ("one", "two"))
    world = World(make_config(tmp_path, tables), keys)
    yield world
    world.close()
    assert [] == world.errors


def test_events_are_listed_in_their_order_and_from_a_number_on(told: World):
    told.apply()
    told.begin("c1")
    told.end("c1", 30)
    listed = told.get("outbox/one/events")["items"]
    numbers = [int(event["number"]) for event in listed]
    last = told.get("outbox/one/events", limit=1)["items"]
    later = told.get("outbox/one/events", after=numbers[0], limit=1)

    assert "session.settled" == listed[-1]["kind"]
    assert ("alice", 30, "pending") == (listed[-1]["body"]["account"], listed[-1]["body"]["used"], listed[-1]["state"])
    assert sorted(numbers) == numbers
    assert listed[-1:] == last
    assert (listed[1:2], listed[1]["number"]) == (later["items"], later["next"])
    assert not set(numbers) & {int(event["number"]) for event in told.get("outbox/two/events")["items"]}


def test_a_consumer_that_is_none_is_not_found(told: World):
    assert 404 == told.api.get("/v1/outbox/three/events").status_code
