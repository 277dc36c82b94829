"""Requests of ours that are not answered go over another connection, marked, and are answered once."""

from __future__ import annotations

import pytest

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.links import TRIES_MAX
from aaa.diameter.peers import Peers, peer_from
from tests.unit.diameter.kit import CLIENT, body, ccr
from tests.wire.test_diameter_negative import CER, Wire

ALICE = "441632960001"
KEY = f"d|{CLIENT}|{CLIENT};1;1"
REQUEST, AGAIN = 0xC0, 0xD0


@pytest.fixture
def wire(tmp_path):
    """A server that admits the client itself, and relays."""
    made = Wire(tmp_path)
    relay = {"origin_host": "*", "realm": "dra.example", "address": ["192.168.1.0/24"], "relay": True}
    made.server.reload(Peers([*made.server.peers.entries, peer_from(relay, {})]))
    return made


def cer(host: str, realm: str = "dra.example") -> bytes:
    pairs = [
        ("Origin-Host", host), ("Origin-Realm", realm), ("Host-IP-Address", b"\0\1\x7f\0\0\1"),
        ("Vendor-Id", 0), ("Product-Name", "relay"), ("Auth-Application-Id", 0xFFFFFFFF),
    ]  # fmt: skip
    return codec.message(0x80, n.CAPABILITIES_EXCHANGE, 0, 1, 1, [body(pairs)])


def connected(wire: Wire, *hosts: str) -> list:
    """Connections of the client (""), or of relays by their name."""
    made = []
    for host in hosts:
        connection = wire.connect()
        (cea,) = wire.send(connection, cer(host) if host else CER)
        assert codec.read_u32(cea.first(n.RESULT_CODE)) == 2001
        made.append(connection)
    return made


def begin(wire: Wire, connection) -> None:
    wire.send(connection, ccr("INITIAL_REQUEST", 0, ("Requested-Service-Unit", {"CC-Time": 60})))


def asked(wire: Wire, connection) -> codec.Message:
    """The one request that went to the client there, watchdogs aside."""
    (message,) = [one for one in wire.send(connection) if one.command != n.DEVICE_WATCHDOG]
    return message


def answer(message: codec.Message, code: int) -> bytes:
    pairs = [("Session-Id", f"{CLIENT};1;1"), ("Result-Code", code), ("Origin-Host", CLIENT)]
    return codec.message(0x40, message.command, 4, message.hop_by_hop, message.end_to_end, [body(pairs)])


def later(wire: Wire, seconds: int) -> None:
    wire.ocs.clock.at(seconds)
    wire.reactor.advance(10)


@pytest.mark.parametrize("ask", ["abort", "reauthorize"])
def test_what_a_broken_connection_left_unanswered_comes_over_another_one(wire, ask):
    first, second = connected(wire, "", "")
    begin(wire, first)
    assert getattr(wire.server, ask)(KEY)
    sent = asked(wire, first)
    first.connectionLost()
    again = asked(wire, second)
    assert (sent.flags, again.flags) == (REQUEST, AGAIN)
    assert (again.command, again.end_to_end, again.avps) == (sent.command, sent.end_to_end, sent.avps)
    wire.send(second, answer(again, 5002))
    assert wire.ocs.available(ALICE) == 10_000_000  # the client knows no such session: it holds nothing any more


def test_what_is_not_answered_in_time_comes_over_another_one_and_is_answered_once(wire):
    first, second = connected(wire, "", "")
    begin(wire, first)
    second.machine._hop_by_hop = 7_000
    wire.server.abort(KEY)
    sent = asked(wire, first)
    later(wire, 10)
    again = asked(wire, second)
    assert (again.flags, again.end_to_end) == (AGAIN, sent.end_to_end)
    assert again.hop_by_hop != sent.hop_by_hop
    name = "Abort-Session"
    wire.send(first, answer(sent, 2001))  # too late: it is asked elsewhere meanwhile
    wire.send(second, answer(again, 2001), answer(again, 2001))
    counted = {labels[3:]: count for labels, count in wire.server.counters.items() if name in labels}
    assert counted == {("out", ""): 2, ("in", "timeout"): 1, ("in", "2001"): 1}
    assert wire.ocs.available(ALICE) == 9_900_000


def test_it_is_not_tried_for_ever(wire):
    connections = connected(wire, *[""] * (TRIES_MAX + 1))
    begin(wire, connections[0])
    wire.server.abort(KEY)
    for number in range(TRIES_MAX + 2):
        later(wire, 10 * (number + 1))
        for connection in connections:
            connection.dataReceived(b"")
    sent = [one for made in connections for one in wire.send(made) if one.command == n.ABORT_SESSION]
    assert sorted(one.flags for one in sent) == [REQUEST] + [AGAIN] * (TRIES_MAX - 1)
    assert len({one.end_to_end for one in sent}) == 1


def test_without_another_connection_it_is_given_up(wire):
    (only,) = connected(wire, "")
    begin(wire, only)
    wire.server.abort(KEY)
    only.connectionLost()
    assert not wire.server.abort(KEY)
    assert wire.ocs.available(ALICE) == 9_900_000


@pytest.mark.parametrize(
    ("others", "takes"),
    [(["two.dra.example", "", "one.dra.example"], 2), (["two.dra.example", ""], 1), (["two.dra.example"], 0)],
    ids=["the same relay", "the client itself", "another relay"],
)
def test_a_request_goes_the_likeliest_other_way(wire, others, takes):
    relay, *rest = connected(wire, "one.dra.example", *others)
    begin(wire, relay)
    wire.server.abort(KEY)
    sent = asked(wire, relay)
    relay.connectionLost()
    again = asked(wire, rest[takes])
    assert (again.flags, again.end_to_end) == (AGAIN, sent.end_to_end)
    assert codec.read_u32(again.first(n.AUTH_APPLICATION_ID)) == 4
    assert not [one for made in rest for one in wire.send(made)]


def test_a_stranger_is_not_asked_about_sessions_of_others(wire):
    stranger = {"origin_host": "*", "realm": "other.example", "address": ["192.168.1.0/24"]}
    wire.server.reload(Peers([*wire.server.peers.entries, peer_from(stranger, {})]))
    (first,) = connected(wire, "")
    other = wire.connect()
    assert wire.send(other, cer("pgw.other.example", "other.example"))
    begin(wire, first)
    wire.server.abort(KEY)
    first.connectionLost()
    assert wire.send(other) == []


def test_the_next_request_takes_another_connection_of_a_relay_that_broke(wire):
    first, second = connected(wire, "one.dra.example", "one.dra.example")
    begin(wire, first)
    first.connectionLost()
    assert wire.server.abort(KEY)
    assert asked(wire, second).flags == REQUEST
