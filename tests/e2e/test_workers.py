"""
Several workers on one machine: one address, one ledger, one control socket (DESIGN 6).
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aaa.workers import steering
from tests.support import radload
from tests.support.postgres import Postgres
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import ON, START, access_request, accounting_request, attribute, session_timeout

ZERO_AGAIN = next(
    address for address in (f"127.0.0.{n}" for n in range(100, 199)) if steering.index_of(address, 2) == 0
)
USERS = 40
FIXED = f'{NAS}quantum = "fixed"\nquantum_fixed = "30s"\n'
# Two switches whose addresses the steering gives to different workers.
ZERO, ONE = (next(f"127.0.0.{n}" for n in range(2, 99) if steering.index_of(f"127.0.0.{n}", 2) == i) for i in (0, 1))
DISCONNECT_REQUEST, COA_REQUEST = 40, 43
ACCT_SESSION_ID = 44


@pytest.fixture(scope="module")
def switch() -> Iterator[socket.socket]:
    """Where Disconnect-Requests arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(3)
        yield made


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, switch: socket.socket) -> Iterator[Aaad]:
    """One parent with two workers, and accounts."""
    directory = tmp_path_factory.mktemp("workers")
    config = f'{FIXED}coa = "127.0.0.1:{switch.getsockname()[1]}"\n'
    made = Aaad(directory, config, postgres.create("workers"), ["--workers", "2"])
    made.start()
    made.apply(provisioned({f"u{n}": "100000.00" for n in range(1, USERS + 1)}))
    yield made
    made.stop()


