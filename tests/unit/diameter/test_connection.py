"""Octets of a connection: straight to the socket while it takes them, kept up to a bound while it does not."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import directlyProvides

from aaa.diameter import codec
from aaa.diameter.connection import SENT_LATER_MAX
from aaa.diameter.peers import Peers, peer_from
from aaa.diameter.server import DiameterServer, Settings, _ConnectionFactory
from aaa.keys import Keys
from bench.diameter import AtOnce, avp, ccr

CER = codec.message(0x80, 257, 0, 1, 1, [
    avp("Origin-Host", "load0.example.net"), avp("Origin-Realm", "example.net"), avp("Vendor-Id", 0),
    avp("Host-IP-Address", b"\0\1\x7f\0\0\1"), avp("Product-Name", "test"), avp("Auth-Application-Id", 4),
])  # fmt: skip


class Socket:
    """A socket that takes so many octets."""

    def __init__(self) -> None:
        self.taken = b""
        self.room = 1 << 30
        self.is_gone = False

    def send(self, data: bytes) -> int:
        if self.is_gone:
            raise BrokenPipeError
        if not self.room:
            raise BlockingIOError
        size = min(self.room, len(data))
        self.taken += data[:size]
        self.room -= size
        return size


class Transport(StringTransport):
    """A TCP transport whose own buffer is emptied when the test says so."""

    def __init__(self) -> None:
        super().__init__(hostAddress=IPv4Address("TCP", "127.0.0.1", 3868))
        self.socket = Socket()
        directlyProvides(self, ITCPTransport)

    def getHandle(self) -> Socket:
        return self.socket

    def registerProducer(self, producer, streaming) -> None:
        super().registerProducer(producer, streaming)
        producer.resumeProducing()  # as for every pull producer

    def drain(self) -> bytes:
        data = self.value()
        self.clear()
        if self.producer is not None:
            self.producer.resumeProducing()
        return data


def opened():
    node, reactor = AtOnce(), Clock()
    table = {"origin_host": "*", "realm": "example.net", "address": ["127.0.0.0/8"]}
    server = DiameterServer(
        node, node, Peers([peer_from(table, {})]), Keys([bytes(32)]), Settings("ocs.example.org", "example.org")
    )
    server.reactor = reactor
    connection = _ConnectionFactory(server).buildProtocol(IPv4Address("TCP", "127.0.0.1", 4000))
    connection.makeConnection(Transport())
    connection.dataReceived(CER)
    connection.transport.socket.taken = b""
    return connection, reactor


def numbers(data: bytes) -> list[int]:
    """The Hop-by-Hop Identifiers of the messages in a stream."""
    found = []
    while data:
        found.append(codec.decode(data[: int.from_bytes(data[1:4], "big")]).hop_by_hop)
        data = data[int.from_bytes(data[1:4], "big") :]
    return found


def ask(connection, reactor, sessions) -> None:
    connection.dataReceived(b"".join(ccr(session, 1, 0) for session in sessions))
    reactor.advance(0)


def test_answers_go_to_the_socket_in_one_piece():
    connection, reactor = opened()
    sent = []
    connection.transport.socket.send = lambda data: sent.append(data) or len(data)
    ask(connection, reactor, range(5))
    assert [[0, 8, 16, 24, 32]] == [numbers(data) for data in sent]
    assert not connection.transport.value()


def test_what_a_full_socket_does_not_take_comes_later_in_its_order():
    connection, reactor = opened()
    transport = connection.transport
    transport.socket.room = 300  # in the middle of an answer
    ask(connection, reactor, range(3))
    ask(connection, reactor, range(3, 6))
    assert len(transport.socket.taken) == 300
    waited = transport.drain()
    transport.socket.room = 1 << 30
    ask(connection, reactor, range(6, 8))
    later = transport.drain()
    assert [session * 8 for session in range(8)] == numbers(transport.socket.taken[:300] + waited + later) + numbers(
        transport.socket.taken[300:]
    )


def test_a_socket_that_never_empties_is_cut_off():
    connection, reactor = opened()
    connection.transport.socket.room = 10
    for first in range(0, 40_000, 50):
        ask(connection, reactor, range(first, first + 50))
        if connection.transport.disconnecting or connection.transport.disconnected:
            break
    assert len(connection._unsent) <= SENT_LATER_MAX + 50 * 1_000
    assert first < 39_000


def test_a_socket_that_is_gone_is_left_to_the_transport():
    connection, reactor = opened()
    connection.transport.socket.is_gone = True
    ask(connection, reactor, range(2))
    assert numbers(connection.transport.value()) == [0, 8]


def test_what_a_connection_brought_before_it_went_is_decided():
    connection, _ = opened()
    service = connection._server.service
    connection.dataReceived(ccr(1, 1, 0) + ccr(2, 1, 0))
    assert not service.node.waiting  # it is read with what others bring in this turn
    connection.connectionLost()
    asked = [taken for taken, _ in service.node.waiting]
    assert len(asked) == 2
    assert not service.links.abort(asked[0].key)  # and nobody is asked about it who is gone
