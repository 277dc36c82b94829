"""Profiles: tables from request attributes to commands, and from answers to reply attributes."""

from __future__ import annotations

import pytest

from aaa.engine.answers import Denial, Grant, LineDenial, LineGrant
from aaa.engine.commands import Identity, Total
from aaa.engine.terms import ChargeKey, Reason
from aaa.radius import attributes as a
from aaa.radius.profiles import access, accounting, answers
from aaa.radius.profiles.shipped import SHIPPED
from tests.radius_kit import NOON_US, granted, nas

AUTHENTICATOR = bytes(range(16))
PROFILES = {name: nas(profile=name) for name in SHIPPED}


def text(**values) -> a.Attributes:
    codes = {
        "user": a.USER_NAME,
        "session": a.ACCT_SESSION_ID,
        "multi": a.ACCT_MULTI_SESSION_ID,
        "called": a.CALLED_STATION_ID,
        "calling": a.CALLING_STATION_ID,
        "conf": a.H323_CONF_ID,
        "origin": a.H323_CALL_ORIGIN,
        "type": a.H323_CALL_TYPE,
        "digest": a.DIGEST_RESPONSE,
        "method": a.DIGEST_METHOD,
        "connect": a.H323_CONNECT_TIME,
    }
    found: a.Attributes = {codes[key]: value.encode() for key, value in values.items() if key in codes}
    integers = {"time": a.ACCT_SESSION_TIME, "service": a.SERVICE_TYPE, "stamp": a.EVENT_TIMESTAMP}
    integers |= {"delay": a.ACCT_DELAY_TIME, "cause": a.ACCT_TERMINATE_CAUSE, "into": a.ACCT_INPUT_OCTETS}
    integers |= {"out": a.ACCT_OUTPUT_OCTETS, "giga": a.ACCT_OUTPUT_GIGAWORDS}
    found |= {integers[key]: value.to_bytes(4, "big") for key, value in values.items() if key in integers}
    if "pairs" in values:
        found[a.CISCO_AVPAIR] = [pair.encode() for pair in values["pairs"]]
    return found


@pytest.mark.parametrize(
    ("profile", "attributes", "names"),
    [
        ("generic", text(session="s1", multi="m1"), ("s:s1",)),
        ("generic", text(multi="m1"), ()),
        ("generic", {}, ()),
        ("freeswitch", text(session="s1", multi="m1"), ("s:s1",)),
        ("freeswitch", text(session="s1", multi="m1", pairs=["prepaid-phase=initial"]), ("s:s1",)),
        ("freeswitch", text(session="s1", multi="m1", pairs=["prepaid-phase=update"]), ("s:s1", "m:m1")),
        ("freeswitch", text(multi="m1"), ("m:m1",)),
        ("freeswitch", text(conf="u1"), ()),
        ("freeswitch", text(conf="u1", pairs=["h323-call-id=u1"]), ("h:u1:answer",)),
        ("freeswitch", text(conf="core", pairs=["h323-call-id=u1"]), ()),
        ("cisco-voip", text(conf="h323-conf-id=8E5F2A10 03C4B11D 1 2"), ("h:8e5f2a10 3c4b11d 1 2:originate",)),
        ("cisco-voip", text(conf="8e5f2a10 3c4b11d 1 2", session="7"), ("h:8e5f2a10 3c4b11d 1 2:originate", "s:7")),
        ("kamailio", text(session="a84b4c76@pc33"), ("s:a84b4c76@pc33",)),
        ("kamailio", text(pairs=["call-id=a84b4c76@pc33"]), ("s:a84b4c76@pc33",)),
        ("generic", text(pairs=["call-id=a84b4c76@pc33"]), ()),
    ],
)
def test_names_of_the_session_an_access_request_asks_about(profile, attributes, names):
    assert access.read(PROFILES[profile], attributes, AUTHENTICATOR).names == names


