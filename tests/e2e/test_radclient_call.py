"""
A prepaid call placed by a foreign client, Debian's radclient, against the running server.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.process import NAS, Aaad, provisioned


def access(user: str, sid: str, called: str = "442012345678") -> str:
    return f'User-Name="{user}"\nUser-Password="{user}"\nAcct-Session-Id="{sid}"\nCalled-Station-Id="{called}"'


def acct(status: str, sid: str, seconds: int | None = None) -> str:
    text = f'Acct-Status-Type={status}\nAcct-Session-Id="{sid}"\nUser-Name="alice"'
    return text if seconds is None else f"{text}\nAcct-Session-Time={seconds}"


def test_the_whole_affordable_time_is_granted_and_settled(aaad: Callable[..., Aaad]) -> None:
    """
    0.50 at 0.60 per 60 s in pulses of 30/6: 48 s, all of it held; a Stop of 48 s costs 0.48.
    """
    server = aaad(NAS + 'quantum = "whole"\n')
    server.apply(provisioned({"alice": "0.50"}, pulse="30/6"))

    (accept,) = server.radclient("auth", access("alice", "c1"))

    assert "Access-Accept" == accept["code"]
    assert "48" == accept["Session-Timeout"]
    assert ("0.500000", "0.480000", "0.020000") == server.balance("alice")

    assert ["Accounting-Response"] == [a["code"] for a in server.radclient("acct", acct("Start", "c1"))]
    assert ["Accounting-Response"] == [a["code"] for a in server.radclient("acct", acct("Stop", "c1", 48))]
    assert ("0.020000", "0.000000", "0.020000") == server.balance("alice")
    assert 0 == server.mismatches()


def test_an_interim_settles_and_extends_a_fixed_quantum(aaad: Callable[..., Aaad]) -> None:
    server = aaad(NAS + 'quantum = "fixed"\nquantum_fixed = "60s"\n')
    server.apply(provisioned({"alice": "5.00"}))

    (accept,) = server.radclient("auth", access("alice", "c1"))
    assert "60" == accept["Session-Timeout"]
    assert ("5.000000", "0.600000", "4.400000") == server.balance("alice")

    server.radclient("acct", acct("Start", "c1"), acct("Interim-Update", "c1", 45))
    (session,) = server.sessions()

    assert 105 == session["lines"][0]["granted"]
    assert ("5.000000", "1.050000", "3.950000") == server.balance("alice")

    server.radclient("acct", acct("Stop", "c1", 50))
    assert ("4.500000", "0.000000", "4.500000") == server.balance("alice")
    assert 0 == server.mismatches()


def test_an_empty_account_and_a_wrong_password_are_rejected(aaad: Callable[..., Aaad]) -> None:
    server = aaad()
    server.apply(provisioned({"alice": "0.00", "bob": "1.00"}))
    answers = server.radclient("auth", access("alice", "c1"), access("bob", "c2").replace('rd="bob', 'rd="no'))

    assert ["Access-Reject", "Access-Reject"] == [answer["code"] for answer in answers]
    assert [] == server.sessions()


@pytest.mark.parametrize(
    ("profile", "charging"),
    [
        ("generic", 'quantum = "whole"\n'),
        ("generic", 'quantum = "fixed"\nquantum_fixed = "30s"\n'),
        ("generic", 'quantum = "adaptive"\n'),
        ("freeswitch", 'quantum = "adaptive"\n'),
        ("freeswitch", 'quantum = "whole"\n'),
    ],
)
def test_twenty_parallel_calls_never_get_more_than_the_credit(
    aaad: Callable[..., Aaad], profile: str, charging: str
) -> None:
    """
    Credit for 100 s: what 20 simultaneous requests are granted sums to at most 100 s, all of it held.
    """
    server = aaad(NAS + f'profile = "{profile}"\n' + charging)
    server.apply(provisioned({"alice": "1.00"}))

    answers = server.radclient("auth", *(access("alice", f"c{n}") for n in range(20)), parallel=20)
    granted = [int(answer["Session-Timeout"]) for answer in answers if answer["code"] == "Access-Accept"]

    assert 20 == len(answers)
    assert 0 < sum(granted) <= 100
    assert f"{sum(granted) / 100:.6f}" == server.balance("alice")[1]

    held = {session["key"].rpartition(":")[2]: session for session in server.sessions()}
    stops = [acct("Stop", sid, session["lines"][0]["granted"]) for sid, session in held.items()]
    server.radclient("acct", *stops, parallel=20)

    assert f"{1 - sum(granted) / 100:.6f}" == server.balance("alice")[0]
    assert "0.000000" == server.balance("alice")[1]
    assert 0 == server.mismatches()


def test_a_bundle_is_spent_before_the_money(aaad: Callable[..., Aaad]) -> None:
    """
    60 s of bundle and 0.50 of money at 0.01 per second: 110 s; a call of 80 s leaves 0.30.
    """
    server = aaad(NAS + 'quantum = "whole"\n')
    server.apply(provisioned({"alice": "0.50"}) + '[[account.bucket]]\nunit = "seconds"\namount = 60\n')
    (accept,) = server.radclient("auth", access("alice", "c1"))
    assert accept["Session-Timeout"] == "110"
    server.radclient("acct", acct("Start", "c1"))
    server.kill()
    server.start()
    server.radclient("acct", acct("Stop", "c1", 80))

    shown = server.api("GET", "/v1/accounts/alice/balance")
    assert shown["balance"]["amount"] == "0.300000"
    assert shown["buckets"][0]["amount"] == 0
    assert server.mismatches() == 0


def test_usage_that_nobody_pays_for_is_kept_with_whom_the_switch_named(aaad: Callable[..., Aaad]) -> None:
    """A Stop of a session nobody announced and a user nobody knows: what a person needs to find the payer."""
    server = aaad(NAS + 'numbers = { country = "44", international = ["00", "+"] }\n')
    server.apply(provisioned({"alice": "0.50"}))
    stop = acct("Stop", "stray", 65).replace("alice", "stranger")
    stop += '\nCalled-Station-Id="0049301234567"\nCalling-Station-Id="+442079460001"'
    server.radclient("acct", stop)
    (unrated,) = server.api("GET", "/v1/cdrs?unrated=true")["items"]

    assert (None, "stranger", "442079460001") == (unrated["account"], unrated["subscriber"], unrated["caller"])
    assert ("49301234567", 65, "orphan") == (unrated["destination"], unrated["used"], unrated["cause"])
    assert ("radius", "test") == (unrated["protocol"], unrated["origin"])
