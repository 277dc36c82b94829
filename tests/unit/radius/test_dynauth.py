"""Disconnect and CoA: sent again until a sound answer comes, and only then believed (RFC 5176, 5080)."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest

from aaa.engine.answers import Denial, Grant, LineGrant
from aaa.engine.terms import ChargeKey, Reason
from aaa.radius import attributes as a
from aaa.radius import packet as p
from aaa.radius.clients import nas_from
from aaa.radius.dynauth import WAITING_MAX, DynauthClient, Outcome, Result, Target, names_of
from tests.radius_kit import NOON_US, SECRET, Bench, FakeNode, encoded, granted, nas
from tests.radius_vectors import vector, vectors

NAS = ("192.0.2.10", 3799)
TARGET = Target(NAS, p.Secret(SECRET), names_of("n|192.0.2.10|0|s:s1", (), "bob"))


class Asked:
    """A client with one request under way."""

    def __init__(self, kind: str = "disconnect"):
        self.client = DynauthClient(lambda: 0)
        self.results: list[Result] = []
        if kind == "disconnect":
            self.client.disconnect(TARGET, NOON_US, self.results.append)
        else:
            self.client.change(TARGET, b"\x1b\x06\0\0\x0e\x10", NOON_US, self.results.append)
        ((self.request, self.address),) = self.client.to_send(NOON_US)

    def answer(self, data: bytes, address=NAS, now_us: int = NOON_US) -> list[Result]:
        self.client.received(data, address, now_us)
        for done, result in self.client.events():
            done(result)
        return self.results


def reply(request: bytes, code: int, *attributes, secret: bytes = SECRET, ident: int | None = None) -> bytes:
    body = encoded(attributes)
    head = struct.pack(">BBH", code, request[1] if ident is None else ident, 20 + len(body))
    return head + hashlib.md5(head + request[4:20] + body + secret).digest() + body


def test_a_disconnect_request_identifies_and_says_nothing_else():
    """DIGEST R-RAD-83; rad-dm-request."""
    read = p.decode(Asked().request)
    wanted = vector("rad-dm-request")["expect"]

    assert read.code == p.DISCONNECT_REQUEST
    assert set(read.attributes) == {80, a.NAS_IP_ADDRESS, a.USER_NAME, a.ACCT_SESSION_ID, a.EVENT_TIMESTAMP}
    assert len(wanted["must_contain"]) == 4
    assert p.has_valid_request_authenticator(read, TARGET.secret)
    assert p.has_valid_signature(read, TARGET.secret, p.ZEROS)


@pytest.mark.parametrize(
    ("key", "aliases", "attributes"),
    [
        ("n|gw1|0|s:x", (), {32: b"gw1", 44: b"x"}),
        ("n|192.0.2.1|3|s:x", ("n|192.0.2.1|3|m:y",), {4: b"\xc0\0\2\1", 44: b"x", 50: b"y"}),
        ("n|gw1|0|a:00", ("#7", "n|gw1|0|s:x"), {32: b"gw1", 44: b"x"}),
        ("n|2001:db8::1|0|h:1 2:answer", (), {32: b"2001:db8::1"}),
        ("n|gw1|0|s:a|b:c", (), {32: b"gw1", 44: b"a|b:c"}),
    ],
)
def test_a_session_is_named_as_its_nas_named_it(key, aliases, attributes):
    body = names_of(key, aliases, "")
    data = b"\x28\0" + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body

    assert p.decode(data).attributes == attributes


@pytest.mark.parametrize(
    ("kind", "code", "attributes", "result"),
    [
        ("disconnect", p.DISCONNECT_ACK, (), Result(Outcome.ACK)),
        ("disconnect", p.DISCONNECT_ACK, ((a.ERROR_CAUSE, 404),), Result(Outcome.ACK)),
        ("disconnect", p.DISCONNECT_NAK, ((a.ERROR_CAUSE, 503),), Result(Outcome.NAK, 503)),
        ("disconnect", p.DISCONNECT_NAK, (), Result(Outcome.NAK, 0)),
        ("coa", p.COA_ACK, (), Result(Outcome.ACK)),
        ("coa", p.COA_NAK, ((a.ERROR_CAUSE, 401),), Result(Outcome.NAK, 401)),
        ("coa", p.COA_NAK, ((a.SERVICE_TYPE, 17), (a.ERROR_CAUSE, 507)), Result(Outcome.NAK, 507)),
    ],
)
def test_a_sound_answer_ends_it(kind, code, attributes, result):
    asked = Asked(kind)

    assert asked.answer(reply(asked.request, code, *attributes)) == [result]
    assert asked.client.next_timer_us() is None


@pytest.mark.parametrize(
    "make",
    [
        lambda asked: (reply(asked.request, p.DISCONNECT_ACK, secret=b"other"), NAS),
        lambda asked: (reply(asked.request, p.DISCONNECT_ACK, ident=asked.request[1] ^ 1), NAS),
        lambda asked: (reply(asked.request, p.DISCONNECT_ACK), ("192.0.2.11", 3799)),
        lambda asked: (reply(asked.request, p.DISCONNECT_ACK), ("192.0.2.10", 3800)),
        lambda asked: (reply(asked.request, p.COA_ACK), NAS),
        lambda asked: (reply(asked.request, p.ACCESS_ACCEPT), NAS),
        lambda asked: (reply(asked.request, p.DISCONNECT_ACK, (80, bytes(16))), NAS),
        lambda asked: (reply(asked.request, p.DISCONNECT_ACK, (a.EVENT_TIMESTAMP, 1_699_999_000)), NAS),
        lambda asked: (b"", NAS),
        lambda asked: (asked.request, NAS),
    ],
)
def test_anything_else_is_ignored_and_the_sending_goes_on(make):
    """neg-rad-175..185."""
    asked = Asked()
    data, address = make(asked)

    assert asked.answer(data, address) == []
    assert asked.client.ignored == 1
    assert asked.client.to_send(asked.client.next_timer_us()) == [(asked.request, NAS)]


def test_an_answer_with_a_message_authenticator_is_checked_by_it():
    asked = Asked()
    body = b"\x50\x12" + bytes(16)
    head = struct.pack(">BBH", p.DISCONNECT_ACK, asked.request[1], 38)
    body = b"\x50\x12" + hmac.new(SECRET, head + asked.request[4:20] + body, "md5").digest()
    data = head + hashlib.md5(head + asked.request[4:20] + body + SECRET).digest() + body

    assert asked.answer(data) == [Result(Outcome.ACK)]


def test_without_an_answer_the_same_bytes_go_out_at_growing_intervals_and_then_it_is_given_up():
    """RFC 5080 2.2.1: IRT 2 s, doubling to MRT 16 s, at most 5 more, at most 30 s."""
    asked = Asked()
    times = [0]
    while asked.client.next_timer_us() is not None:
        now_us = asked.client.next_timer_us()
        for data, _ in asked.client.to_send(now_us):
            assert data == asked.request
            times.append((now_us - NOON_US) // 1_000_000)
    for done, result in asked.client.events():
        done(result)

    assert times == [0, 2, 6, 14]
    assert asked.results == [Result(Outcome.TIMEOUT)]


def test_waits_differ_by_up_to_a_tenth():
    client = DynauthClient(lambda: 1)
    client.disconnect(TARGET, NOON_US, lambda result: None)
    client.to_send(NOON_US)

    assert client.next_timer_us() - NOON_US == 2_200_000


def test_requests_to_one_nas_have_their_own_identifiers_and_are_bounded():
    client = DynauthClient(lambda: 0)
    results: list[Result] = []
    for _ in range(300):
        client.disconnect(TARGET, NOON_US, results.append)
    sent = client.to_send(NOON_US)
    for done, result in client.events():
        done(result)

    assert len({data[1] for data, _ in sent}) == 256
    assert results == [Result(Outcome.OVERLOAD)] * 44
    assert len(client) <= WAITING_MAX


@pytest.mark.parametrize("name", ["rad-dm-ack", "rad-dm-nak-503", "rad-coa-ack", "rad-coa-nak-401", "rad-coa-nak-507"])
def test_published_shapes_of_answers_are_read(name):
    entry = vectors()[name]
    read = p.decode(bytes.fromhex(entry["hex"]))

    assert p.has_valid_response_authenticator(
        read, bytes.fromhex(entry["request_authenticator"]), p.Secret(entry["secret"].encode())
    )


# -- limits of sessions at their NAS ------------------------------------------------------------------


class Hotspot:
    """A client that is refilled by Interim and CoA, and a NAS whose answers are made here."""

    def __init__(self):
        entry = nas_from(
            {
                "name": "spot",
                "address": "127.0.0.1/32",
                "secret": SECRET.decode(),
                "require_message_authenticator": "no",
                "profile": "hotspot",
                "quantum": "fixed",
                "coa": "127.0.0.1:3799",
            },
            {},
        )
        self.bench = Bench(entry, node=FakeNode(lambda command, account_id: granted(600)))
        self.client = self.bench.service.limits.dynauth

    def interim(self, used: int, answer) -> list[p.Packet]:
        """Report usage; return what the NAS is sent for it."""
        self.bench.node.on_report = lambda command: answer
        self.bench.account((40, 3), (44, "s1"), (46, used), (1, "bob"), ident=used % 256)
        return [p.decode(data) for data, _ in self.client.to_send(NOON_US)]

    def answer(self, request: p.Packet, code: int, *attributes) -> None:
        self.client.received(reply(request.data, code, *attributes), ("127.0.0.1", 3799), NOON_US)
        for done, result in self.client.events():
            done(result)

    def quantum(self) -> str:
        self.bench.access((1, "bob"), (44, "new"), password="hello")
        return self.bench.node.begun()[-1].policy.quantum


def data_grant(total: int) -> Grant:
    key = ChargeKey("data", unit="seconds")
    return Grant(7, (LineGrant(key, total, total),), 0, "EUR", 2)


def test_slices_are_given_only_after_the_nas_acknowledged_a_coa():
    """S9."""
    spot = Hotspot()
    assert spot.quantum() == "whole"
    (request,) = spot.interim(60, data_grant(600))
    assert (request.code, a.number(request.attributes, a.SESSION_TIMEOUT)) == (p.COA_REQUEST, 600)
    spot.answer(request, p.COA_ACK)
    assert spot.quantum() == "fixed"
    (request,) = spot.interim(120, data_grant(1200))
    spot.answer(request, p.COA_NAK, (a.ERROR_CAUSE, 401))

    assert spot.quantum() == "whole"


def test_a_limit_that_did_not_move_is_not_sent_again():
    spot = Hotspot()
    (request,) = spot.interim(60, data_grant(600))
    spot.answer(request, p.COA_ACK)

    assert spot.interim(120, data_grant(600)) == []


@pytest.mark.parametrize("answer", [Denial(Reason.NO_CREDIT), data_grant(300)])
def test_a_session_that_used_everything_is_disconnected(answer):
    """FLOWS R5: 300 of 300 s are used."""
    (request,) = Hotspot().interim(300, answer)

    assert request.code == p.DISCONNECT_REQUEST
    assert a.text(request.attributes, a.ACCT_SESSION_ID) == "s1"


def test_a_client_without_a_coa_address_is_left_alone():
    served = Bench(nas(profile="hotspot", quantum="fixed"))
    served.node.on_report = lambda command: Denial(Reason.NO_CREDIT)

    assert served.account((40, 3), (44, "s1"), (46, 9), (1, "bob")).code == p.ACCOUNTING_RESPONSE
    assert len(served.service.limits.dynauth) == 0