@pytest.mark.parametrize(
    ("attributes", "number"),
    [
        (text(session="s"), "b"),
        (text(session="s", time=0), "t0"),
        (text(session="s", time=45, pairs=["prepaid-phase=update"]), "t45"),
        (text(session="s", time=0, called="5005", pairs=["prepaid-phase=transfer"]), "t0.transfer.5005"),
        (text(multi="m", digest="ab" * 16, method="INVITE"), "d" + "ab" * 16),
        (text(session="s", digest="ab" * 16, method="INVITE"), "b"),
    ],
)
def test_identity_of_a_request_within_its_session(attributes, number):
    """S7."""
    ask = access.read(PROFILES["freeswitch"], attributes, AUTHENTICATOR)

    assert ask.number == number
    assert ask.digest == (AUTHENTICATOR.hex() if number == "b" else "")


@pytest.mark.parametrize(
    ("attributes", "used"),
    [
        (text(time=45), 45),
        (text(time=0), None),
        (text(time=0, pairs=["prepaid-phase=update"]), 0),
        (text(time=0, pairs=["prepaid-phase=transfer"]), None),
        (text(time=7, pairs=["prepaid-phase=transfer"]), 7),
        ({}, None),
    ],
)
def test_usage_of_an_access_request(attributes, used):
    """A transfer in mid-call may say 0 for not known; only a renewal means it."""
    assert access.read(PROFILES["freeswitch"], attributes, AUTHENTICATOR).used == used


@pytest.mark.parametrize(
    ("profile", "attributes", "alone"),
    [
        ("generic", text(called="44"), False),
        ("generic", {}, False),
        ("generic", text(called="44", service=8), True),
        ("generic", text(called="44", method="REGISTER"), True),
        ("generic", text(called="44", method="INVITE"), False),
        ("freeswitch", text(called="44", service=8), False),
        ("freeswitch", text(called="44", service=8, pairs=["request-type=number"]), False),
        ("freeswitch", text(called="44", pairs=["request-type=user"]), True),
        ("freeswitch", text(service=8), True),
        ("cisco-voip", text(user="card"), True),
        ("cisco-voip", text(user="card", called="44"), False),
        ("kamailio", text(method="REGISTER", called="44"), True),
    ],
)
def test_what_only_authenticates(profile, attributes, alone):
    assert access.read(PROFILES[profile], attributes, AUTHENTICATOR).only_authenticates is alone


def test_numbers_are_normalised_by_the_clients_plan_and_kept_as_received():
    """S22."""
    entry = nas(numbers={"country": "49", "international": ["00"], "national": "0"})
    ask = access.read(entry, text(called="004420", calling="0301"), AUTHENTICATOR)
    begin = access.begin(ask, entry, ("k", "l"), Identity("b"), "alice")

    assert (begin.lines[0].destination, begin.lines[0].received, begin.caller) == ("4420", "004420", "49301")
    assert (begin.key, begin.aliases, begin.origin, begin.subscriber) == ("k", ("l",), "nas1", "alice")


# -- accounting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "attributes", "is_charged"),
    [
        ("generic", text(origin="originate"), True),
        ("freeswitch", text(origin="answer"), True),
        ("freeswitch", text(origin="h323-call-origin=originate"), False),
        ("freeswitch", {}, True),
        ("cisco-voip", text(origin="h323-call-origin=originate", type="h323-call-type=VoIP"), True),
        ("cisco-voip", text(origin="originate", type="Telephony"), False),
        ("cisco-voip", text(origin="answer", type="VoIP"), False),
        ("cisco-voip", text(origin="originate"), True),
    ],
)
def test_one_leg_of_a_call_is_charged(profile, attributes, is_charged):
    assert accounting.read(SHIPPED[profile], attributes, a.STOP, NOON_US).is_charged is is_charged


@pytest.mark.parametrize(
    ("attributes", "seconds_before_noon"),
    [
        (text(stamp=1_699_999_990), 10),
        (text(stamp=1_700_000_004), -4),
        (text(stamp=1_700_000_006, delay=3), 3),
        (text(stamp=4_294_967_295), 0),
        (text(stamp=0), 0),
        (text(delay=5), 5),
        (text(delay=4_294_967_295), 0),
        ({}, 0),
    ],
)
def test_event_time_is_the_stamp_if_sane_else_arrival_less_delay(attributes, seconds_before_noon):
    """S18, DIGEST R-RAD-66."""
    assert accounting.event_time(attributes, NOON_US) == NOON_US - seconds_before_noon * 1_000_000


