"""
Every request twice, and every request again after a crash: the same answer, nothing charged twice (L4).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import INTERIM, START, STOP, access_request, accounting_request, session_timeout

FIXED = NAS + 'quantum = "fixed"\nquantum_fixed = "20s"\n'


def scenario() -> list[tuple[str, bytes]]:
    """A call that ends, one that is renewed and runs, one that only began; in the order in which they are sent."""
    return [
        ("auth", access_request("alice", "alice", "ended")),
        ("acct", accounting_request(START, "ended")),
        ("acct", accounting_request(INTERIM, "ended", 10)),
        ("acct", accounting_request(STOP, "ended", 18)),
        ("auth", access_request("alice", "alice", "running")),
        ("acct", accounting_request(START, "running")),
        ("auth", access_request("alice", "alice", "running", Acct_Session_Time=10)),
        ("acct", accounting_request(INTERIM, "running", 15)),
        ("auth", access_request("alice", "alice", "running", Acct_Session_Time=25)),
        ("auth", access_request("bob", "bob", "begun")),
        ("acct", accounting_request(START, "unknown")),
    ]


def test_every_request_again_gets_the_same_answer_and_moves_nothing(aaad: Callable[..., Aaad]) -> None:
    server = aaad(FIXED)
    server.apply(provisioned({"alice": "10.00", "bob": "1.00"}))
    sent = scenario()
    first = []
    for kind, data in sent:
        answer = server.ask(data, kind)
        assert answer is not None
        assert answer == server.ask(data, kind)
        first.append(answer)
    balances = [server.balance(name) for name in ("alice", "bob")]
    entries = server.rows("SELECT * FROM ledger_entry ORDER BY account_id, entry_no")

    assert [20, 20, 20, 20, 20] == [session_timeout(answer) for answer in first if answer[0] == 2]

    server.kill()
    server.start()
    again = [server.ask(data, kind) for kind, data in sent]

    assert first == again
    assert balances == [server.balance(name) for name in ("alice", "bob")]
    assert entries == server.rows("SELECT * FROM ledger_entry ORDER BY account_id, entry_no")
    assert 0 == server.mismatches()


def test_a_failover_request_with_a_new_identifier_is_the_same_request(aaad: Callable[..., Aaad]) -> None:
    """
    After a time-out the client asks the next server: same content, new Id, authenticator and port.
    """
    server = aaad(FIXED)
    server.apply(provisioned({"alice": "10.00"}))
    first = server.ask(access_request("alice", "alice", "c1"))
    second = server.ask(access_request("alice", "alice", "c1"))
    stops = [server.ask(accounting_request(STOP, "c1", 20, Acct_Session_Time=20), "acct") for _ in range(2)]

    assert first is not None and second is not None and None not in stops
    assert session_timeout(first) == session_timeout(second) == 20
    assert 1 == len(server.rows("SELECT 1 FROM ledger_entry WHERE cause='charge'"))
    assert "9.800000" == server.balance("alice")[0]
