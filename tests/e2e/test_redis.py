"""
Two servers that share a Redis: what it carries, and that nothing is wrong without it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import redis
from tests.support.calls import Load, check
from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import access_request, attribute, session_timeout

pytestmark = pytest.mark.skipif(redis.SERVER is None, reason="redis-server is not installed")

USERS = 20
ACCT_SESSION_ID = 44
DISCONNECT_REQUEST = 40


@pytest.fixture
def broker() -> Iterator[redis.RedisServer]:
    made = redis.RedisServer()
    yield made
    made.stop()


@pytest.fixture
def switch() -> Iterator[socket.socket]:
    """Where Disconnect-Requests arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(3)
        yield made


def until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def status(server: Aaad, key: str) -> object:
    return server.api("GET", "/v1/status")[key]


def killed(server: Aaad, sid: str, switch: socket.socket) -> list[bytes]:
    """Order the end of a session; the session the next Disconnect-Request is about."""
    (session,) = (one for one in server.sessions() if one["key"].endswith(f":{sid}"))
    server.api("POST", f"/v1/sessions/{session['id']}/kill", {})
    while True:
        request = switch.recv(5000)
        if DISCONNECT_REQUEST == request[0] and [sid.encode()] == attribute(request, ACCT_SESSION_ID):
            return attribute(request, ACCT_SESSION_ID)


def redeemed(server: Aaad, pin: str) -> int:
    """The status of an attempt to top an account up."""
    return server.request("POST", "/v1/accounts/u4/vouchers", {"pin": pin})[0]


def test_what_redis_carries_and_that_it_is_not_missed(
    aaad: Callable[..., Aaad], database: str, broker: redis.RedisServer, switch: socket.socket
) -> None:
    """
    A session is ended by the server that began it, wrong passwords and PINs count on both; then Redis is killed under
    load: every answer stays right, an order still reaches the switch, and when Redis is back it is used again.
    """
    charging = 'quantum = "fixed"\nquantum_fixed = "30s"\n'
    config = f'{NAS}{charging}coa = "127.0.0.1:{switch.getsockname()[1]}"\n[redis]\nurl = "{broker.url}"\n'
    first, second = aaad(config, database), aaad(config, database)
    first.apply(provisioned({f"u{n}": "100000.00" for n in range(USERS)}))
    until(lambda: bool(status(first, "redis_up") and status(second, "redis_up")))
    time.sleep(0.2)

    answer = first.ask(access_request("u1", "u1", "c1"))
    assert answer is not None and 30 == session_timeout(answer)
    assert [b"c1"] == killed(second, "c1", switch)
    assert {"ended.radius": 1} == status(first, "switches")
    assert {} == status(second, "switches")

    for number in range(5):
        first.ask(access_request("u2", "wrong", f"guess-{number}"))
    time.sleep(0.2)
    answer = second.ask(access_request("u2", "u2", "guess"))
    assert answer is not None and 3 == answer[0]

    for number in range(5):
        assert 404 == redeemed(first, f"00000000000{number}")
    time.sleep(0.2)
    assert 403 == redeemed(second, "000000000009")

    load = Load(first, 8)
    try:
        load.run(0.5)
        broker.kill()
        load.run(1.0)
        assert status(first, "redis_up") is False
        answer = first.ask(access_request("u3", "u3", "c3"))
        assert answer is not None and 30 == session_timeout(answer)
        assert [b"c3"] == killed(second, "c3", switch)
        broker.start()
        until(lambda: bool(status(first, "redis_up") and status(second, "redis_up")), 15)
        load.run(0.5)
    finally:
        load.close()
    check(first, [*load.over, *load.active.values()])
    assert len(load.over) > 20
    assert 0 == first.mismatches()
