"""
Events of a real server: a consumer that is away, a server that is killed, and nothing is missed.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import START, STOP, access_request, accounting_request

FIXED = f'{NAS}quantum = "fixed"\nquantum_fixed = "30s"\n'
CALLS = 12


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes events when it is told to, else says that it is away."""

    protocol_version = "HTTP/1.1"
    is_there = False
    taken: list[dict]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if type(self).is_there:
            type(self).taken.append(json.loads(body))
        self.send_response(204 if type(self).is_there else 503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[type[Receiver], str]]:
    handler = type("OneReceiver", (Receiver,), {"taken": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def called(server: Aaad, numbers: range) -> None:
    for number in numbers:
        for kind, data in (
            ("auth", access_request("alice", "alice", f"c{number}")),
            ("acct", accounting_request(START, f"c{number}")),
            ("acct", accounting_request(STOP, f"c{number}", 10)),
        ):
            assert server.ask(data, kind) is not None


@pytest.mark.parametrize("is_family", [False, True])
def test_nothing_is_missed_while_a_consumer_is_away_and_the_server_is_killed(
    aaad: Callable[..., Aaad], database: str, receiver: tuple[type[Receiver], str], tmp_path: Path, is_family: bool
) -> None:
    handler, url = receiver
    lines = tmp_path / "events.jsonl"
    config = f'{FIXED}[[outbox]]\nname = "hook"\nwebhook = "{url}"\n[[outbox]]\nname = "lines"\nfile = "{lines}"\n'
    server = aaad(config, database, ["--workers", "2"]) if is_family else aaad(config)
    server.apply(provisioned({"alice": "10.00"}))
    time.sleep(1.5)
    called(server, range(CALLS // 2))
    server.kill()
    server.start()
    handler.is_there = True
    called(server, range(CALLS // 2, CALLS))
    wanted = {f"settled:{number}:1" for (number,) in server.rows("SELECT id FROM cdr")}

    assert CALLS == len(wanted)
    until(lambda: wanted <= {event["id"] for event in handler.taken})
    until(lambda: wanted <= {json.loads(line)["id"] for line in lines.read_text().splitlines()})
    until(lambda: all(each["pending"] == 0 for each in server.api("GET", "/v1/outbox")["items"]))
    kinds = [event["kind"] for event in handler.taken]
    assert {"account.changed", "session.started", "session.settled"} == set(kinds)
    assert CALLS <= kinds.count("session.settled") <= CALLS + 2  # once each, but for the kill
    assert 0 == server.mismatches()
