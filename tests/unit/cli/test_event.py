"""`aaactl event tail` shows what the outbox tells, as it happens."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys

import pytest

from .conftest import PROGRAM, Shop

WITH_CONSUMERS = '[[outbox]]\nname = "billing"\nfile = "/nowhere/a"\n[[outbox]]\nname = "crm"\nfile = "/nowhere/b"\n'


@pytest.mark.parametrize("more", [WITH_CONSUMERS])
def test_the_last_events_are_shown_by_kind(shop: Shop):
    """Of the consumer that is named, else of the first; one event a line, also in JSON."""
    for key in ("c1", "c2"):
        shop.world.begin(key)
        shop.world.end(key, 30)
    settled = shop.aaactl("event", "tail", "--no-follow", "--kind", "session.settled", "-o", "jsonl")
    last = shop.aaactl("event", "tail", "--no-follow", "--last", "1", "--consumer", "crm")

    assert [30, 30] == [json.loads(line)["body"]["used"] for line in settled.out.splitlines()]
    assert ["session.settled", "alice"] == last.out.split("\t")[1:3]
    assert 1 == len(last.out.splitlines())


@pytest.mark.parametrize("more", [WITH_CONSUMERS])
def test_new_events_appear_until_it_is_interrupted(shop: Shop):
    """What was before is not shown with --last 0; each event comes once."""
    shop.world.begin("c1")
    shop.world.end("c1", 30)
    command = ["--socket", shop.world.context.config.api.socket, "event", "tail", "--last", "0", "--interval", "0.1"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command, "-o", "jsonl"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        for _ in range(40):  # it takes a moment to start
            shop.aaactl("balance", "topup", "alice", "1.00")
            while select.select([process.stdout], [], [], 0.3)[0]:
                lines.append(process.stdout.readline())
            if len(lines) >= 2:
                break
        process.send_signal(signal.SIGINT)
        lines += process.communicate(timeout=10)[0].splitlines()
    finally:
        process.kill()
    events = [json.loads(line) for line in lines]

    assert 130 == process.returncode
    assert {"account.changed"} == {event["kind"] for event in events}
    assert len(events) >= 2
    assert len(events) == len({event["number"] for event in events})


def test_without_a_consumer_the_hint_names_the_table(shop: Shop):
    """Exit code 4, and what is missing in the configuration."""
    refused = shop.aaactl("event", "tail")

    assert 4 == refused.code
    assert "[[outbox]]" in refused.err


@pytest.mark.parametrize("more", [WITH_CONSUMERS])
def test_a_consumer_that_is_none_is_not_found(shop: Shop):
    assert 4 == shop.aaactl("event", "tail", "--consumer", "nobody").code
