"""One connection: capabilities, watchdog, leave-taking, framing; octets in, octets out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ask import Ask
from aaa.diameter.capabilities import Identity
from aaa.diameter.peer import Answered, Closed, Opened, PeerMachine, Requested, State
from aaa.diameter.peers import Peers, peer_from

DATA = Path(__file__).parents[2] / "data"
BASE = {one["id"]: one for one in json.loads((DATA / "diameter-base.json").read_text())["vectors"]}
US = Identity("ocs.prepaid.example", "prepaid.example")
S = 1_000_000
PEERS = Peers(
    [peer_from({"origin_host": "client.test.example", "realm": "test.example", "address": ["10.0.0.0/8"]}, {})]
)


def machine(peers: Peers = PEERS, **more) -> PeerMachine:
    return PeerMachine(US, lambda host, realm: peers.find(host, realm, "10.1.1.1", None), "192.0.2.9", 0, **more)


def opened() -> PeerMachine:
    made = machine()
    made.received(bytes.fromhex(BASE["dia-cer"]["hex"]), 0)
    made.to_send()
    made.events()
    return made


def answers(made: PeerMachine) -> list[codec.Message]:
    data, found = made.to_send(), []
    while data:
        length = int.from_bytes(data[1:4], "big")
        found.append(codec.decode(data[:length]))
        data = data[length:]
    return found


def result(message: codec.Message) -> int:
    return codec.read_u32(message.first(n.RESULT_CODE))


def watchdog(number: int = 7) -> bytes:
    body = [codec.text(n.ORIGIN_HOST, "client.test.example"), codec.text(n.ORIGIN_REALM, "test.example")]
    return codec.message(0x80, n.DEVICE_WATCHDOG, 0, number, number, body)


def test_a_known_peer_is_answered_with_both_forms_of_the_application():
    made = machine()
    made.received(bytes.fromhex(BASE["dia-cer"]["hex"]), 0)
    (cea,) = answers(made)
    assert result(cea) == 2001
    assert (cea.hop_by_hop, cea.end_to_end, cea.flags) == (0x1001, 0xE0001001, 0)
    assert codec.read_u32(cea.first(n.AUTH_APPLICATION_ID)) == 4
    inner = codec.group(cea.first(n.VENDOR_SPECIFIC_APPLICATION_ID))
    assert [codec.read_u32(one) for one in inner] == [10415, 4]
    assert cea.first(n.HOST_IP_ADDRESS).payload == b"\0\1\xc0\0\2\x09"
    assert isinstance(made.events()[0], Opened)


def test_octets_may_come_one_by_one():
    made = machine()
    for octet in bytes.fromhex(BASE["dia-cer"]["hex"]) + watchdog():
        made.received(bytes([octet]), 0)
    assert [result(one) for one in answers(made)] == [2001, 2001]


def test_a_stranger_is_refused_and_closed():
    made = machine(Peers([]))
    made.received(bytes.fromhex(BASE["dia-cer"]["hex"]), 0)
    (cea,) = answers(made)
    assert (result(cea), cea.flags & codec.ERROR) == (3010, codec.ERROR)
    assert made.events() == [Closed("refused with 3010")]


def test_a_known_name_from_a_foreign_address_is_a_stranger():
    assert PEERS.find("client.test.example", "test.example", "192.0.2.1", None) is None
    assert PEERS.find("CLIENT.test.example", "TEST.example", "10.9.9.9", None) is not None


def test_with_tls_the_certificate_must_bear_the_name():
    peers = Peers([peer_from({"origin_host": "a.example", "realm": "example", "tls": True}, {})])
    assert peers.find("a.example", "example", "192.0.2.1", frozenset({"a.example"})) is not None
    assert peers.find("a.example", "example", "192.0.2.1", frozenset({"b.example"})) is None
    assert peers.find("a.example", "example", "192.0.2.1", None) is None


@pytest.mark.parametrize(
    "start",
    [b"\x16\x03\x01\x00", b"\x01\x00\x00\x00", b"\x01\x00\x00\x10", b"\x01\xff\xff\xfc", b"\x01\x00\x00\x1d"],
    ids=["tls", "length 0", "below a header", "16 MiB", "no multiple of 4"],
)
def test_framing_that_cannot_be_read_closes(start):
    made = opened()
    made.received(start + bytes(40), 0)
    assert made.events() == [Closed("framing")]
    assert made.to_send() == b""


def test_anything_before_the_cer_closes():
    made = machine()
    made.received(watchdog(), 0)
    assert (made.to_send(), made.events()) == (b"", [Closed("not a CER")])


def test_silence_brings_a_watchdog_then_the_end():
    made = opened()
    made.on_timer(30 * S)
    assert [one.command for one in answers(made)] == [n.DEVICE_WATCHDOG]
    made.on_timer(60 * S)
    assert made.to_send() == b""
    assert made.state is State.OPEN
    made.on_timer(90 * S)
    assert made.events() == [Closed("watchdog")]


def test_any_traffic_calms_the_watchdog():
    made = opened()
    made.on_timer(30 * S)
    made.received(watchdog(), 31 * S)
    made.on_timer(60 * S)
    assert made.next_timer() == 61 * S
    assert made.state is State.OPEN


def test_a_connection_without_cer_is_closed_in_time():
    made = machine()
    made.on_timer(made.next_timer())
    assert made.events() == [Closed("no CER")]


def test_a_dpr_is_answered_and_ends_the_connection():
    made = opened()
    made.received(bytes.fromhex(BASE["dia-dpr"]["hex"]), 0)
    (dpa,) = answers(made)
    assert (dpa.command, result(dpa)) == (n.DISCONNECT_PEER, 2001)
    assert made.events() == [Closed("disconnected by the peer")]


def test_our_leave_waits_for_the_dpa_even_without_result_code():
    made = opened()
    made.disconnect(0, 0)
    (dpr,) = answers(made)
    made.received(codec.message(0, n.DISCONNECT_PEER, 0, dpr.hop_by_hop, dpr.end_to_end, []), S)
    assert made.events() == [Closed("disconnected")]


def test_a_request_of_ours_is_matched_or_times_out():
    made = opened()
    abort, reauthorize = Ask(n.ABORT_SESSION, b"", "a", 77), Ask(n.RE_AUTH, b"", "b", 78)
    assert made.request(abort, 0)
    assert made.request(reauthorize, 0)
    first, second = answers(made)
    made.received(codec.message(0x40, n.ABORT_SESSION, 4, first.hop_by_hop, first.end_to_end, []), S)
    made.received(codec.message(0x40, n.RE_AUTH, 4, 999, 999, []), S)
    (event,) = made.events()
    assert (event.ask, event.message.hop_by_hop) == (abort, first.hop_by_hop)
    made.on_timer(10 * S)
    assert made.events() == [Answered(reauthorize, None)]
    assert (second.flags, second.end_to_end) == (0xC0, 78)


def test_a_request_of_ours_that_comes_another_way_is_marked_and_keeps_its_name():
    made = opened()
    assert made.request(Ask(n.RE_AUTH, b"", "a", 77, ("a connection that broke",)), 0)
    (again,) = answers(made)
    assert (again.flags, again.end_to_end) == (0xD0, 77)


def test_nothing_is_asked_of_a_peer_one_takes_leave_of():
    made = opened()
    made.disconnect(0, 0)
    assert not made.request(Ask(n.RE_AUTH, b"", "a", 77), 0)


def test_other_requests_are_events():
    made = opened()
    one, other = (codec.message(0xC0, n.CREDIT_CONTROL, 4, number, 2, []) for number in (1, 2))
    made.received(one + other, 0)
    assert made.events() == [Requested([one, other])]
    made.received(one, 0)
    assert made.events() == [Requested([one])]
