"""The switches against CVE-2024-3596: what each client must sign, and what `auto` learns (DIGEST R-RAD-20..28)."""

from __future__ import annotations

import pytest

from aaa.radius import packet as p
from tests.radius_kit import Bench, nas

PROXIED = (33, b"p1")


def answered(served: Bench, *attributes, **more) -> bool:
    reply = served.access((1, "bob"), *attributes, password="hello", **more)
    assert reply is None or reply.code == p.ACCESS_ACCEPT
    return reply is not None


@pytest.mark.parametrize(
    ("switch", "unsigned", "after_a_signed_one"),
    [("yes", False, False), ("auto", True, False), ("no", True, True)],
)
def test_message_authenticator_is_required_as_configured(switch, unsigned, after_a_signed_one):
    served = Bench(nas(require_message_authenticator=switch))

    assert answered(served) is unsigned
    assert answered(served, signed=True)
    assert answered(served) is after_a_signed_one


@pytest.mark.parametrize(
    ("switch", "first", "after_a_direct_one"),
    [("yes", False, False), ("auto", True, False), ("no", True, True)],
)
def test_unsigned_proxy_state_is_limited_as_configured(switch, first, after_a_direct_one):
    served = Bench(nas(limit_proxy_state=switch))

    assert answered(served, PROXIED) is first
    assert answered(served)
    assert answered(served, PROXIED) is after_a_direct_one
    assert answered(served, PROXIED, signed=True)


def test_what_one_client_showed_says_nothing_of_another():
    served = Bench(
        nas(name="a", address="127.0.0.1/32", require_message_authenticator="auto"),
        nas(name="b", address="127.0.0.2/32", require_message_authenticator="auto"),
    )
    assert answered(served, signed=True)

    assert answered(served, address=("127.0.0.2", 1))
    assert not answered(served)


def test_what_one_switch_showed_says_nothing_of_its_neighbours():
    """An entry for a network: a switch that signs must not silence one beside it that cannot."""
    served = Bench(nas(address="127.0.0.0/8", require_message_authenticator="auto", limit_proxy_state="auto"))
    assert answered(served, signed=True)
    assert answered(served, address=("127.0.0.2", 1))

    assert answered(served, PROXIED, address=("127.0.0.3", 1))
    assert not answered(served, PROXIED, address=("127.0.0.2", 1))
    assert not answered(served)


def test_a_wrong_signature_teaches_nothing():
    served = Bench(nas(require_message_authenticator="auto"))
    assert not answered(served, signed=True, secret=b"other")

    assert answered(served)
    assert served.dropped() == {"bad_signature": 1}


def test_a_client_that_must_always_be_answered_is_told_no_instead_of_nothing():
    """FreeSWITCH waits 3 x its timeout for silence."""
    assert Bench(nas(profile="freeswitch")).access((1, "bob"), (30, "44")).code == p.ACCESS_REJECT
    assert Bench(nas()).access((1, "bob"), (30, "44")) is None


def test_repeated_names_are_never_chosen_from():
    """neg-rad-081: never authenticate one name and charge the other."""
    served = Bench()
    reply = served.access((1, "bob"), (1, "alice"), password="hello")

    assert (reply.code, served.node.submitted) == (p.ACCESS_REJECT, [])
