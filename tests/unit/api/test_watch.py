"""An operator can ask why a call was refused, and look at one subscriber's packets for a while."""

from __future__ import annotations

from tests.support.control import World


def test_a_refusal_is_told_with_its_reason(world: World):
    """Who was refused, by which client, for what, and why."""
    world.apply()
    world.begin(account="bob")
    (told,) = world.get("refusals", name="bob")["items"]

    assert ("no_credit", "sbc", "bob", "4420", "020") == tuple(
        told[key] for key in ("reason", "origin", "subscriber", "destination", "received")
    )
    assert [] == world.get("refusals", name="alice")["items"]


def test_a_trace_ends_by_itself(world: World):
    """It is listed while it runs, audited, and over when its time is."""
    started = world.api.post("/v1/traces", json={"subscriber": "alice", "duration": "5m"})
    listed = world.get("traces")["items"]
    world.now_us += 301_000_000

    assert 200 == started.status_code
    assert ["alice"] == [trace["subscriber"] for trace in listed]
    assert [] == world.get("traces")["items"]
    assert "trace.start" == world.get("audit")["items"][0]["action"]


def test_a_trace_can_be_stopped_and_there_are_not_too_many(world: World):
    """Sixteen at once; the seventeenth is a conflict until one is stopped."""
    answers = [world.api.post("/v1/traces", json={"subscriber": f"s{n}"}).status_code for n in range(17)]
    stopped = world.api.delete("/v1/traces/s0")

    assert [200] * 16 + [409] == answers
    assert 15 == len(stopped.json()["items"])
    assert 200 == world.api.post("/v1/traces", json={"subscriber": "s16"}).status_code
