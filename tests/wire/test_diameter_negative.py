"""Every malformed or hostile message of the negative cases, through a real connection, service and node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock as Reactor
from twisted.internet.testing import StringTransport

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.dictionary import BY_NAME
from aaa.diameter.peers import Peers, peer_from
from aaa.diameter.server import DiameterServer, Settings, _ConnectionFactory
from aaa.keys import Keys
from aaa.node.directory import StoreDirectory
from tests.unit.diameter.kit import CLIENT, FLOW_TARIFF, Ocs, bar

DATA = Path(__file__).parents[1] / "data"
CASES = {case["id"]: case for case in json.loads((DATA / "diameter-negative.json").read_text())["cases"]}
BASE = {one["id"]: one for one in json.loads((DATA / "diameter-base.json").read_text())["vectors"]}
CER, DWR = (bytes.fromhex(BASE[name]["hex"]) for name in ("dia-cer", "dia-dwr"))
BALANCES = {"441632960001": "10.00", "441632960002": "0.00", "441632960003": "1.00"}
# What these must do shows in the state, or takes a second connection: tests of their own, below.
BY_STATE = {
    "neg-dia-013", "neg-dia-037", "neg-dia-127", "neg-dia-129", "neg-dia-131", "neg-dia-133", "neg-dia-137",
    "neg-dia-153", "neg-dia-159", "neg-dia-165", "neg-dia-167",
}  # fmt: skip


class Wire:
    """A server, and connections of a client to it."""

    def __init__(self, tmp_path, **peer):
        self.ocs = Ocs(tmp_path, BALANCES, FLOW_TARIFF)
        bar(self.ocs, "441632960003", "suspended")
        self.reactor = Reactor()
        node = self.ocs.server.node
        table = {
            "origin_host": CLIENT, "realm": "test.example", "address": ["192.168.1.0/24"], "quantum": "fixed",
            "allow": ["session", "event", "refund", "money"], **peer,
        }  # fmt: skip
        self.errors: list[Exception] = []
        self.server = DiameterServer(
            node,
            StoreDirectory(self.ocs.server.store, self.ocs.clock, node.flush),
            Peers([peer_from(table, {})]),
            Keys([bytes(32)]),
            Settings("ocs.prepaid.example", "prepaid.example"),
            self.errors.append,
        )
        self.server.reactor = self.reactor

    def connect(self, address: str = "192.168.1.1"):
        made = _ConnectionFactory(self.server).buildProtocol(IPv4Address("TCP", address, 4000))
        made.makeConnection(StringTransport(hostAddress=IPv4Address("TCP", "127.0.0.1", 3868)))
        return made

    def send(self, connection, *messages: bytes) -> list[codec.Message]:
        for data in messages:
            connection.dataReceived(data)
        self.reactor.advance(0)
        data, found = connection.transport.value(), []
        connection.transport.clear()
        while data:
            length = int.from_bytes(data[1:4], "big")
            found.append(codec.decode(data[:length]))
            data = data[length:]
        assert not self.errors, self.errors
        return found

    def opened(self):
        connection = self.connect()
        (cea,) = self.send(connection, CER)
        assert result(cea) == 2001
        return connection


def result(message: codec.Message) -> int:
    return codec.read_u32(message.first(n.RESULT_CODE))


def hexes(case: dict) -> list[bytes]:
    return [bytes.fromhex(one["hex"]) for one in case["send"] for _ in range(one.get("repeat", 1))]


def fits(wanted: dict, answers: list[codec.Message], is_closed: bool) -> bool:
    if wanted["action"] in ("close", "ignore"):
        return not answers and (is_closed or wanted["action"] == "ignore")
    if len(answers) != 1 or result(answers[0]) != wanted.get("result_code"):
        return False
    if "E" in wanted and bool(answers[0].flags & codec.ERROR) != bool(wanted["E"]):
        return False
    ends = wanted.get("connection", "open")
    if ends.startswith("closed") and not is_closed:
        return False
    if ends == "open" and is_closed:
        return False
    named = wanted.get("failed_avp", "").split(" ")[0]
    if named in BY_NAME:
        found = answers[0].first(n.FAILED_AVP)
        return found is not None and BY_NAME[named].key in _keys(found)
    return True


def _keys(outer: codec.Avp) -> set[int]:
    """The keys in a Failed-AVP, also those inside the groups that were reported."""
    found = set()
    for one in codec.group(outer):
        found.add(one.key)
        if one.key in (n.REQUESTED_SERVICE_UNIT, n.SUBSCRIPTION_ID, n.CC_MONEY):
            found |= _keys(one)
    return found


@pytest.mark.parametrize("name", [name for name in CASES if name not in BY_STATE])
def test_a_case_is_answered_as_it_must_and_the_server_still_serves(tmp_path, name):
    case = CASES[name]
    wire = Wire(tmp_path)
    connection = wire.opened() if case["setup"] else wire.connect()
    sent = hexes(case)
    answers = wire.send(connection, *sent)
    is_closed = connection.transport.disconnecting
    expect = case["expect"]
    allowed = expect.get("any_of", [expect])
    assert any(fits(one, answers, is_closed) for one in allowed), (
        case["title"],
        allowed,
        [(result(one), one.flags, one.first(n.FAILED_AVP)) for one in answers],
        is_closed,
    )
    for one in answers:
        request = codec.decode(sent[0])
        assert (one.hop_by_hop, one.end_to_end) == (request.hop_by_hop, request.end_to_end)
        assert not one.flags & (codec.REQUEST | codec.RETRANSMITTED)
        assert not one.every(n.DESTINATION_REALM)
        assert one.text(n.ORIGIN_HOST) == "ocs.prepaid.example"
    control = wire.opened() if is_closed or not case["setup"] else connection
    assert result(wire.send(control, DWR)[0]) == 2001


def test_two_messages_in_one_segment_get_two_answers(tmp_path):
    wire = Wire(tmp_path)
    answers = wire.send(wire.opened(), b"".join(hexes(CASES["neg-dia-013"])))
    assert [result(one) for one in answers] == [2001, 2001]


def test_a_second_connection_of_a_peer_in_capitals_is_the_same_peer(tmp_path):
    wire = Wire(tmp_path)
    first, second = wire.opened(), wire.connect()
    assert result(wire.send(second, *hexes(CASES["neg-dia-037"]))[0]) == 2001
    assert first.origin_host == second.origin_host
    assert result(wire.send(first, DWR)[0]) == 2001


@pytest.mark.parametrize("name", ["neg-dia-129", "neg-dia-131"])
def test_a_copy_gets_the_same_answer_and_moves_nothing(tmp_path, name):
    wire = Wire(tmp_path)
    connection = wire.opened()
    answers = []
    for data in hexes(CASES[name]):
        answers += wire.send(connection, data)
        left = wire.ocs.available("441632960001")
    assert [one.avps for one in answers] == [answers[0].avps] * 2
    assert left < 10_000_000


def test_a_copy_over_another_connection_after_the_first_was_lost_is_answered_alike(tmp_path):
    wire = Wire(tmp_path)
    first = wire.opened()
    (data,) = hexes(CASES["neg-dia-167"])
    first.dataReceived(data)
    first.connectionLost()
    wire.reactor.advance(0)
    left = wire.ocs.available("441632960001")
    again = data[:4] + bytes([data[4] | 0x10]) + data[5:12] + b"\0\0\0\1" + data[16:]
    (answer,) = wire.send(wire.opened(), again)
    assert (result(answer), wire.ocs.available("441632960001")) == (2001, left)
    assert left == 9_900_000


def test_a_second_end_charges_nothing_more(tmp_path):
    wire = Wire(tmp_path)
    connection = wire.opened()
    codes, left = [], []
    for data in hexes(CASES["neg-dia-127"]):
        codes += [result(one) for one in wire.send(connection, data)]
        left.append(wire.ocs.available("441632960001"))
    assert codes == [2001, 2001, 2001]
    assert left[1] == left[2]


def test_numbers_out_of_order_are_each_answered(tmp_path):
    wire = Wire(tmp_path)
    answers = wire.send(wire.opened(), *hexes(CASES["neg-dia-133"]))
    assert [result(one) for one in answers] == [2001, 2001, 2001]


def test_an_absurd_counter_overflows_nothing(tmp_path):
    wire = Wire(tmp_path)
    answers = wire.send(wire.opened(), *hexes(CASES["neg-dia-137"]))
    assert result(answers[-1]) == 5004


def test_the_first_of_several_identities_pays(tmp_path):
    wire = Wire(tmp_path)
    assert [result(one) for one in wire.send(wire.opened(), *hexes(CASES["neg-dia-153"]))] == [2001]
    assert wire.ocs.available("441632960001") == 9_900_000


def test_another_host_cannot_speak_for_a_session(tmp_path):
    wire = Wire(tmp_path)
    answers = wire.send(wire.opened(), *hexes(CASES["neg-dia-159"]))
    assert [result(one) for one in answers] == [2001, 5002]


def test_a_peer_that_restarts_is_welcome(tmp_path):
    wire = Wire(tmp_path)
    first, second = hexes(CASES["neg-dia-165"])
    connection = wire.opened()
    wire.send(connection, first)
    connection.connectionLost()
    assert result(wire.send(wire.connect(), second)[0]) == 2001