def test_octets_are_64_bit_sums():
    """RFC 2869 5.1."""
    report = accounting.read(SHIPPED["hotspot"], text(into=16, out=0xFFFFFFF0, giga=1, time=300), a.INTERIM, NOON_US)
    command = accounting.interim(report, PROFILES["hotspot"], ("k",), None)

    assert [line.usage for line in command.lines] == [Total(300), Total(8_589_934_592)]
    assert command.identity.number == "i300.8589934592"


@pytest.mark.parametrize(
    ("attributes", "number", "usage"),
    [(text(time=75), "e75", Total(75)), ({}, "e", None), (text(time=0), "e0", Total(0))],
)
def test_identity_of_a_stop_is_its_total(attributes, number, usage):
    report = accounting.read(SHIPPED["generic"], attributes, a.STOP, NOON_US)
    command = accounting.stop(report, PROFILES["generic"], ("k",), attributes, None)

    assert (command.identity.number, command.lines[0].usage) == (number, usage)


def test_a_failed_call_used_nothing():
    assert accounting.read(SHIPPED["kamailio"], text(time=9), a.FAILED, NOON_US).seconds == 0


def test_a_proxys_start_is_the_answer():
    """It sends no durations: they are differences of event times (DIGEST R-VOIP-20)."""
    start = accounting.read(SHIPPED["kamailio"], text(stamp=1_699_999_990), a.START, NOON_US)
    stop = accounting.read(SHIPPED["kamailio"], text(stamp=1_699_999_999), a.STOP, NOON_US)

    assert (start.answered_us, stop.answered_us, stop.seconds) == (1_699_999_990_000_000, 0, None)


@pytest.mark.parametrize("value", ["tomorrow", "2090-01-01T00:00:00Z", "1980-01-01T00:00:00Z"])
def test_a_connect_time_that_cannot_be_is_not_told(value):
    assert accounting.read(SHIPPED["freeswitch"], text(connect=value), a.STOP, NOON_US).answered_us == 0


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        (text(cause=1), "normal"),
        (text(cause=5), "exhausted"),
        (text(cause=6), "killed"),
        (text(cause=2), "lost"),
        (text(cause=99), "normal"),
        ({a.H323_DISCONNECT_CAUSE: b"h323-disconnect-cause=322"}, "exhausted"),
        ({a.H323_DISCONNECT_CAUSE: b"10"}, "normal"),
        ({}, "normal"),
    ],
)
def test_cause_of_the_end(attributes, cause):
    assert accounting.end_cause(attributes) == cause


# -- answers -----------------------------------------------------------------------------------------


def written(body: bytes) -> list[tuple[int, bytes]]:
    from aaa.radius.packet import decode

    data = b"\x02\x01" + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body
    return [(code, value) for code in decode(data).attributes for value in a.every(decode(data).attributes, code)]


def integers(body: bytes) -> dict[int, int]:
    return {code: int.from_bytes(value, "big") for code, value in written(body)}


