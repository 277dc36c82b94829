"""Client entries: found by the most specific network, built from a table or refused with every reason."""

from __future__ import annotations

import pytest

from aaa.engine.terms import Policy
from aaa.errors import ConfigError
from aaa.radius.clients import ADDRESSES_MAX, Clients, nas_from
from aaa.radius.profiles.shipped import SHIPPED, own

TABLE = {"name": "n", "address": "10.0.0.0/8", "secret": "s3cret"}


def built(charging=None, **settings):
    return nas_from({**TABLE, **settings}, charging or {})


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.1.2.3", "ten"),
        ("10.1.2.4", "host"),
        ("10.2.0.1", "part"),
        ("11.0.0.1", None),
        ("2001:db8::7", "six"),
        ("2001:db9::7", None),
        ("::ffff:10.1.2.4", "host"),
        ("fe80::1%eth0", "local"),
    ],
)
def test_most_specific_network_wins(address, name):
    clients = Clients(
        built(name=name, address=network)
        for name, network in (
            ("part", "10.2.0.0/16"),
            ("ten", "10.0.0.0/8"),
            ("host", "10.1.2.4/32"),
            ("six", "2001:db8::/32"),
            ("local", "fe80::/10"),
        )
    )

    for _ in range(2):  # searched, then remembered
        found = clients.find(address)
        assert (found.name if found else None) == name


def test_remembered_addresses_are_bounded():
    clients = Clients([built(address="0.0.0.0/0")])
    for number in range(ADDRESSES_MAX + 10):
        assert clients.find(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert ADDRESSES_MAX * 7 // 8 < len(clients._found) <= ADDRESSES_MAX


def test_a_table_of_the_manual_is_understood_whole():
    """OPERATIONS section 15, the `[[nas]]` example."""
    nas = nas_from(
        {
            "name": "fs-edge",
            "address": "127.0.0.1/32",
            "secret": "testing123",
            "profile": "freeswitch",
            "require_message_authenticator": "no",
            "limit_proxy_state": "auto",
            "accept_foreign_nonce": True,
            "realms": ["example.com"],
            "authorize_without_credentials": True,
            "identity": ["Digest-Username", "User-Name"],
            "trust_calling_station_id": False,
            "coa": "127.0.0.1:3799",
            "quantum": "adaptive",
            "on_store_down": "deny",
            "numbers": {"country": "49", "international": ["00", "+"], "national": "0"},
        },
        {
            "quantum_fixed": "60s",
            "quantum_min": "30s",
            "quantum_max": "5m",
            "validity": 600,
            "hold": "180s",
            "setup": "180s",
            "grace": "20s",
            "session_cap": "4h",
            "assume": "reported",
            "emergency": ["112", "911"],
            "on_store_down": "silence",
        },
    )

    assert nas.policy == Policy(quantum="adaptive")
    assert (nas.coa, nas.on_store_down, nas.refill) == (("127.0.0.1", 3799), "deny", "reauth")
    assert nas.emergency == {"112", "911"}
    assert nas.numbers.country == "49"
    assert [source.code for source in nas.identity] == [115, 1]


@pytest.mark.parametrize(
    ("settings", "quantum", "refill", "assumes"),
    [
        ({}, "whole", "whole", True),
        ({"quantum": "fixed"}, "fixed", "reauth", False),
        ({"profile": "freeswitch"}, "adaptive", "reauth", False),
        ({"profile": "freeswitch", "quantum": "whole"}, "whole", "whole", True),
        ({"profile": "freeswitch-stock"}, "whole", "whole", True),
        ({"quantum": "whole", "assume": "reported"}, "whole", "whole", False),
    ],
)
def test_quantum_is_whole_where_the_refill_is_not_proven(settings, quantum, refill, assumes):
    """S9, S8."""
    nas = built({"quantum": "adaptive"}, **settings)

    assert (nas.policy.quantum, nas.refill, nas.policy.assume_granted) == (quantum, refill, assumes)


@pytest.mark.parametrize(
    ("profile", "own_setting", "all_setting", "effective"),
    [
        ("generic", None, None, "silence"),
        ("generic", None, "deny", "deny"),
        ("freeswitch", None, "silence", "deny"),
        ("freeswitch", "silence", "deny", "silence"),
    ],
)
def test_outage_policy_of_the_client_then_the_profile_then_all(profile, own_setting, all_setting, effective):
    """S12: FreeSWITCH must always be answered."""
    assert built({"on_store_down": all_setting}, profile=profile, on_store_down=own_setting).on_store_down == effective


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 0),
        ({"outage_call": "20s"}, 0),
        ({"on_store_down": "allow_capped"}, 90),
        ({"on_store_down": "allow_capped", "outage_call": "20s"}, 20),
    ],
)
def test_calls_are_capped_in_an_outage_only_where_the_client_allows_any(settings, seconds):
    """S12: everybody else is granted nothing while the store is down."""
    assert built({"outage_call": "90s"}, **settings).policy.outage_call_s == seconds


def test_a_key_of_charging_may_be_set_for_one_client():
    assert built({"quantum_fixed": "60s"}, quantum="fixed", quantum_fixed="30s").policy.quantum_fixed == 30


def test_every_problem_of_a_table_is_named():
    with pytest.raises(ConfigError) as refused:
        nas_from(
            {
                "name": "bad",
                "address": "10.0.0.1/8",
                "profile": "none",
                "identity": ["No-Such-Name", "Cisco-AVPair"],
                "quantum": "some",
                "coa": "somewhere",
                "limit_proxy_state": "maybe",
                "hold": "soon",
                "on_store_down": "panic",
                "quantum_min": "10m",
            },
            {},
        )

    keys = [problem.split(": ")[1] for problem in refused.value.problems]
    assert all(problem.startswith("[[nas]] bad: ") for problem in refused.value.problems)
    assert sorted(keys) == sorted(
        [
            "address",
            "secret",
            "profile",
            "identity",
            "identity",
            "quantum",
            "coa",
            "limit_proxy_state",
            "hold",
            "on_store_down",
            "quantum_min",
        ]
    )


def test_a_profile_that_cannot_refill_takes_no_quantum():
    with pytest.raises(ConfigError, match="cannot refill"):
        built(profile="freeswitch-stock", quantum="adaptive")


def test_an_operators_own_profile_changes_a_shipped_one():
    mine = own("mine", {"base": "freeswitch", "rejects_by_accept": True, "grants_by": ["credit-time"]})

    assert (mine.name, mine.rejects_by_accept, mine.grants_by) == ("mine", True, ("credit-time",))
    assert nas_from({**TABLE, "profile": "mine"}, {}, {**SHIPPED, "mine": mine}).profile is mine


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"base": "none"}, "base: no profile 'none'"),
        ({"colour": "red"}, "colour: no such profile key"),
        ({"signs_answers": "no"}, "signs_answers: expected bool, got str"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_key(settings, reason):
    with pytest.raises(ValueError, match=reason):
        own("mine", settings)
