"""Every request vector through the whole receive path, with the users and switches it asks for."""

from __future__ import annotations

import pytest

from aaa.engine.commands import End, Total
from aaa.radius import attributes as a
from aaa.radius import checks
from aaa.radius import packet as p
from tests.radius_kit import HOME, Bench, FakeDirectory, FakeNode, granted, nas, read_reply, subscriber
from tests.radius_vectors import octets, vector, vectors

PASSWORDS = {
    "nemo": "arctangent",
    "flopsy": "arctangent",
    "steve": "testing",
    "12345678": "secret",
    "bob": "zanzibar",
    "bob@biloxi.com": "zanzibar",
    "1001": "1234",
    "441632960001": "1234",
    "voucher-7H2K": "7h2k-pw",
    "alice@example.net": "correct horse battery staple, twenty-eight",
    "жук@пример.example": "пароль",
    "al\\x00ice": "sec\0ret",
}
SPECIAL = {
    "rad-sterman-draft-example": {"12345678": "0000"},
    "rad-cap-ipv6-prefixes": {"bob": "hello"},
}


def bench(name: str, **settings) -> Bench:
    secret = vector(name)["secret"]
    users = {**PASSWORDS, **SPECIAL.get(name, {})}
    people = [subscriber(user, password, number) for number, (user, password) in enumerate(users.items(), start=1)]
    entry = nas(secret=secret, **{"accept_foreign_nonce": True, **settings})
    return Bench(entry, node=FakeNode(lambda command, account_id: granted(6000)), directory=FakeDirectory(*people))


def answer(served: Bench, name: str):
    kind = checks.ACCT if octets(name)[0] == p.ACCOUNTING_REQUEST else checks.AUTH
    if "acct port" in vector(name).get("direction", ""):
        kind = checks.ACCT
    data = octets(name)
    return read_reply(served.send(data, kind, HOME), data, vector(name)["secret"].encode())


ACCEPTED = [
    "rad-2865-7.1-req",
    "rad-2865-7.2-req",
    "rad-cap-pap-ma",
    "rad-cap-chap-ma",
    "rad-cap-ipv6-prefixes",
    "rad-hotspot-chap",
    "rad-long-password-proxy",
    "rad-utf8",
    "rad-embedded-nul",
    "rad-trailing-padding",
    *[name for name in vectors() if name.startswith("rad-sterman-")],
    *[name for name in vectors() if name.startswith("rad-digest-") and vector(name)["decode"]["code"] == 1],
]


@pytest.mark.parametrize("name", ACCEPTED)
def test_right_proof_is_accepted(name):
    reply = answer(bench(name), name)

    assert reply.code == p.ACCESS_ACCEPT
    assert reply.codes[0] == a.MESSAGE_AUTHENTICATOR
    for code, value in vector(name)["expect"].get("should_contain", ()):
        wanted = {"Digest-Response-Auth": a.DIGEST_RESPONSE_AUTH, "Digest-HA1": a.DIGEST_HA1}[code]
        assert reply[wanted] == value.encode()
    if any("Digest-Response-Auth" in one for one in vector(name)["expect"].get("must_not_contain", ())):
        assert reply.get(a.DIGEST_RESPONSE_AUTH) is None


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_same_proof_with_another_stored_password_is_rejected(name):
    served = bench(name)
    for key, one in served.directory.subscribers.items():
        served.directory.subscribers[key] = subscriber(one.value, "another", one.account_id)

    assert answer(served, name).code == p.ACCESS_REJECT


@pytest.mark.parametrize("name", ["rad-cap-pap-badpw", "rad-cap-pap-with-eap", "rad-mschapv2"])
def test_wrong_or_unserved_proof_is_rejected(name):
    assert answer(bench(name), name).code == p.ACCESS_REJECT


def test_packet_signed_with_another_secret_is_dropped():
    served = bench("rad-cap-wrong-secret")

    assert answer(served, "rad-cap-wrong-secret") is None
    assert served.dropped() == {"bad_signature": 1}


def test_proxy_states_come_back_in_order_after_the_signature():
    reply = answer(bench("rad-long-password-proxy"), "rad-long-password-proxy")

    assert [value for code, value in reply.attributes if code == a.PROXY_STATE] == [b"p1", b"p2"]


ACCOUNTING = [name for name, one in vectors().items() if octets(name)[0] == 4]


@pytest.mark.parametrize("name", ACCOUNTING)
def test_accounting_is_answered_with_nothing_but_proxy_state(name):
    served = bench(name, profile="freeswitch" if name.startswith("rad-fs") else "generic")
    reply = answer(served, name)

    assert reply.code == p.ACCOUNTING_RESPONSE
    assert set(reply.codes) <= {a.PROXY_STATE}


@pytest.mark.parametrize(
    "name", [n for n in ACCOUNTING if "seconds" in vector(n)["expect"].get("usage", {}) and "kam" not in n]
)
def test_usage_is_the_total_of_the_session(name):
    served = bench(name, profile="freeswitch" if name.startswith("rad-fs") else "generic")
    answer(served, name)
    commands = [command for command, _ in served.node.submitted]
    seconds = vector(name)["expect"]["usage"]["seconds"]
    if name == "rad-fs-stop-b-leg":
        assert commands == []
        return

    assert commands[0].lines[0].usage == Total(seconds)
    assert commands[0].identity.number == ("e" if isinstance(commands[0], End) else "i") + str(seconds)


