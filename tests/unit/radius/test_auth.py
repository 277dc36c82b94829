"""Proofs: who is accepted, who is not, and that nobody learns more than that."""

from __future__ import annotations

import hashlib

import pytest

from aaa.radius import attributes as a
from aaa.radius import packet as p
from aaa.radius.guesses import FAILURES_MAX
from tests.radius_kit import KEYS, Bench, FakeDirectory, nas, subscriber

REALM, URI = b"pbx.example", b"sip:4420@pbx.example"


def digest(password: bytes, nonce: bytes, nc: bytes = b"00000001", user: bytes = b"bob", method: bytes = b"INVITE"):
    def md5(*parts: bytes) -> bytes:
        return hashlib.md5(b":".join(parts)).hexdigest().encode()

    response = md5(md5(user, REALM, password), nonce, nc, b"cn", b"auth", md5(method, URI))
    return (
        (a.DIGEST_RESPONSE, response),
        (a.DIGEST_REALM, REALM),
        (a.DIGEST_NONCE, nonce),
        (a.DIGEST_METHOD, method),
        (a.DIGEST_URI, URI),
        (a.DIGEST_QOP, b"auth"),
        (a.DIGEST_CNONCE, b"cn"),
        (a.DIGEST_NONCE_COUNT, nc),
        (a.DIGEST_USERNAME, user),
    )


def bench(*people, **settings) -> Bench:
    return Bench(nas(**settings), directory=FakeDirectory(*(people or (subscriber("bob", "hello"),))))


# -- SIP digest, the flow R7 -------------------------------------------------------------------------


def challenged(served: Bench) -> tuple[bytes, bytes]:
    reply = served.access((1, "bob"), (a.DIGEST_METHOD, b"INVITE"), (a.DIGEST_URI, URI))
    assert reply.code == p.ACCESS_CHALLENGE
    return reply[a.DIGEST_NONCE], reply[a.STATE]


def test_a_nonce_of_ours_is_accepted_and_the_server_proves_itself():
    served = bench(realms=[REALM.decode()])
    nonce, state = challenged(served)
    reply = served.access((1, "bob"), *digest(b"hello", nonce), (a.STATE, state))

    assert reply.code == p.ACCESS_ACCEPT
    assert len(reply[a.DIGEST_RESPONSE_AUTH]) == 32


def test_an_old_nonce_is_challenged_as_stale_only_to_who_knows_the_password():
    served = bench()
    nonce, _ = challenged(served)
    served.now_us += 400_000_000
    stale = served.access((1, "bob"), *digest(b"hello", nonce))

    assert (stale.code, stale[a.DIGEST_STALE]) == (p.ACCESS_CHALLENGE, b"true")
    assert served.access((1, "bob"), *digest(b"hullo", nonce)).code == p.ACCESS_REJECT


def test_with_a_state_an_old_nonce_is_rejected():
    """RFC 5090 section 5, note 4."""
    served = bench()
    nonce, state = challenged(served)
    served.now_us += 400_000_000

    assert served.access((1, "bob"), *digest(b"hello", nonce), (a.STATE, state)).code == p.ACCESS_REJECT


def test_a_nonce_for_one_client_is_nothing_to_another():
    first, second = bench(), bench(name="nas2")
    nonce, _ = challenged(first)

    assert second.access((1, "bob"), *digest(b"hello", nonce)).code == p.ACCESS_REJECT


def test_ha1_alone_is_enough_and_bound_to_its_realm():
    ha1 = hashlib.md5(b"bob:pbx.example:hello").hexdigest()
    own = bench(subscriber("bob", ha1={"pbx.example": KEYS.seal(ha1.encode())}), accept_foreign_nonce=True)
    other = bench(subscriber("bob", ha1={"other.example": KEYS.seal(ha1.encode())}), accept_foreign_nonce=True)

    assert own.access((1, "bob"), *digest(b"hello", b"n")).code == p.ACCESS_ACCEPT
    assert other.access((1, "bob"), *digest(b"hello", b"n")).code == p.ACCESS_REJECT


