"""What a running server writes about requests: one line each, decoded packets where asked for, never a secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.process import NAS, Aaad, provisioned

ACCESS = 'User-Name = "alice"\nUser-Password = "alice"\nCalled-Station-Id = "4420"\nAcct-Session-Id = "s1"'
STOP = 'Acct-Status-Type = Stop\nUser-Name = "alice"\nAcct-Session-Id = "s1"\nAcct-Session-Time = 30'


@pytest.fixture
def aaad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aaad]:
    monkeypatch.setenv("AAA__LOG__REQUESTS", "true")
    server = Aaad(tmp_path / "aaad", NAS + '[log]\nformat = "json"\n')
    server.start()
    server.apply(provisioned({"alice": "10.00"}))
    server.log("balance.moved")
    yield server
    server.stop()


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_every_request_is_one_line(aaad: Aaad):
    """Who asked, what became of it, how long it took."""
    aaad.radclient("auth", ACCESS)
    (granted,) = events(aaad.log("session.granted"))
    aaad.radclient("acct", STOP)
    (ended,) = events(aaad.log("session.ended"))

    assert ("session.granted", "alice", "test", "4420") == tuple(
        granted[key] for key in ("event", "account", "nas", "destination")
    )
    assert (f"{granted['granted_s'] / 100:.4f}", "EUR") == (granted["reserved"], granted["currency"])
    assert ("session.ended", 30, 300_000, granted["session_id"]) == tuple(
        ended[key] for key in ("event", "used_s", "cost_micro", "session_id")
    )


def test_a_row_that_cannot_be_read_is_told_and_costs_its_session_alone(aaad: Aaad):
    """The session of one call is damaged on disk; the calls of everybody else go on."""
    aaad.radclient("auth", ACCESS)
    aaad.radclient("auth", ACCESS.replace("s1", "s2"))
    aaad.stop()
    with closing(sqlite3.connect(aaad.database)) as connection:
        connection.execute("UPDATE session SET body='{' WHERE key LIKE '%s1'")
        connection.commit()
    aaad.start()
    ((damaged,),) = aaad.rows("SELECT id FROM session WHERE body='{'")
    status, _ = aaad.request("POST", f"/v1/sessions/{damaged}/settle")
    (told,) = [event for event in events(aaad.log("row_unreadable")) if event["event"] == "store.row_unreadable"]
    aaad.radclient("acct", STOP.replace("s1", "s2"))

    assert status >= 500
    assert ("error", f"session #{damaged} cannot be read") == (told["level"], str(told["problem"]).partition(":")[0])
    assert "session.ended" in aaad.log("session.ended")


def test_a_trace_shows_packets_without_secrets(aaad: Aaad):
    """Request and answer of the traced subscriber, of nobody else."""
    aaad.api("POST", "/v1/traces", {"subscriber": "alice", "duration": "1m"})
    aaad.radclient("auth", ACCESS)
    seen = aaad.log("trace.answer")
    traced = {event["event"]: event for event in events(seen) if str(event["event"]).startswith("trace.")}

    assert {"User-Name = alice", "User-Password = ***", "Called-Station-Id = 4420"} <= set(
        traced["trace.request"]["attributes"]
    )
    assert ("granted", 2) == (traced["trace.answer"]["result"], traced["trace.answer"]["code"])
    assert any(line.startswith("Session-Timeout = ") for line in traced["trace.answer"]["attributes"])
    assert "testing123" not in seen


def test_dropped_packets_are_warned_of_once_a_second(aaad: Aaad):
    """A flood of garbage is one line."""
    for _ in range(50):
        aaad.ask(b"\x01\x01\x00\x14" + bytes(15), timeout_s=0.001)
    (warned,) = events(aaad.log("radius.dropped"))

    assert ("warning", "length", "test") == (warned["level"], warned["reason"], warned["nas"])


def test_a_refused_call_can_be_explained_afterwards(aaad: Aaad):
    """A wrong password never reaches the engine and is remembered all the same."""
    aaad.radclient("auth", ACCESS.replace('Password = "alice"', 'Password = "wrong"'))
    (told,) = aaad.api("GET", "/v1/refusals?name=%2B4420")["items"]

    assert ("password", "alice", "test") == tuple(told[key] for key in ("reason", "subscriber", "origin"))