def test_accounting_retried_with_another_delay_is_the_same_report():
    served = bench("rad-acct-interim")
    answer(served, "rad-acct-interim")
    answer(served, "rad-acct-interim-retry-delay")
    first, second = (command for command, _ in served.node.submitted)

    assert first.identity == second.identity
    assert first.key == second.key


@pytest.mark.parametrize("name", ["rad-acct-on", "rad-acct-off"])
def test_on_and_off_begin_a_new_epoch_of_the_nas_in_the_packet(name):
    served = bench(name)
    answer(served, name)

    assert [identity for identity, _ in served.node.restarted] == ["nas1|nas1"]


def test_sessions_of_one_bundle_stay_apart():
    """Acct-Multi-Session-Id groups links; it is no name of a session for a generic NAS."""
    keys = set()
    for number in (1, 2, 4, 5):
        name = f"rad-2866-multilink-{number}"
        served = bench(name)
        answer(served, name)
        keys.add(served.node.updated()[0].key)
        assert served.node.updated()[0].aliases == ()

    assert len(keys) == 4


@pytest.mark.parametrize(
    ("name", "code", "printed"),
    [
        ("rad-5997-6.1-req", p.ACCESS_ACCEPT, "rad-5997-6.1-resp"),
        ("rad-5997-6.2-req", p.ACCOUNTING_RESPONSE, "rad-5997-6.2-resp"),
        ("rad-5997-6.3-req", p.ACCESS_ACCEPT, None),
    ],
)
def test_status_server_is_answered_on_both_ports(name, code, printed):
    reply = answer(bench(name), name)

    assert reply.code == code
    assert set(reply.codes) <= {a.MESSAGE_AUTHENTICATOR}
    if printed:
        assert octets(printed)[0] == code


# -- RFC 5090: nonces --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rad-5090-A1-req", "rad-5090-B1-req"])
def test_method_and_uri_without_a_nonce_are_challenged(name):
    served = bench(name, accept_foreign_nonce=False, realms=["example.com"])
    reply = answer(served, name)

    assert reply.code == p.ACCESS_CHALLENGE
    assert reply[a.DIGEST_REALM] == b"example.com"
    assert {a.DIGEST_NONCE, a.DIGEST_QOP, a.DIGEST_ALGORITHM, a.STATE} < set(reply.codes)
    assert served.node.submitted == []


@pytest.mark.parametrize("name", ["rad-5090-A2-req", "rad-5090-B2-req"])
def test_nonce_of_another_server_is_accepted_only_where_configured(name):
    stranger = bench(name, accept_foreign_nonce=False)
    proxied = bench(name)

    assert answer(stranger, name).code == p.ACCESS_REJECT
    assert answer(proxied, name).code == p.ACCESS_ACCEPT


# -- voice -------------------------------------------------------------------------------------------

STOCK = {"accept_foreign_nonce": True, "trust_calling_station_id": True, "authorize_without_credentials": True}


def test_freeswitch_register_is_authenticated_and_grants_nothing():
    served = bench("rad-fs-auth-reg", profile="freeswitch")
    reply = answer(served, "rad-fs-auth-reg")

    assert (reply.code, served.node.submitted) == (p.ACCESS_ACCEPT, [])


def test_freeswitch_stock_invite_is_never_named_by_its_core_uuid():
    served = bench("rad-fs-auth-invite", profile="freeswitch-stock", **STOCK)
    reply = answer(served, "rad-fs-auth-invite")
    begun = served.node.begun()[0]

    assert reply.code == p.ACCESS_ACCEPT
    assert "a1b2c3d4" not in begun.key + "".join(begun.aliases)
    assert begun.subscriber == "1001"


def test_freeswitch_stock_dialplan_call_is_paid_by_the_trusted_caller_with_bare_values():
    served = bench("rad-fs-auth-app", profile="freeswitch-stock", **STOCK)
    reply = answer(served, "rad-fs-auth-app")

    assert reply.codes == [a.H323_CREDIT_TIME, a.H323_RETURN_CODE, a.SESSION_TIMEOUT]
    assert (reply[a.H323_CREDIT_TIME], reply[a.H323_RETURN_CODE]) == (b"6000", b"0")


def test_freeswitch_stock_dialplan_call_of_an_untrusted_client_is_rejected_not_ignored():
    served = bench("rad-fs-auth-app", profile="freeswitch-stock", trust_calling_station_id=True)

    assert answer(served, "rad-fs-auth-app").code == p.ACCESS_REJECT


def test_legs_of_one_stock_call_are_told_apart_and_one_is_charged():
    start, stop = bench("rad-fs-start", profile="freeswitch-stock"), bench("rad-fs-stop", profile="freeswitch-stock")
    answer(start, "rad-fs-start")
    answer(stop, "rad-fs-stop")

    assert start.node.updated()[0].key == stop.node.ended()[0].key
    assert stop.node.ended()[0].answered_us == 1_699_963_205_120_000


def test_authorize_only_needs_a_state_of_ours():
    assert answer(bench("rad-authorize-only-request"), "rad-authorize-only-request").code == p.ACCESS_REJECT


def test_call_check_is_authorized_by_a_trusted_number_and_a_signature():
    trusted = bench("rad-call-check", trust_calling_station_id=True)

    assert answer(trusted, "rad-call-check").code == p.ACCESS_ACCEPT
    assert answer(bench("rad-call-check"), "rad-call-check").code == p.ACCESS_REJECT
