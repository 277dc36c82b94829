"""Malformed and hostile packets: silence or refusal, and the server lives on (tests/data/radius-negative.json)."""

from __future__ import annotations

import hashlib
import os

import pytest

from aaa.engine.answers import Ack, Denial, Outcome
from aaa.engine.terms import Reason
from aaa.radius import checks
from aaa.radius import packet as p
from tests.radius_kit import (
    HOME,
    SECRET,
    Bench,
    FakeDirectory,
    FakeNode,
    access_request,
    granted,
    nas,
    read_reply,
    subscriber,
)
from tests.radius_vectors import negatives

STRANGER = ("192.0.2.99", 1812)
UDP = [case for case in negatives() if case["target"] in ("auth", "acct")]
# What has no single answer in the file: the codes that each datagram in turn may get, None for silence.
IN_TURN = {
    "neg-rad-009": [{None, 2}],
    "neg-rad-127": [{2}, {3, 11}],
    "neg-rad-137": [{2}, {2}],  # the engine here answers at once: the repeat gets the same bytes
    "neg-rad-139": [{2}, {None}, {2}],
    "neg-rad-157": [{5}, {5}, {5}],
    "neg-rad-159": [{5}, {5}],
    "neg-rad-161": [{5}, {5}, {5}],
    "neg-rad-163": [{5}, {5}, {5}],
    "neg-rad-169": [{5}, {5}],
    "neg-rad-171": [{5}, {5}, {5}],
}


def bench(case) -> Bench:
    """The server the file's context asks for."""
    config = case.get("config", {})
    settings = {key: config[key] for key in ("limit_proxy_state", "require_message_authenticator") if key in config}
    if "realms" in config:
        settings["realms"] = config["realms"]["127.0.0.1"]
    secret = case["secret"]
    entry = nas(accept_foreign_nonce=config.get("accept_foreign_nonce", False), secret=secret, **settings)

    def script(command, account_id):
        return Denial(Reason.NO_CREDIT) if account_id == 4 else granted(60)

    salted = "{SSHA}" + "pNKxYlw5ugS4qLsnwlXQtDvr2W5zYWx0"
    people = (
        subscriber("bob", "hello", 1),
        subscriber("hashed", None, 2, hash=salted),
        subscriber("barred", "hello", 3),
        subscriber("broke", "hello", 4),
    )
    return Bench(entry, node=FakeNode(script), directory=FakeDirectory(*people))


def allowed(udp) -> set[int | None]:
    if udp == "discard":
        return {None}
    if "any_of" in udp:
        return set().union(*(allowed(one) for one in udp["any_of"]))
    return {udp["answer"]["code"]}


@pytest.mark.parametrize("case", UDP, ids=lambda case: case["id"] + " " + case["title"][:40])
def test_hostile_packet_gets_what_the_standards_say(case):
    served = bench(case)
    kind = checks.AUTH if case["target"] == "auth" else checks.ACCT
    _control(served, case)
    turn = IN_TURN.get(case["id"]) or [allowed(case["expect"]["udp"])] * len(case["send"])
    datagrams = [send for send in case["send"] for _ in range(send.get("repeat", 1))]

    for send, codes in zip(datagrams, turn, strict=True):
        data = bytes.fromhex(send["hex"])
        answer = served.send(data, kind, STRANGER if send.get("from") == "unknown" else HOME)
        reply = read_reply(answer, data, case["secret"].encode())
        assert (reply.code if reply else None) in codes

    _control(served, case)


def _control(served: Bench, case) -> None:
    """A sound request of another packet each time is still accepted."""
    config = case.get("config", {})
    signed = config.get("require_message_authenticator") == "yes" or config.get("limit_proxy_state") == "yes"
    request = access_request((1, "bob"), password="hello", secret=case["secret"].encode(), signed=signed, ident=250)

    assert read_reply(served.send(request), request, case["secret"].encode()).code == p.ACCESS_ACCEPT


@pytest.mark.parametrize("case", [c for c in UDP if c["expect"]["udp"] == "discard"], ids=lambda case: case["id"])
def test_every_silence_is_counted_with_a_reason(case):
    served = bench(case)
    kind = checks.AUTH if case["target"] == "auth" else checks.ACCT
    send = case["send"][0]
    served.send(bytes.fromhex(send["hex"]), kind, STRANGER if send.get("from") == "unknown" else HOME)

    assert sum(served.dropped().values()) == 1


def test_reject_carries_no_service():
    """RFC 2865 5.44: nothing but Reply-Message, Proxy-State and Message-Authenticator."""
    served = bench({"secret": "testing123"})
    reply = served.access((1, "broke"), (33, b"proxy"), password="hello")

    assert (reply.code, reply.codes) == (p.ACCESS_REJECT, [80, 18, 33])


def test_unknown_user_and_wrong_password_get_the_same_bytes():
    served = bench({"secret": "testing123"})
    wrong = served.access((1, "bob"), password="hullo")
    unknown = served.access((1, "nobody"), password="hello")

    assert wrong.code == unknown.code == p.ACCESS_REJECT
    assert wrong.codes == unknown.codes == [80]


def test_status_server_asks_nothing_of_the_engine():
    served = bench({"secret": "testing123"})
    case = next(case for case in UDP if case["id"] == "neg-rad-089")
    served.send(bytes.fromhex(case["send"][0]["hex"]))

    assert served.node.submitted == []
    assert served.directory.asked == []


def test_a_repeat_while_the_first_is_worked_on_is_dropped():
    served = bench({"secret": "testing123"})
    request = access_request((1, "bob"), password="hello")
    served.service.handle(request, HOME, served.auth, served.now_us)
    served.service.handle(request, HOME, served.auth, served.now_us)
    served.service.flush()

    assert len(served.auth.sent) == 1
    assert len(served.node.submitted) == 1
    assert served.service.counters["duplicates", "nas1", "in_progress"] == 1


def test_a_repeat_of_a_request_without_answer_is_tried_again():
    served = bench({"secret": "testing123"})
    served.node.is_up = False
    request = access_request((1, "bob"), password="hello")
    assert served.send(request) is None
    served.node.is_up = True

    assert read_reply(served.send(request), request).code == p.ACCESS_ACCEPT


def test_accounting_with_an_unsound_list_never_reaches_the_engine():
    served = bench({"secret": "testing123"})
    for body in (b"", b"\x28\x06\x00\x00\x00\x63", b"\x28\x05\x00\x00\x01"):
        head = b"\x04\x01" + (20 + len(body)).to_bytes(2, "big")
        data = head + hashlib.md5(head + bytes(16) + body + SECRET).digest() + body
        assert served.send(data, checks.ACCT) is None

    assert served.node.submitted == []
    assert served.dropped() == {"bad_attributes": 3}


def test_accounting_that_is_not_stored_is_not_answered():
    """RFC 2866 2: an answer says that it was recorded."""
    served = bench({"secret": "testing123"})
    served.node.is_up = False
    assert served.account((40, 2), (44, "x"), (46, 5)) is None
    served.node.is_up = True
    served.node.on_report = lambda command: Ack(Outcome.UNKNOWN)

    assert served.account((40, 2), (44, "x"), (46, 5)).code == p.ACCOUNTING_RESPONSE


def test_random_datagrams_are_never_answered():
    served = bench({"secret": "testing123"})
    for size in (*range(40), 100, 4096, 5000):
        data = os.urandom(size)
        for kind in (checks.AUTH, checks.ACCT):
            assert served.send(data, kind) is None
