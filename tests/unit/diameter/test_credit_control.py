"""What a request means before the engine sees it: service, payer, units, rights."""

from __future__ import annotations

import pytest

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ccr import read
from aaa.diameter.codec import Avp, Invalid
from aaa.diameter.credit_control import asked, command, identities, session_key, session_of
from aaa.diameter.peers import Peer
from aaa.diameter.plan import plan_of, service_of
from aaa.diameter.units import amounts, granted, money
from aaa.engine.commands import Begin, Delta, End, Event, Update
from aaa.engine.numbers import PLAIN, Normaliser
from tests.unit.diameter.kit import CLIENT, avp, ccr

PEER = Peer(CLIENT, "test.example")
RICH = Peer(CLIENT, "test.example", allow=frozenset({"session", "event", "refund", "money"}))


def understood(data: bytes, peer: Peer = PEER):
    request = read(data)
    plan = plan_of(request, peer, {"cash": "event", "32251": "data", "32260": "voice"})
    return command(asked(request, plan), session_key(request), 0)


def units_in(name: str, value) -> tuple[Avp, ...]:
    return codec.group(codec.decode(codec.message(0x80, 272, 4, 1, 1, [avp(name, value)])).avps[0])


@pytest.mark.parametrize(
    ("context", "service"),
    [
        ("32251@3gpp.org", "data"),
        ("ext.01.001.8.32260@3gpp.org", "voice"),
        ("8.32274@3gpp.org", "message"),
        ("99999@3gpp.org", None),
        ("32260@example.org", None),
        ("", None),
    ],
)
def test_a_context_is_known_by_its_specification(context, service):
    assert service_of(context) == service


def test_a_session_is_named_by_its_host_and_id_also_with_bars_in_it():
    request = read(ccr("INITIAL_REQUEST", 0, session="a|b;1"))
    assert session_of(session_key(request) + "|~77") == (CLIENT, "a|b;1", None)
    assert session_of(session_key(request) + "|~s5|~77") == (CLIENT, "a|b;1", 5)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (0, "+44 1632 960001", ("e164", "441632960001")),
        (1, "234150000000001", ("imsi", "234150000000001")),
        (2, "sip:alice@ims.example;user=phone", ("sip_uri", "sip:alice@ims.example")),
        (2, "sip:+441632960001@ims.example", ("e164", "441632960001")),
        (3, "alice@ims.example", ("username", "alice@ims.example")),
        (4, "alice", ("username", "alice")),
    ],
)
def test_a_payer_is_looked_up_as_the_store_spells_it(kind, value, found):
    more = ("Subscription-Id", {"Subscription-Id-Type": kind, "Subscription-Id-Data": value})
    request = read(ccr("INITIAL_REQUEST", 0, more))
    assert found in identities(request.identities, Normaliser(PLAIN))


def test_each_kind_of_request_becomes_its_command():
    used = ("Used-Service-Unit", {"CC-Time": 9})
    assert isinstance(understood(ccr("INITIAL_REQUEST", 0)), Begin)
    update = understood(ccr("UPDATE_REQUEST", 1, used))
    assert isinstance(update, Update)
    assert (update.lines[0].usage, update.lines[0].wants_quota) == (Delta(9), False)
    end = understood(ccr("TERMINATION_REQUEST", 2, used))
    assert isinstance(end, End)
    assert end.lines[0].usage == Delta(9)
    assert isinstance(understood(ccr("EVENT_REQUEST", 0, ("Requested-Action", 0))), Event)


def test_straddling_reports_of_one_rating_group_are_added():
    halves = [{"CC-Total-Octets": 400}, {"CC-Input-Octets": 30, "CC-Output-Octets": 4}]
    service = {"Rating-Group": 10, "Used-Service-Unit": halves, "Requested-Service-Unit": {}}
    data = ccr("UPDATE_REQUEST", 1, ("Multiple-Services-Credit-Control", service), context="32251@3gpp.org")
    assert understood(data).lines[0].usage == Delta(434)


def test_transport_and_time_are_no_part_of_what_a_request_is():
    first = understood(ccr("UPDATE_REQUEST", 1, ("Used-Service-Unit", {"CC-Time": 9}), hop_by_hop=1, end_to_end=1))
    more = (("Used-Service-Unit", {"CC-Time": 9}), ("Event-Timestamp", 3_900_000_000), ("Route-Record", "dra.example"))
    again = understood(ccr("UPDATE_REQUEST", 1, *more, hop_by_hop=2, end_to_end=2, flags=0xD0))
    other = understood(ccr("UPDATE_REQUEST", 1, ("Used-Service-Unit", {"CC-Time": 8})))
    assert first.identity.digest == again.identity.digest != other.identity.digest


@pytest.mark.parametrize(
    "data",
    [
        ccr("EVENT_REQUEST", 0, ("Requested-Action", 1), ("Refund-Information", f"d|{CLIENT}|x|e0.0".encode())),
        ccr("INITIAL_REQUEST", 0, ("Requested-Service-Unit", {"CC-Money": {"Unit-Value": "1.50"}}), context="cash"),
    ],
    ids=["refund", "money"],
)
def test_refunds_and_money_are_only_for_peers_that_may(data):
    with pytest.raises(Invalid) as caught:
        understood(data)
    assert caught.value.code == 4010
    assert understood(data, RICH).lines


def test_a_refund_of_somebody_elses_debit_is_refused():
    foreign = ("Refund-Information", b"d|other.example|x|e0.0")
    with pytest.raises(Invalid):
        understood(ccr("EVENT_REQUEST", 0, ("Requested-Action", 1), foreign), RICH)


@pytest.mark.parametrize(
    ("digits", "exponent", "micro"), [(150, -2, 1_500_000), (2, 0, 2_000_000), (3, 3, 3_000_000_000), (5, -6, 5)]
)
def test_money_is_exact(digits, exponent, micro):
    value = {"CC-Money": {"Unit-Value": {"Value-Digits": digits, "Exponent": exponent}, "Currency-Code": 978}}
    (amount,) = amounts(units_in("Requested-Service-Unit", value))
    assert (amount.units, amount.currency) == (micro, 978)


@pytest.mark.parametrize(("digits", "exponent"), [(-1, 0), (1, 10), (1, -10), (5, -7), (10**18, 9)])
def test_money_that_cannot_be_meant_is_refused(digits, exponent):
    value = {"CC-Money": {"Unit-Value": {"Value-Digits": digits, "Exponent": exponent}}}
    with pytest.raises(Invalid) as caught:
        amounts(units_in("Used-Service-Unit", value))
    assert caught.value.code == 5004


def test_money_is_written_with_the_digits_it_needs():
    body = codec.message(0x80, 272, 4, 1, 1, [money(1_500_000, "EUR")])
    value, currency = codec.decode(body).avps
    digits, exponent = codec.group(value)
    assert (codec.read_i64(digits), codec.read_i32(exponent), codec.read_u32(currency)) == (15, -1, 978)
    assert granted(n.CC_MONEY, 0, "EUR")
