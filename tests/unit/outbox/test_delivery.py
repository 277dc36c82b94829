"""Every event arrives at least once, in order, signed; what is not taken waits and is tried again."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aaa.engine.commands import Adjust
from aaa.keys import Keys
from aaa.outbox.courier import BATCH_MOST, LEASE_US, REFUSALS_MAX, Courier
from aaa.outbox.sinks import Delivered, Event, FileSink, WebhookSink, webhook_key
from aaa.store.happenings import KINDS
from aaa.store.outbox import Consumer
from aaa.store.read import open_reader
from tests.support.control import World, make_config

CONSUMER = Consumer("crm", frozenset(KINDS))


class Scripted:
    """A sink that answers as it is told to, and takes everything when nothing is left of that."""

    def __init__(self, *answers: Delivered) -> None:
        self.answers = list(answers)
        self.taken: list[int] = []

    def deliver(self, events: Sequence[Event]) -> Delivered:
        answer = self.answers.pop(0) if self.answers else Delivered(len(events))
        self.taken += [event.number for event in events[: answer.taken]]
        return answer

    def close(self) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path, keys: Keys) -> Iterator[World]:
    made = World(make_config(tmp_path), keys)
    made.store.consumers = (CONSUMER,)
    made.node.desk.keeps_before = True
    made.apply()
    yield made
    made.close()


def courier(world: World, sink: object, owner: str = "n1") -> tuple[Courier, list[str]]:
    problems: list[str] = []
    made = Courier(
        world.context.control,
        open_reader(world.context.config.store.url),
        {"crm": sink},
        owner=owner,
        clock=lambda: world.now_us,
        retention_us=3_600_000_000,
        on_problem=problems.append,
    )
    return made, problems


def topped_up(world: World, times: int) -> None:
    for number in range(times):
        world.do(Adjust(1_000_000, "topup", f"k{number}"))


def pending(world: World) -> int:
    with world.context.read() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM outbox WHERE state=0").scalar_one()


def test_what_a_sink_does_not_take_comes_again_after_a_pause_in_order(world: World) -> None:
    topped_up(world, 2)
    sink = Scripted(Delivered(1, "away"), Delivered(0, "still away"))
    made, problems = courier(world, sink)
    for seconds in (0, 0.5, 0.6, 1, 1.1):
        world.now_us += round(seconds * 1_000_000)
        made.turn()

    assert [1, 2, 3] == sink.taken
    assert 0 == pending(world)
    waits = [text.partition(": ")[2] for text in problems]
    assert ["away; next try in 1 s", "still away; next try in 2 s"] == waits


def test_an_event_that_is_refused_for_good_is_given_up_and_the_next_one_goes_out(world: World) -> None:
    topped_up(world, 2)
    before = pending(world)
    sink = Scripted(*[Delivered(0, "HTTP 400", True)] * REFUSALS_MAX)
    made, _ = courier(world, sink)
    for _ in range(REFUSALS_MAX + 1):
        made.turn()
        world.now_us += 120_000_000

    assert before - 1 == len(sink.taken)
    assert 0 == pending(world)
    assert 1 == made.counters["given_up", "crm"]


def test_one_node_delivers_until_its_lease_is_over(world: World) -> None:
    first_sink, second_sink = Scripted(), Scripted()
    first, second = courier(world, first_sink, "n1")[0], courier(world, second_sink, "n2")[0]
    first.turn()
    topped_up(world, 1)
    second.turn()
    while_held = list(second_sink.taken)
    world.now_us += LEASE_US + 1
    second.turn()

    assert first_sink.taken and [] == while_held
    assert 1 == len(second_sink.taken)


def test_events_beyond_retention_are_forgotten_and_counted(world: World) -> None:
    made, _ = courier(world, Scripted(Delivered(0, "away"), Delivered(0, "away")))
    count = pending(world)
    made.turn()
    world.now_us += 3_700_000_000
    made.turn()

    assert 0 == pending(world)
    assert count == made.counters["expired", "crm"]


def test_more_than_one_batch_is_taken_in_several_turns(world: World) -> None:
    def many(connection):
        for number in range(BATCH_MOST + 1):
            connection.exec_driver_sql(
                "INSERT INTO outbox (consumer, kind, at, body) VALUES ('crm', 'account.changed', ?, '{}')",
                (world.now_us + number,),
            )

    world.context.provision(many)
    made, _ = courier(world, Scripted())

    assert made.turn()
    assert not made.turn()
    assert 0 == pending(world)


EVENTS = [Event(n, "account.changed", 7, json.dumps({"id": f"e{n}", "account": "alice"})) for n in range(3)]


def test_a_file_gets_whole_lines_and_may_be_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = FileSink(str(path))
    assert Delivered(2) == sink.deliver(EVENTS[:2])
    path.rename(tmp_path / "old")
    assert Delivered(1) == sink.deliver(EVENTS[2:])
    missing = FileSink(str(tmp_path / "no" / "such")).deliver(EVENTS)

    assert ["e0", "e1"] == [json.loads(line)["id"] for line in (tmp_path / "old").read_text().splitlines()]
    assert {"kind": "account.changed", "at_us": 7, "id": "e2", "account": "alice"} == json.loads(path.read_text())
    assert (0, False) == (missing.taken, missing.is_refused) and missing.problem


class Hook(http.server.BaseHTTPRequestHandler):
    """Remembers what was posted, and answers from a list."""

    protocol_version = "HTTP/1.1"
    posted: list[tuple[dict[str, str], bytes]]
    answers: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).posted.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(type(self).answers.pop(0))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[type[Hook], str]]:
    handler = type("OneHook", (Hook,), {"posted": [], "answers": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


def test_a_webhook_is_signed_with_a_key_that_only_its_receiver_has(hook: tuple[type[Hook], str], keys: Keys) -> None:
    handler, url = hook
    handler.answers += [204, 200, 201]
    key = webhook_key(keys, "crm")
    sink = WebhookSink(url, key, lambda: 1_790_000_000)
    assert Delivered(3) == sink.deliver(EVENTS)
    sink.close()

    for (headers, body), event in zip(handler.posted, EVENTS, strict=True):
        signature = hmac.new(key.encode(), b"1790000000." + body, hashlib.sha256).hexdigest()
        assert (f"v1={signature}", "1790000000") == (headers["x-aaa-signature"], headers["x-aaa-timestamp"])
        assert json.loads(event.body)["id"] == json.loads(body)["id"]
    assert key != webhook_key(keys, "other")


@pytest.mark.parametrize(("code", "is_refused"), [(500, False), (503, False), (429, False), (400, True), (302, False)])
def test_a_webhook_that_says_no_keeps_the_rest_for_later(
    hook: tuple[type[Hook], str], keys: Keys, code: int, is_refused: bool
) -> None:
    handler, url = hook
    handler.answers += [204, code]
    sink = WebhookSink(url, webhook_key(keys, "crm"), lambda: 1)

    assert Delivered(1, f"HTTP {code}", is_refused) == sink.deliver(EVENTS)
    assert 2 == len(handler.posted)
    sink.close()
    away = WebhookSink("http://127.0.0.1:9/none", "k", lambda: 1).deliver(EVENTS)
    assert (0, False) == (away.taken, away.is_refused)