@pytest.mark.parametrize(
    ("profile", "settings", "told", "expected"),
    [
        ("generic", {}, granted(60), [(27, 60)]),
        ("generic", {"quantum": "fixed"}, granted(60), [(27, 60), (29, 1), (24, b"STATE")]),
        ("generic", {"quantum": "fixed"}, granted(60, is_final=True), [(27, 60)]),
        ("freeswitch", {}, granted(60), [(2406, b"60"), (2407, b"0"), (27, 60), (85, 48)]),
        ("freeswitch", {}, granted(60, is_final=True), [(2406, b"60"), (2407, b"0"), (27, 60)]),
        ("freeswitch", {"quantum": "whole"}, granted(60), [(2406, b"60"), (2407, b"0"), (27, 60)]),
        ("freeswitch-stock", {}, granted(60), [(2406, b"60"), (2407, b"0"), (27, 60)]),
        (
            "cisco-voip",
            {},
            granted(6000),
            [
                (2406, b"h323-credit-time=6000"),
                (2407, b"h323-return-code=0"),
                (27, 6000),
                (2405, b"h323-credit-amount=10.00"),
                (2414, b"h323-currency=EUR"),
            ],
        ),
        ("kamailio", {}, granted(60), [(27, 60), (225, b"credit_time#60")]),
        ("hotspot", {"quantum": "fixed"}, granted(600), [(27, 600), (85, 60)]),
    ],
)
def test_a_grant_as_each_client_is_told(profile, settings, told, expected):
    body = answers.granted(nas(profile=profile, **settings), told, (b"", b"STATE"))

    assert written(body) == [
        (code, value if isinstance(value, bytes) else value.to_bytes(4, "big")) for code, value in expected
    ]


def test_class_is_handed_to_clients_that_can_keep_it():
    assert (a.CLASS, b"CLASS") in written(answers.granted(PROFILES["generic"], granted(9), (b"CLASS", b"")))
    assert a.CLASS not in dict(written(answers.granted(PROFILES["freeswitch"], granted(9), (b"CLASS", b""))))


def test_octets_are_told_in_gigawords_or_clamped():
    """rad-hotspot-accept: 5 GiB."""
    line = LineGrant(ChargeKey("data", unit="octets"), 5 << 30, 5 << 30)
    body = answers.granted(PROFILES["hotspot"], Grant(1, (line,), 0, "EUR", 1))

    assert integers(body) == {
        a.MIKROTIK_TOTAL_LIMIT: 1 << 30,
        a.MIKROTIK_TOTAL_LIMIT_GIGAWORDS: 1,
        a.CHILLISPOT_MAX_TOTAL_OCTETS: 0xFFFFFFFF,
    }


@pytest.mark.parametrize(
    ("lines", "is_told"),
    [
        ((LineGrant(ChargeKey(), 0, 0),), False),
        ((LineDenial(ChargeKey(), Reason.NO_CREDIT),), False),
        ((LineGrant(ChargeKey(), 5, 5), LineDenial(ChargeKey(unit="octets"), Reason.NO_CREDIT)), False),
        ((LineGrant(ChargeKey(), 5, 5), LineDenial(ChargeKey(unit="octets"), Reason.UNKNOWN_DESTINATION)), True),
        ((LineGrant(ChargeKey(), 5, 5), LineDenial(ChargeKey(unit="octets"), Reason.NO_TARIFF)), True),
    ],
)
def test_nothing_is_told_as_zero_and_what_is_not_priced_is_not_limited(lines, is_told):
    """Session-Timeout 0 is unlimited to many clients (DIGEST R-RAD-80)."""
    body = answers.granted(PROFILES["hotspot"], Grant(1, lines, 0, "EUR", 1))

    assert (body is not None) is is_told


@pytest.mark.parametrize("profile", SHIPPED)
@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_grants_nothing_in_any_profile(profile, reason):
    as_accept, body = answers.refused(SHIPPED[profile], Denial(reason))
    codes = {code for code, _ in written(body)}

    assert not as_accept
    assert codes <= {a.REPLY_MESSAGE, a.H323_RETURN_CODE}
    assert codes <= (SHIPPED[profile].takes or codes)


def test_a_refusal_may_go_as_an_accept_with_nothing_to_use():
    from dataclasses import replace

    mine = replace(SHIPPED["freeswitch"], rejects_by_accept=True)

    assert answers.refused(mine, Denial(Reason.NO_CREDIT))[0]
    assert written(answers.refused(mine, Denial(Reason.NO_CREDIT))[1]) == [(2406, b"0"), (2407, b"12")]


def test_cisco_is_told_the_reason_in_its_reject():
    assert (a.H323_RETURN_CODE, b"h323-return-code=12") in written(
        answers.refused(SHIPPED["cisco-voip"], Denial(Reason.NO_CREDIT))[1]
    )
