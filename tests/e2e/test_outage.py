"""
A database that is gone for a while: calls go on within the cap, over a crash of the server, and are charged once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import START, access_request, accounting_request, session_timeout

STOP = 2
ACCEPT = 2


def answered(server: Aaad, packet: bytes, kind: str = "auth") -> bytes:
    """The answer to one packet, which is repeated as switches do."""
    for _ in range(5):
        reply = server.ask(packet, kind, 3.0)
        if reply is not None:
            return reply
    raise AssertionError("no answer")


def until(is_so: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "arguments", [(), pytest.param(("--workers", "2"), marks=pytest.mark.campaign)], ids=["alone", "workers"]
)
def test_calls_of_an_outage_are_granted_within_the_cap_and_charged_once(
    aaad: Callable[..., Aaad], database: str, postgres: Postgres, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """One call ends in the outage, the server dies in it, and one call ends after it."""
    state = tmp_path / "state"
    charging = '[charging]\noutage_exposure = "5.00"\noutage_call = "30s"\n'
    config = charging + NAS + 'on_store_down = "allow_capped"\nquantum = "adaptive"\n'
    server = aaad(config, database, arguments)
    server.config.write_text(
        server.config.read_text().replace("[server]\n", f'[server]\nstate_directory = "{state}"\n')
    )
    server.stop()
    server.start()
    server.apply(provisioned({"alice": "10.00", "stranger": "10.00"}))
    # A worker hears within a second of what its parent provisioned.
    until(lambda: session_timeout(answered(server, access_request("alice", "alice", "c0"))) > 0)
    answered(server, accounting_request(STOP, "c0", 10), "acct")
    postgres.signal(signal.SIGSTOP)
    try:
        granted = [session_timeout(answered(server, access_request("alice", "alice", sid))) for sid in ("c1", "c2")]
        server.ask(accounting_request(START, "c1"), "acct", 5.0)
        stopped = server.ask(accounting_request(STOP, "c1", 20), "acct", 5.0)
        unknown = server.ask(access_request("stranger", "stranger", "c3"), "auth", 5.0)
        journal = next(state.glob("*.journal")).read_text()
        server.kill()
    finally:
        postgres.signal(signal.SIGCONT)
    server.start()
    until(lambda: not next(state.glob("*.journal")).read_text())
    answered(server, accounting_request(STOP, "c2", 25), "acct")

    assert [30, 30] == granted
    assert stopped is not None
    assert unknown is None or unknown[0] != ACCEPT, "who is not cached gets nothing"
    assert 4 == len(journal.splitlines())
    assert ("9.450000", "0.000000", "9.450000") == server.balance("alice")
    assert 0 == server.mismatches()
