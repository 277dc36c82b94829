"""The server on real loopback sockets."""

from __future__ import annotations

import hashlib
import socket

import pytest
from twisted.internet.selectreactor import SelectReactor

from aaa.errors import ConfigError
from aaa.radius import packet as p
from aaa.radius.clients import Clients
from aaa.radius.dynauth import Outcome
from aaa.radius.server import RadiusServer, Settings
from tests.radius_kit import (
    KEYS,
    SECRET,
    FakeDirectory,
    FakeNode,
    access_request,
    accounting_request,
    digest_people,
    nas,
    read_reply,
    subscriber,
)
from tests.radius_vectors import ONE_NONCE, octets


class Loop:
    """A reactor that is turned by hand."""

    def __init__(self, *auth: str, acct: tuple[str, ...] = (), entries=(), people=()):
        self.reactor = SelectReactor()
        self.node = FakeNode()
        self.server = RadiusServer(
            self.node,
            FakeDirectory(*(people or (subscriber("bob", "hello"), subscriber("hashed", hash=BCRYPTED)))),
            Clients(entries or (nas(),)),
            KEYS,
            Settings(receive_buffer=1 << 20),
        )
        self.server.start(self.reactor, list(auth), list(acct))
        self.ports = dict(self.server.bound_ports)
        self.client = socket.socket(socket.AF_INET6 if "::" in auth[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(2)

    def ask(self, data: bytes, kind: str = "auth") -> bytes:
        self.client.sendto(data, self.ports[kind])
        self.client.setblocking(False)
        for _ in range(200):
            self.reactor.iterate(0.02)
            try:
                return self.client.recv(5000)
            except BlockingIOError:
                continue
        raise AssertionError("no answer")

    def close(self):
        self.server.stop()
        self.client.close()


BCRYPTED = "$2b$04$Un4qsQJkBqntQswQ3triWOwg.euFAYYJ34OyDyM00RuMGNjZSSAGa"


@pytest.fixture
def loop():
    made = []

    def make(*auth, **more):
        made.append(Loop(*auth, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_access_and_accounting_are_served_on_their_own_sockets(loop):
    served = loop("127.0.0.1:0", acct=("127.0.0.1:0",))
    request = access_request((1, "bob"), (44, "s1"), password="hello")
    stop = accounting_request((40, 2), (44, "s1"), (46, 5))

    assert read_reply(served.ask(request), request).number(27) == 60
    assert read_reply(served.ask(stop, "acct"), stop).code == p.ACCOUNTING_RESPONSE


def test_ipv6_clients_are_served(loop):
    served = loop("[::1]:0", entries=(nas(address="::1/128"),))
    request = access_request((1, "bob"), (44, "s1"), password="hello")

    assert read_reply(served.ask(request), request).code == p.ACCESS_ACCEPT


def test_a_slow_hash_is_checked_beside_the_reactor_and_answered(loop):
    served = loop("127.0.0.1:0")
    request = access_request((1, "hashed"), (44, "s1"), password="hello")
    wrong = access_request((1, "hashed"), (44, "s1"), password="hullo", ident=2)

    assert read_reply(served.ask(request), request).code == p.ACCESS_ACCEPT
    assert read_reply(served.ask(wrong), wrong).code == p.ACCESS_REJECT


@pytest.mark.parametrize("name", ONE_NONCE)
def test_a_digest_with_a_nonce_of_its_proxy_is_accepted(loop, name):
    served = loop(
        "127.0.0.1:0", entries=(nas(secret="secret", accept_foreign_nonce=True),), people=digest_people("zanzibar")
    )
    request = octets(name)

    assert read_reply(served.ask(request), request, b"secret").code == p.ACCESS_ACCEPT
    assert len(served.node.submitted) == 1


def test_datagrams_that_came_together_are_committed_together(loop):
    served = loop("127.0.0.1:0")
    flushes = []
    flush = served.node.flush
    served.node.flush = lambda: (flushes.append(len(served.node.waiting)), flush())
    for ident in range(100):
        served.client.sendto(
            access_request((1, "bob"), (44, f"s{ident}"), password="hello", ident=ident), served.ports["auth"]
        )
    served.reactor.iterate(0.1)

    assert [count for count in flushes if count] == [100]


def test_an_address_that_cannot_be_bound_is_named(loop):
    taken = loop("127.0.0.1:0")
    port = taken.ports["auth"][1]
    with pytest.raises(ConfigError, match=rf"127.0.0.1:{port}: Address already in use"):
        loop(f"127.0.0.1:{port}")


def test_reload_serves_other_clients_from_the_next_datagram_on(loop):
    served = loop("127.0.0.1:0")
    served.server.reload(Clients([nas(secret="changed")]))
    request = access_request((1, "bob"), (44, "s1"), password="hello", secret=b"changed")

    assert read_reply(served.ask(request), request, b"changed").code == p.ACCESS_ACCEPT


def test_a_session_is_disconnected_at_a_real_receiver(loop):
    served = loop("127.0.0.1:0")
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.setblocking(False)
    served.server.reload(Clients([nas(coa=f"127.0.0.1:{receiver.getsockname()[1]}")]))
    results = []
    served.server.disconnect("nas1|gw1|0|s:s1", (), "bob", results.append)
    request = b""
    for _ in range(100):
        served.reactor.iterate(0.02)
        try:
            request, asker = receiver.recvfrom(4096)
            head = b"\x29" + request[1:2] + b"\0\x14"
            receiver.sendto(head + hashlib.md5(head + request[4:20] + SECRET).digest(), asker)
        except BlockingIOError:
            pass
        if results:
            break
    receiver.close()

    assert request[0] == p.DISCONNECT_REQUEST
    assert [result.outcome for result in results] == [Outcome.ACK]


@pytest.mark.parametrize(("listen", "asked"), [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")])
def test_the_answer_comes_from_the_address_that_was_asked(loop, listen, asked):
    """RFC 2865 3; a connected socket takes nothing else."""
    served = loop(listen, entries=(nas(), nas(name="six", address="::1/128")))
    port = served.ports["auth"][1]
    served.client.connect((asked, port))
    request = access_request((1, "bob"), (44, "s1"), password="hello")
    served.client.send(request)
    answer = b""
    served.client.setblocking(False)
    for _ in range(100):
        served.reactor.iterate(0.02)
        try:
            answer = served.client.recv(4096)
            break
        except BlockingIOError:
            continue

    assert read_reply(answer, request).code == p.ACCESS_ACCEPT
    assert served.client.getpeername()[0] == asked


def test_a_repeat_on_a_wildcard_socket_is_known(loop):
    served = loop("0.0.0.0:0")
    served.ports = {"auth": ("127.0.0.1", served.ports["auth"][1])}
    request = access_request((1, "bob"), (44, "s1"), password="hello")

    assert served.ask(request) == served.ask(request)
    assert len(served.node.submitted) == 1


def test_an_exception_while_everything_is_committed_does_not_cost_the_socket(loop):
    served = loop("127.0.0.1:0")
    flush, told = served.node.flush, []
    served.server.service._on_error = told.append

    def broken():
        served.node.flush = flush
        raise ValueError("once")

    served.node.flush = broken
    first = access_request((1, "bob"), (44, "s1"), password="hello")
    served.client.sendto(first, served.ports["auth"])
    served.reactor.iterate(0.1)
    second = access_request((1, "bob"), (44, "s2"), password="hello", ident=2)

    assert [str(error) for error in told] == ["once"]
    assert served.server.counters["dropped", "", "internal_error"] == 1
    served.client.sendto(second, served.ports["auth"])
    served.reactor.iterate(0.1)
    served.client.settimeout(2)
    answers = {served.client.recv(5000)[1] for _ in range(2)}
    assert answers == {first[1], second[1]}


def test_answers_the_kernel_did_not_take_are_counted(loop):
    served = loop("127.0.0.1:0")
    request = access_request((1, "bob"), (44, "s1"), password="hello")
    (port,) = served.server._ports
    port.send(bytes(70_000), ("127.0.0.1", 9))  # longer than a datagram can be

    assert read_reply(served.ask(request), request).code == p.ACCESS_ACCEPT
    assert served.server.counters["dropped", "", "unsent"] == 1