def test_freeswitch_charges_the_digest_username_whatever_the_user_name_says():
    served = bench(
        subscriber("bob", "hello", 1),
        subscriber("victim", "other", 2),
        profile="freeswitch",
        accept_foreign_nonce=True,
    )
    reply = served.access((1, "victim"), (30, "4420"), (50, "call-1"), *digest(b"hello", b"n"))

    assert reply.code == p.ACCESS_ACCEPT
    assert served.node.submitted[0][1] == 1
    assert reply[a.CHARGEABLE_USER_IDENTITY] == b"bob"


def test_generic_needs_the_two_names_to_be_one():
    served = bench(subscriber("bob", "hello"), subscriber("victim", "hello"), accept_foreign_nonce=True)

    assert served.access((1, "victim"), *digest(b"hello", b"n")).code == p.ACCESS_REJECT
    assert served.access((1, "bob"), *digest(b"hello", b"n")).code == p.ACCESS_ACCEPT


def test_another_call_under_a_running_calls_call_id_gets_nothing():
    """Call-IDs are the caller's choice: it would ride on the first call's hold."""
    from tests.radius_kit import FakeNode, granted

    grants = iter((granted(60, number=1), granted(60, number=2)))
    served = Bench(
        nas(profile="freeswitch", accept_foreign_nonce=True),
        node=FakeNode(lambda command, account_id: next(grants)),
        directory=FakeDirectory(subscriber("bob", "hello")),
    )
    first = served.access((30, "4420"), (50, "call-1"), *digest(b"hello", b"n", b"00000001"))
    second = served.access((30, "4420"), (50, "call-1"), *digest(b"hello", b"n", b"00000002"))

    assert (first.code, second.code) == (p.ACCESS_ACCEPT, p.ACCESS_REJECT)
    assert served.node.begun()[0].identity != served.node.begun()[1].identity


# -- passwords ---------------------------------------------------------------------------------------


def test_pap_against_a_stored_ha1():
    ha1 = hashlib.md5(b"bob:r:hello").hexdigest()
    served = bench(subscriber("bob", ha1={"r": KEYS.seal(ha1.encode())}))

    assert served.access((1, "bob"), password="hello").code == p.ACCESS_ACCEPT
    assert served.access((1, "bob"), password="hullo").code == p.ACCESS_REJECT


def test_chap_needs_the_clear_text():
    served = bench(subscriber("bob", hash="{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00="))
    challenge = bytes(16)
    right = bytes([7]) + p.chap_response(7, b"hello", challenge)

    assert served.access((1, "bob"), (3, right), (60, challenge)).code == p.ACCESS_REJECT
    assert served.access((1, "bob"), password="hello").code == p.ACCESS_ACCEPT


def test_a_password_sealed_with_another_key_matches_nothing():
    from aaa.keys import Keys

    sealed = Keys([bytes(32)]).seal(b"hello")
    served = bench(subscriber("bob", clear=sealed))

    assert served.access((1, "bob"), password="hello").code == p.ACCESS_REJECT


@pytest.mark.parametrize("secret", [b"new", b"old"])
def test_during_a_rotation_an_unsigned_client_is_answered_with_the_secret_it_used(secret):
    served = bench(secret=["new", "old"])

    assert served.access((1, "bob"), password="hello", secret=secret).code == p.ACCESS_ACCEPT


@pytest.mark.parametrize("secret", [b"new", b"old"])
def test_during_a_rotation_any_secret_verifies(secret):
    served = bench(secret=["new", "old"])

    assert served.account((40, 1), (44, "s"), secret=secret).code == p.ACCOUNTING_RESPONSE
    assert served.access((1, "bob"), password="hello", secret=secret, signed=True).code == p.ACCESS_ACCEPT


def test_a_pin_is_its_own_proof_and_is_looked_up_by_its_keyed_hash():
    stored = subscriber(KEYS.fingerprints("pin", "123456789")[0], kind="pin")
    served = bench(stored, profile="cisco-voip")

    assert served.access((1, "123456789"), (30, "4420"), password="123456789").code == p.ACCESS_ACCEPT
    assert served.access((1, "123456780"), (30, "4420"), password="123456780").code == p.ACCESS_REJECT
    assert all("123456789" not in value for kind, value in served.directory.asked[0] if kind == "pin")


# -- no proof ----------------------------------------------------------------------------------------


