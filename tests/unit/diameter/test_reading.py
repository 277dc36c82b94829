"""
Plain connections are read together, and each is given back to its transport when it is over.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.epollreactor import EPollReactor

from aaa.diameter.reading import READ_MOST, Sockets


class Transport:
    """What a connection's transport is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stopReading(self) -> None:
        self.told.append("stop")

    def startReading(self) -> None:
        self.told.append("start")

    def abortConnection(self) -> None:
        self.told.append("abort")


class Connection:
    """A connection and the other end of its socket."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.socket, self.peer = socket.socketpair()
        self.socket.setblocking(False)
        self.data: list[bytes] = []
        self.problem: Exception | None = None

    def dataReceived(self, data: bytes) -> None:
        if self.problem is not None:
            raise self.problem
        self.data.append(data)


class World:
    """Sockets on a reactor that is turned by hand."""

    def __init__(self) -> None:
        self.reactor = EPollReactor()
        self.turns = 0
        self.errors: list[Exception] = []
        self.rounds = 0
        self.late: list[tuple[Connection, bytes]] = []  # what comes while something is taken
        self.sockets = Sockets(self.reactor, self._take, self._done, self.errors.append)
        self.connections: list[Connection] = []

    def _take(self) -> None:
        self.rounds += 1
        if self.late:
            connection, data = self.late.pop(0)
            connection.peer.send(data)

    def _done(self) -> None:
        self.turns += 1

    def connect(self) -> Connection:
        made = Connection()
        self.sockets.add(made, made.socket)
        self.connections.append(made)
        return made

    def turn(self) -> None:
        self.reactor.iterate(0)

    def is_read(self) -> bool:
        return self.sockets in self.reactor.getReaders()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for connection in made.connections:
        connection.socket.close()
        connection.peer.close()


def test_what_came_on_all_connections_is_taken_in_one_turn(world: World) -> None:
    one, other, silent = (world.connect() for _ in range(3))
    one.peer.send(b"a")
    other.peer.send(b"b")
    world.turn()
    assert ([b"a"], [b"b"], [], 1) == (one.data, other.data, silent.data, world.turns)
    assert ["stop"] == one.transport.told


def test_what_comes_while_the_first_is_taken_belongs_to_the_same_turn(world: World) -> None:
    one, other = world.connect(), world.connect()
    world.late = [(other, b"b"), (one, b"c")]
    one.peer.send(b"a")
    world.turn()
    assert ([b"a", b"c"], [b"b"]) == (one.data, other.data)
    assert (3, 1) == (world.rounds, world.turns)


def test_who_never_stops_sending_does_not_keep_the_turn(world: World) -> None:
    one = world.connect()
    world.late = [(one, b"%d" % number) for number in range(2 * READ_MOST)]
    one.peer.send(b"a")
    world.turn()
    assert (READ_MOST, 1) == (len(one.data), world.turns)


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_connection_that_ends_is_left_to_its_transport(world: World, how: str) -> None:
    one, other = world.connect(), world.connect()
    if how == "reset":
        one.socket.shutdown(socket.SHUT_RD)
    else:
        one.peer.close()
    world.turn()
    other.peer.send(b"b")
    world.turn()
    world.turn()
    assert ["stop", "start"] == one.transport.told
    assert ([], [b"b"]) == (one.data, other.data)
    assert world.turns == 2


def test_what_one_connection_raises_ends_no_other(world: World) -> None:
    one, other = world.connect(), world.connect()
    one.problem = RuntimeError("a bug")
    one.peer.send(b"a")
    other.peer.send(b"b")
    world.turn()
    assert ["stop", "abort"] == one.transport.told
    assert [one.problem] == world.errors
    assert ([b"b"], 1) == (other.data, world.turns)


def test_a_connection_that_is_gone_is_not_read_again(world: World) -> None:
    one, other = world.connect(), world.connect()
    number = one.socket.fileno()
    one.socket.close()
    world.sockets.remove(one)
    world.sockets.remove(one)
    late = world.connect()
    assert late.socket.fileno() == number
    late.peer.send(b"c")
    world.turn()
    assert ([], [], [b"c"]) == (one.data, other.data, late.data)


def test_nothing_is_watched_while_nobody_is_connected(world: World) -> None:
    assert not world.is_read()
    one = world.connect()
    assert world.is_read()
    world.sockets.remove(one)
    assert not world.is_read()
