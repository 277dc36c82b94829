"""
Limits of an account, set from the command line and met by a foreign client, over a crash of the server.
"""

from __future__ import annotations

from collections.abc import Callable

from aaa.cli.main import run
from tests.e2e.test_radclient_call import access, acct
from tests.support.process import NAS, Aaad, provisioned


def test_what_was_spent_in_a_day_is_known_after_a_crash(aaad: Callable[..., Aaad]) -> None:
    """0.60 a day is one minute: 40 s are charged before the server is killed, 20 s are left after it."""
    server = aaad(NAS + 'quantum = "whole"\n')
    server.apply(provisioned({"alice": "50.00"}))
    assert 0 == run(["--socket", server.socket, "account", "update", "alice", "--spend-per-day", "0.60"])
    (first,) = server.radclient("auth", access("alice", "c1"))
    server.radclient("acct", acct("Start", "c1"), acct("Stop", "c1", 40))
    server.kill()
    server.start()
    second, third = server.radclient("auth", access("alice", "c2"), access("alice", "c3"))

    assert ("60", "20") == (first["Session-Timeout"], second["Session-Timeout"])
    assert ("Access-Reject", "Limit reached") == (third["code"], third["Reply-Message"])
    assert ("49.600000", "0.200000", "49.400000") == server.balance("alice")
    assert 0 == server.mismatches()