def test_a_trusted_client_needs_no_proof_and_a_wrong_one_still_fails():
    served = bench(authorize_without_credentials=True)

    assert served.access((1, "bob")).code == p.ACCESS_ACCEPT
    assert served.access((1, "bob"), password="wrong").code == p.ACCESS_REJECT
    assert served.access((1, "nobody")).code == p.ACCESS_REJECT


def test_an_address_pays_where_the_client_says_so():
    served = bench(
        subscriber("192.0.2.7", kind="ip"),
        authorize_without_credentials=True,
        identity=["Cisco-AVPair:src-gw-ip", "Packet-Src-IP-Address"],
    )

    assert served.access((a.CISCO_AVPAIR, "src-gw-ip=192.0.2.7")).code == p.ACCESS_ACCEPT
    assert served.access((a.CISCO_AVPAIR, "src-gw-ip=192.0.2.8")).code == p.ACCESS_REJECT
    assert served.directory.asked == [[("ip", "192.0.2.7")], [("ip", "192.0.2.8")]]


def test_a_calling_number_pays_only_where_numbers_are_trusted():
    """S23."""
    people = (subscriber("441632960001", kind="e164"),)
    settings = {"authorize_without_credentials": True, "identity": ["Calling-Station-Id"]}

    assert bench(*people, **settings).access((31, "+441632960001")).code == p.ACCESS_REJECT
    trusted = bench(*people, trust_calling_station_id=True, **settings)
    assert trusted.access((31, "+441632960001")).code == p.ACCESS_ACCEPT


def test_the_first_identity_present_decides():
    """What stands in a later attribute never pays for what an earlier one names."""
    served = bench(authorize_without_credentials=True, identity=["Chargeable-User-Identity", "User-Name"])

    assert served.access((89, "nobody"), (1, "bob")).code == p.ACCESS_REJECT
    assert served.access((1, "bob")).code == p.ACCESS_ACCEPT


@pytest.mark.parametrize(("realms", "code"), [(["a.example"], p.ACCESS_ACCEPT), ([], p.ACCESS_REJECT)])
def test_a_realm_is_dropped_only_where_it_is_the_clients_own(realms, code):
    served = bench(authorize_without_credentials=True, realms=realms)

    assert served.access((1, "bob@a.example")).code == code


# -- guessing ----------------------------------------------------------------------------------------


def test_after_five_failures_even_the_right_password_waits():
    served = bench()
    for _ in range(FAILURES_MAX):
        assert served.access((1, "bob"), password="wrong").code == p.ACCESS_REJECT
    assert served.access((1, "bob"), password="hello").code == p.ACCESS_REJECT
    served.now_us += 31_000_000

    assert served.access((1, "bob"), password="hello").code == p.ACCESS_ACCEPT


def test_a_caller_cannot_guess_through_many_names():
    served = bench(*(subscriber(f"u{n}", "hello") for n in range(9)))
    for number in range(FAILURES_MAX):
        served.access((1, f"u{number}"), (31, "caller"), password="wrong")

    assert served.access((1, "u8"), (31, "caller"), password="hello").code == p.ACCESS_REJECT
    assert served.access((1, "u8"), (31, "other"), password="hello").code == p.ACCESS_ACCEPT


def test_an_unknown_user_costs_the_same_work_as_a_known_one():
    """R-RAD-38: with slow hashes in use, the password of nobody is hashed too."""
    served = bench(subscriber("slow", hash="$2b$04$uVZvu3WTzBqDTbJe5r1gbeZLQzFhXnzNGaGJqTxA3FPN0q5QKqY9S"))
    checked = []
    served.service.pool.check = lambda password, stored, now_us, done: (checked.append(stored[:4]), done(False))
    served.access((1, "slow"), password="x")
    served.access((1, "nobody"), password="x")

    assert checked == ["$2b$", "$2b$"]


def test_when_the_password_pool_is_full_the_request_is_dropped_not_queued():
    served = bench(subscriber("slow", hash="$2b$04$uVZvu3WTzBqDTbJe5r1gbeZLQzFhXnzNGaGJqTxA3FPN0q5QKqY9S"))
    served.service.pool._running = 1000

    assert served.access((1, "slow"), password="x") is None
    assert served.dropped() == {"overload": 1}
