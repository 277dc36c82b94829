"""The flows: emergency, renewal by State, Class, outage, drain, order of service."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from aaa.engine.answers import Ack, Denial, Outcome
from aaa.engine.commands import Begin
from aaa.engine.terms import Reason
from aaa.radius import attributes as a
from aaa.radius import checks
from aaa.radius import packet as p
from aaa.radius.datagrams import UdpPort
from tests.radius_kit import (
    HOME,
    NOON_US,
    Bench,
    FakeDirectory,
    FakeNode,
    access_request,
    accounting_request,
    granted,
    nas,
    subscriber,
)


def denied(reason: Reason) -> FakeNode:
    return FakeNode(lambda command, account_id: Denial(reason))


# -- emergency (S21) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("called", ["112", "9112", "sip:112@pbx.example"])
def test_an_emergency_call_is_served_before_anybody_is_looked_up(called):
    served = Bench(nas(numbers={"country": "49", "area": "30", "strip": ["9"]}))
    reply = served.access((1, "nobody"), (30, called), password="wrong")

    assert reply.code == p.ACCESS_ACCEPT
    assert served.directory.asked == []
    command, account_id = served.node.submitted[0]
    assert (command.emergency, account_id) == (True, None)


def test_a_packet_that_is_not_the_clients_gets_no_emergency_call():
    served = Bench(nas(require_message_authenticator="yes"))

    assert served.access((30, "112")) is None


# -- sessions without a name, renewals ----------------------------------------------------------------


def test_a_session_without_a_name_is_known_by_the_class_it_was_handed():
    served = Bench()
    accept = served.access((1, "bob"), password="hello")
    served.account((40, 1), (44, "s1"), (25, b"foreign"), (25, accept[a.CLASS]))
    start = served.node.updated()[0]

    assert served.node.begun()[0].key.startswith("nas1|127.0.0.1|0|a:")
    assert (start.key, start.aliases) == ("nas1|127.0.0.1|0|s:s1", ("#7",))


def test_a_class_of_another_client_is_nothing():
    other = Bench(nas(name="other"))
    accept = other.access((1, "bob"), password="hello")
    served = Bench()
    served.account((40, 1), (44, "s1"), (25, accept[a.CLASS]))

    assert served.node.updated()[0].aliases == ()


def test_a_renewal_by_state_names_the_session_and_the_grant_before():
    served = Bench(nas(quantum="fixed"), node=FakeNode(lambda command, account_id: granted(60, number=3)))
    accept = served.access((1, "bob"), (44, "s1"), password="hello")
    assert accept.number(a.TERMINATION_ACTION) == 1
    again = served.access((1, "bob"), (44, "s1"), (24, accept[a.STATE]), password="hello")
    renewal = served.node.begun()[1]

    assert again.code == p.ACCESS_ACCEPT
    assert (renewal.key, renewal.aliases, renewal.identity.number) == ("nas1|127.0.0.1|0|s:s1", ("#7",), "g3")


def test_a_state_of_ours_is_proof_enough_and_the_session_pays():
    """RFC 5176 3.2: Authorize-Only with State carries no credential."""
    served = Bench(nas(quantum="fixed"))
    accept = served.access((1, "bob"), password="hello")
    again = served.access((6, 17), (24, accept[a.STATE]))

    assert again.code == p.ACCESS_ACCEPT
    assert served.node.submitted[1][1] is None


def test_a_changed_state_is_no_proof():
    served = Bench(nas(quantum="fixed"))
    state = bytearray(served.access((1, "bob"), password="hello")[a.STATE])
    state[0] ^= 1

    assert served.access((1, "bob"), (24, bytes(state))).code == p.ACCESS_REJECT


def test_a_nas_after_its_reboot_begins_new_sessions():
    """DIGEST R-RAD-67: ids may repeat after Accounting-On."""
    served = Bench()
    served.account((40, 1), (44, "s1"), (32, "gw"))
    served.account((40, 7), (32, "gw"), ident=2)
    served.account((40, 1), (44, "s1"), (32, "gw"), ident=3)

    assert [command.key for command in served.node.updated()] == ["nas1|gw|0|s:s1", "nas1|gw|1|s:s1"]
    assert served.node.restarted == [("nas1|gw", NOON_US)]


@pytest.mark.parametrize(
    ("attributes", "identity"),
    [
        (((32, "gw"), (4, b"\xc0\0\2\1")), "gw"),
        (((4, b"\xc0\0\2\1"),), "192.0.2.1"),
        (((32, "gw|0"),), "gw\\x7c0"),
        (((95, b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"),), "2001:db8::1"),
        (((95, b"\xfe\x80" + bytes(13) + b"\1"),), "127.0.0.1"),
        (((4, b"\1\2"),), "127.0.0.1"),
        ((), "127.0.0.1"),
    ],
)
def test_identity_of_the_nas(attributes, identity):
    """S20."""
    served = Bench()
    served.account((40, 1), (44, "s1"), *attributes)

    assert served.node.updated()[0].key == f"nas1|{identity}|0|s:s1"


# -- accounting ---------------------------------------------------------------------------------------


def test_accounting_without_any_name_of_a_session_cannot_be_stored():
    served = Bench()

    assert served.account((40, 2), (46, 9), (1, "bob")) is None
    assert served.dropped() == {"no_session": 1}


def test_a_stop_brings_who_would_have_paid():
    """S19: a session that nobody announced is charged when its Stop says who, where to and how long."""
    served = Bench()
    served.account((40, 2), (44, "s1"), (46, 9), (1, "bob"), (30, "4420"))
    end, account_id = served.node.submitted[0]

    assert account_id == 1
    assert end.orphan == Begin(
        key=end.key,
        identity=end.orphan.identity,
        policy=served.service.clients.entries[0].policy,
        lines=end.orphan.lines,
        origin="nas1",
        subscriber="bob",
    )
    assert end.orphan.lines[0].destination == "4420"


def test_a_stop_of_a_session_that_somebody_else_pays_for_still_counts():
    served = Bench()
    served.node.on_report = lambda command: Denial(Reason.FOREIGN_SESSION) if command.orphan else Ack(Outcome.DONE)
    reply = served.account((40, 2), (44, "s1"), (46, 9), (1, "bob"))

    assert reply.code == p.ACCOUNTING_RESPONSE
    assert [account_id for _, account_id in served.node.submitted] == [1, None]


# -- outage and drain (S12) ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason", "code"),
    [
        ({}, Reason.STORE_DOWN, None),
        ({"on_store_down": "deny"}, Reason.STORE_DOWN, p.ACCESS_REJECT),
        ({"on_store_down": "allow_capped"}, Reason.STORE_DOWN, None),
        ({"profile": "freeswitch"}, Reason.STORE_DOWN, p.ACCESS_REJECT),
        ({"profile": "freeswitch", "on_store_down": "allow_capped"}, Reason.STORE_DOWN, p.ACCESS_REJECT),
        ({}, Reason.DRAINING, None),
        ({"profile": "freeswitch"}, Reason.DRAINING, p.ACCESS_REJECT),
        ({}, Reason.NO_CREDIT, p.ACCESS_REJECT),
        ({}, Reason.CONFLICT, p.ACCESS_REJECT),
    ],
)
def test_refusals_that_are_said_and_those_that_are_not(settings, reason, code):
    served = Bench(nas(**settings), node=denied(reason))
    reply = served.access((1, "bob"), (30, "44"), password="hello")
    if settings.get("profile") == "freeswitch":
        reply = reply or served.access((1, "bob"), (30, "44"), password="hello")

    assert (reply.code if reply else None) == code


def test_status_server_is_silent_when_the_server_cannot_serve():
    served = Bench()
    served.service._is_serving = lambda: False

    assert served.access(signed=True, code=12) is None
    assert served.dropped() == {"not_serving": 1}


def test_status_server_can_be_switched_off():
    served = Bench(nas(status_server=False))

    assert served.access(signed=True, code=12) is None
    assert served.dropped() == {"status_off": 1}


def test_status_server_is_answered_so_often_a_second_and_no_more():
    served = Bench(nas(status_per_second=2))
    answered = [served.access(signed=True, code=12) is not None for _ in range(4)]

    assert answered == [True, True, False, False]
    assert served.dropped() == {"status_limited": 2}


# -- order of service ---------------------------------------------------------------------------------


def arranged(served: Bench, *datagrams: bytes) -> list[str]:
    waiting = {1: [], 4: []}
    for data in datagrams:
        port = served.auth if data[0] == 1 else served.acct
        waiting[data[0]].append(served.service.receive(data, HOME, port, NOON_US))
    names = {1: "access", 2: "stop", 3: "interim"}
    return [
        names.get(a.number(one.packet.attributes, a.ACCT_STATUS_TYPE) or 1)
        + " "
        + a.text(one.packet.attributes, a.ACCT_SESSION_ID)
        for one in served.service.arrange(waiting[1], waiting[4])
    ]


ACCESS = access_request((1, "bob"), (44, "new"), password="hello")


def report(status: int, session: str, user: str = "bob", ident: int = 1) -> bytes:
    return accounting_request((40, status), (44, session), (1, user), (46, ident), ident=ident)


@pytest.mark.parametrize(
    ("datagrams", "order"),
    [
        ((report(3, "a"), ACCESS), ["access new", "interim a"]),
        ((report(2, "a"), ACCESS), ["stop a", "access new"]),
        ((report(2, "a", "carl"), ACCESS), ["access new", "stop a"]),
        ((report(2, "new"), ACCESS), ["access new", "stop new"]),
        ((report(3, "a"), report(2, "a", ident=2), ACCESS), ["interim a", "stop a", "access new"]),
        (
            (report(3, "b"), report(3, "a", ident=3), report(2, "a", ident=2), ACCESS),
            ["interim a", "stop a", "access new", "interim b"],
        ),
    ],
)
def test_access_goes_first_but_what_frees_the_payers_money_before_it(datagrams, order):
    assert arranged(Bench(), *datagrams) == order


def test_answers_go_where_the_request_came_from():
    served = Bench()
    served.send(ACCESS, checks.AUTH, ("127.0.0.9", 5))

    assert served.auth.sent[0][1] == ("127.0.0.9", 5)


def test_the_balance_is_told_before_a_number_is_called():
    """DIGEST R-VOIP-02, first request; FLOWS R2 step 1."""
    served = Bench(nas(profile="cisco-voip"), directory=FakeDirectory(subscriber("441632960001", "1234")))
    reply = served.access((1, "441632960001"), (a.H323_CONF_ID, "8E5F 1 2 3"), password="1234")

    assert reply.code == p.ACCESS_ACCEPT
    assert reply[a.H323_RETURN_CODE] == b"h323-return-code=0"
    assert reply[a.H323_CREDIT_AMOUNT] == b"h323-credit-amount=10.00"
    assert reply.get(a.SESSION_TIMEOUT) is None


def test_a_packet_that_leads_to_a_bug_is_dropped_and_told_and_the_next_one_served():
    served = Bench()
    errors = []
    served.service._on_error = errors.append
    find, served.directory.find = served.directory.find, None
    assert served.access((1, "bob"), password="hello") is None
    served.directory.find = find

    assert [type(error) for error in errors] == [TypeError]
    assert served.dropped() == {"internal_error": 1}
    assert served.access((1, "bob"), password="hello").code == p.ACCESS_ACCEPT


# -- what one commit is for ---------------------------------------------------------------------------


class Rounds:
    """A socket whose datagrams come while the ones before are served: one after each time it was empty."""

    family = socket.AF_INET

    def __init__(self, datagrams: Iterator[bytes]):
        self.datagrams = datagrams
        self.is_empty = False

    def recvfrom(self, _size):
        self.is_empty = not self.is_empty
        if not self.is_empty:
            raise BlockingIOError
        try:
            return next(self.datagrams), HOME
        except StopIteration:
            raise BlockingIOError from None


def taken(datagrams: Iterator[bytes], most: int) -> Bench:
    served = Bench()
    port = UdpPort(7, checks.ACCT, Rounds(datagrams), False, lambda: None, lambda: True)
    served.service.take([port], most)
    return served


def test_what_comes_while_others_are_served_is_taken_with_them():
    served = taken((report(3, name, ident=place) for place, name in enumerate("abc")), 256)
    assert [command.key[-1] for command in served.node.updated()] == ["a", "b", "c"]


def test_who_never_stops_sending_is_taken_only_so_often():
    served = taken((report(3, "a", ident=place) for place in range(256)), 20)
    assert len(served.node.updated()) == 20
