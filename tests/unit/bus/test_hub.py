"""Messages reach everyone but who sent them, and never more than a link takes."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.selectreactor import SelectReactor

from aaa.bus.hub import Hub
from aaa.bus.pipe import QUEUE_MAX, PipeLink


class Recorded:
    """A link that keeps what it is given, up to a number of messages."""

    def __init__(self, room: int = 10) -> None:
        self.sent: list[dict] = []
        self.room = room

    def send(self, message: dict) -> bool:
        if len(self.sent) >= self.room:
            return False
        self.sent.append(message)
        return True


def made(*links: Recorded) -> tuple[Hub, list[Exception]]:
    errors: list[Exception] = []
    hub = Hub(errors.append)
    for link in links:
        hub.join(link)
    return hub, errors


def test_what_one_says_reaches_all_others_and_not_itself():
    first, second, third = Recorded(), Recorded(), Recorded()
    hub, _ = made(first, second, third)
    heard = []
    hub.handle("look", heard.append)
    hub.received({"kind": "look"}, second)

    assert [[{"kind": "look"}], [], [{"kind": "look"}]] == [first.sent, second.sent, third.sent]
    assert [{"kind": "look"}] == heard


def test_a_message_for_one_goes_to_the_first_that_takes_it():
    full, first, second = Recorded(0), Recorded(), Recorded()
    hub, _ = made(full, first, second)

    assert 1 == hub.publish("end", most=1, id="x")
    assert [[{"kind": "end", "id": "x"}], []] == [first.sent, second.sent]
    assert {("lost", "end"): 1} == hub.counters


def test_a_handler_that_raises_is_told_and_ends_nothing():
    hub, errors = made()
    hub.handle("bad", lambda message: message["missing"])
    hub.received({"kind": "bad"}, None)
    hub.received({"kind": "unknown"}, None)

    assert [KeyError] == [type(error) for error in errors]


class Pipes:
    """Both ends of a pipe under a reactor that is turned by hand."""

    def __init__(self) -> None:
        self.reactor = SelectReactor()
        ours, theirs = socket.socketpair()
        self.heard: list[dict] = []
        self.closed: list[str] = []
        self.near = PipeLink(self.reactor, ours, self._heard, lambda: self.closed.append("near"))
        self.far = PipeLink(self.reactor, theirs, self._heard, lambda: self.closed.append("far"))

    def _heard(self, message: dict, _link: PipeLink) -> None:
        self.heard.append(message)

    def turn(self, times: int = 20) -> None:
        for _ in range(times):
            self.reactor.iterate(0.01)


@pytest.fixture
def pipes():
    made = Pipes()
    yield made
    made.near.close()
    made.far.close()


def test_messages_larger_than_a_socket_takes_at_once_arrive_whole_and_in_order(pipes: Pipes):
    messages = [{"kind": "figures", "text": "x" * 300_000, "number": number} for number in range(5)]
    for message in messages:
        assert pipes.near.send(message)
    pipes.turn(60)

    assert messages == pipes.heard


def test_an_end_that_reads_nothing_costs_a_bounded_queue(pipes: Pipes):
    message = {"kind": "look", "text": "x" * 100_000}
    taken = 0
    while pipes.near.send(message):
        taken += 1

    assert QUEUE_MAX // 100_100 <= taken <= QUEUE_MAX // 100_000 + 20


def test_the_end_of_the_other_side_is_told_once(pipes: Pipes):
    pipes.far.close()
    pipes.turn()

    assert ["near"] == pipes.closed
    assert not pipes.near.send({"kind": "look"})