def asked(server: Aaad, source: str, data: bytes, kind: str = "auth", timeout_s: float = 3.0) -> bytes | None:
    """Send one datagram as the switch of this address, repeated until it is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.settimeout(0.5)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            client.sendto(data, ("127.0.0.1", server.ports[kind]))
            try:
                return client.recv(5000)
            except TimeoutError:
                continue
    return None


def workers(server: Aaad) -> list[dict[str, int]]:
    found: list[dict[str, int]] = server.api("GET", "/v1/status")["workers"]
    return found


def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_every_switch_stays_with_one_worker_even_over_a_kill_9(server: Aaad, tmp_path: Path) -> None:
    """
    Two switches under load, a worker killed in the middle: every call is charged once, the sums agree, and the
    sessions of a switch were all begun by the worker its address leads to.
    """
    program = radload.build(tmp_path)
    trouble = ["--timeout-ms", "300", "--retries", "60", "--dup-pct", "5", "--users", str(USERS), "-c", "12"]
    names = {ZERO: "zero", ONE: "one"}
    runs = [
        radload.start(program, server.ports, source, "--calls", "600", "--nas-id", name, "--seed", name[0], *trouble)
        for source, name in names.items()
    ]
    time.sleep(0.4)
    os.kill(workers(server)[1]["pid"], signal.SIGKILL)
    for run in runs:
        radload.finish(run)

    charged = server.rows("SELECT count(*), count(DISTINCT ref) FROM ledger_entry WHERE cause='charge'")[0]
    assert (1200, 1200) == charged
    assert 0 == server.mismatches()
    born = server.rows("SELECT split_part(key, '|', 2), count(DISTINCT id >> 40) FROM cdr GROUP BY 1 ORDER BY 1")
    assert [("one", 2), ("zero", 1)] == born  # the killed one and its successor; the other one was not disturbed
    until(lambda: all(worker["serving"] for worker in workers(server)))


def test_a_kill_by_the_control_api_reaches_the_switch_through_its_worker(server: Aaad, switch: socket.socket) -> None:
    for number, source in enumerate((ZERO, ONE)):
        answer = asked(server, source, access_request("u1", "u1", f"kill-{number}"))
        assert answer is not None and answer[0] == 2
        (session,) = (one for one in server.sessions() if one["key"].endswith(f"kill-{number}"))
        server.api("POST", f"/v1/sessions/{session['id']}/kill", {})
        request, address = switch.recvfrom(5000)

        assert DISCONNECT_REQUEST == request[0]
        assert [f"kill-{number}".encode()] == attribute(request, ACCT_SESSION_ID)
        switch.settimeout(0.3)
        with pytest.raises(TimeoutError):  # one worker asks, not all of them; its repeat comes later
            switch.recvfrom(5000)
        switch.settimeout(3)
        del address


@pytest.mark.parametrize("payer", ["guest", "house"])
def test_a_top_up_reaches_the_running_call_of_a_client_that_is_told(
    server: Aaad, switch: socket.socket, payer: str
) -> None:
    """
    A hotspot holds all the account, or its pool, can pay; money comes through the parent, and its worker sends the
    longer limit.
    """
    guest, pool = ("guest", "") if payer == "guest" else ("tenant", 'pool = "house"\n')
    sid = f"wlan-{guest}"
    spot = "127.0.0.77"
    server.apply(
        f'[[nas]]\nname = "spot"\naddress = "{spot}/32"\nsecret = "testing123"\nprofile = "hotspot"\n'
        f'require_message_authenticator = "no"\nlimit_proxy_state = "no"\ncoa = "127.0.0.1:{switch.getsockname()[1]}"\n'
        '[[tariff]]\nname = "wlan"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = ""\nservice = "data"\n'
        'destination = "WLAN"\nprice = "0.60"\nprice_unit = "60s"\npulse = "1/1"\n'
        f'[[account]]\nid = "{payer}"\ncurrency = "EUR"\ntariff = "wlan"\nopening_balance = "1.00"\n'
    )
    server.apply(
        f'[[account]]\nid = "{guest}"\ncurrency = "EUR"\ntariff = "wlan"\n{pool}'
        f'[[account.subscription]]\ntype = "username"\nvalue = "{guest}"\npassword = "{guest}"\n'
    )
    time.sleep(1.5)
    answer = asked(server, spot, access_request(guest, guest, sid))
    assert answer is not None and 2 == answer[0] and 100 == session_timeout(answer)
    body = {"amount": "1.00", "idempotency_key": f"more-{payer}", "reason": "test"}
    server.api("POST", f"/v1/accounts/{payer}/topups", body)
    request = switch.recv(5000)
    while COA_REQUEST != request[0] or [sid.encode()] != attribute(request, ACCT_SESSION_ID):
        # a request nobody answered is sent again
        request = switch.recv(5000)

    assert 200 == session_timeout(request)


def test_what_the_control_api_changes_is_seen_by_every_worker(server: Aaad) -> None:
    for source in (ZERO, ONE):
        answer = asked(server, source, access_request("u2", "u2", f"before-{source}"))
        assert answer is not None and answer[0] == 2
        unknown = asked(server, source, access_request("late", "late", f"late-{source}"))
        assert unknown is not None and unknown[0] == 3
    server.apply('[[account]]\nid = "u2"\nstatus = "suspended"\n')
    server.apply(provisioned({"late": "1.00"}))
    time.sleep(0.3)

    for source in (ZERO, ONE):
        answer = asked(server, source, access_request("u2", "u2", f"after-{source}"))
        assert answer is not None and answer[0] == 3
    until(
        lambda: all(
            (asked(server, source, access_request("late", "late", f"found-{source}")) or b"\0")[0] == 2
            for source in (ZERO, ONE)
        )
    )


def test_a_client_that_is_added_is_served_by_every_worker(server: Aaad) -> None:
    def is_answered(source: str) -> bool:
        data = access_request("u3", "u3", f"new-{source}")
        return asked(server, source, data, timeout_s=0.4) is not None

    narrow = f'[[nas]]\nname = "narrow"\naddress = "{ZERO}/32"\nsecret = "another1secret"\n'
    assert is_answered(ZERO)
    server.apply(narrow)

    until(lambda: not is_answered(ZERO))  # the more specific entry has another secret
    assert is_answered(ONE)


def test_figures_of_the_workers_are_summed_and_survive_their_end(server: Aaad) -> None:
    def granted() -> int:
        found: int = server.api("GET", "/v1/status")["counters"].get("granted", 0)
        return found

    asked(server, ONE, access_request("u4", "u4", "figures"))
    until(lambda: granted() > 0)  # workers tell their figures once a second
    assert "test" in server.api("GET", "/v1/status")["nas_last_seen"]
    before = granted()
    killed = workers(server)[1]["pid"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: workers(server)[1]["serving"] and workers(server)[1]["pid"] != killed, seconds=30)

    assert 0 < before <= granted()


def test_reload_and_drain_reach_every_worker(server: Aaad) -> None:
    def granted(source: str, sid: str) -> int:
        answer = asked(server, source, access_request("u5", "u5", sid), timeout_s=0.6)
        return -1 if answer is None else session_timeout(answer)

    sids = (f"reload-{n}" for n in range(1000))
    server.config.write_text(server.config.read_text().replace('"30s"', '"45s"'))
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: [45, 45] == [granted(source, next(sids)) for source in (ZERO_AGAIN, ONE)])
    server.api("POST", "/v1/drain", {"draining": True})
    until(lambda: [-1, -1] == [granted(source, next(sids)) for source in (ZERO_AGAIN, ONE)])
    server.api("POST", "/v1/drain", {"draining": False})
    until(lambda: [45, 45] == [granted(source, next(sids)) for source in (ZERO_AGAIN, ONE)])
    assert 0 == server.mismatches()


def test_one_process_more_on_sqlite_is_refused(tmp_path: Path) -> None:
    made = Aaad(tmp_path / "n", NAS, None, ["--workers", "2"])
    with pytest.raises(AssertionError, match="several processes need PostgreSQL"):
        made.start()


def test_two_servers_learn_of_a_restarted_switch_from_each_other(aaad: Callable[..., Aaad], database: str) -> None:
    """
    Accounting-On comes to one node; the other ends the calls of that switch, and counts its next ones anew.
    """
    first = aaad(FIXED, database)
    second = aaad(FIXED, database)
    first.apply(provisioned({"alice": "10.00"}))
    time.sleep(1.5)  # no bus between them: the second looks every second
    for node, sid in ((second, "c0"), (first, "c1")):
        answer = asked(node, "127.0.0.1", access_request("alice", "alice", sid))
        assert answer is not None and answer[0] == 2
        asked(node, "127.0.0.1", accounting_request(START, sid), "acct")
    asked(second, "127.0.0.1", accounting_request(ON, "restart"), "acct")

    until(lambda: [] == first.sessions())
    # Until it has learned of the restart it takes this for the call that is over, and refuses it.
    until(lambda: 2 == (asked(first, "127.0.0.1", access_request("alice", "alice", "c1")) or b"\0")[0])
    assert ["1"] == [session["key"].split("|")[2] for session in first.sessions()]
    assert 0 == first.mismatches()
