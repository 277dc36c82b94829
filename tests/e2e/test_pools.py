"""
Two phones on one purse, with the real server on either database: cut when the purse is empty, to the second (S10).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aaa.cli.main import run
from tests.e2e.test_radclient_call import access
from tests.support.process import NAS, Aaad, provisioned

QUANTA = ('quantum = "fixed"\nquantum_fixed = "47s"\n', 'quantum = "adaptive"\n')
MEMBERS = "".join(
    f'[[account]]\nid = "{name}"\ncurrency = "EUR"\ntariff = "retail"\npool = "family"\n'
    f'[[account.subscription]]\ntype = "username"\nvalue = "{name}"\npassword = "{name}"\n'
    for name in ("alice", "bob")
)


def acct(status: str, user: str, seconds: int = 0) -> str:
    return f'Acct-Status-Type={status}\nAcct-Session-Id="call-{user}"\nUser-Name="{user}"\nAcct-Session-Time={seconds}'


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, aaad: Callable[..., Aaad]) -> Callable[[str], Aaad]:
    """Start a server on either database."""
    url = request.getfixturevalue("database") if request.param == "postgresql" else None
    return lambda config: aaad(NAS + 'profile = "freeswitch"\n' + config, url)


@pytest.mark.parametrize("quantum", QUANTA)
def test_two_members_are_cut_after_what_the_pool_pays_in_all(server: Callable[[str], Aaad], quantum: str) -> None:
    """
    6.00 at 0.01 a second are 600 s: both talk, each asks anew when its quantum is over, until neither gets any more.
    """
    aaad = server(quantum)
    aaad.apply(provisioned({"family": "6.00"}) + MEMBERS)
    talked = {"alice": 0, "bob": 0}
    told = {}
    for user in talked:
        (told[user],) = aaad.radclient("auth", access(user, f"call-{user}"))
        aaad.radclient("acct", acct("Start", user))
    talking = dict(told)
    while talking:
        for user, answer in list(talking.items()):
            talked[user] += int(answer["Session-Timeout"])
            (again,) = aaad.radclient("auth", access(user, f"call-{user}") + f"\nAcct-Session-Time={talked[user]}")
            if again["code"] == "Access-Accept":
                talking[user] = again
            else:
                del talking[user]
                aaad.radclient("acct", acct("Stop", user, talked[user]))

    assert 600 == sum(talked.values())
    assert min(talked.values()) > 0
    assert ("0.000000", "0.000000", "0.000000") == aaad.balance("family")
    assert [("alice", talked["alice"]), ("bob", talked["bob"])] == sorted(
        aaad.rows("SELECT account.name, used FROM cdr JOIN account ON account.id = cdr.account_id")
    )
    assert 0 == aaad.mismatches()


def test_money_for_a_member_goes_to_its_pool(server: Callable[[str], Aaad], capsys: pytest.CaptureFixture[str]) -> None:
    """A top-up for Alice is for all; what her call holds cannot be moved away; she leaves when nothing can change."""
    aaad = server('quantum = "fixed"\nquantum_fixed = "60s"\n')
    aaad.apply(provisioned({"family": "0.00", "shop": "5.00"}) + MEMBERS)
    body = {"amount": "1.00", "idempotency_key": "k1"}
    moved = [aaad.api("POST", "/v1/accounts/alice/topups", body) for _ in range(2)]
    assert [("family", False), ("family", True)] == [(each["pool"], each["repeated"]) for each in moved]
    (accept,) = aaad.radclient("auth", access("bob", "call-bob"))
    assert "60" == accept["Session-Timeout"]

    assert ("1.000000", "0.600000", "0.400000") == aaad.balance("family") == aaad.balance("alice")
    order = {"payer": "family", "receiver": "shop", "amount": "0.50", "idempotency_key": "t1"}
    assert "more than is available" in aaad.request("POST", "/v1/transfers", order)[1]
    assert 422 == aaad.request("POST", "/v1/transfers", order | {"payer": "alice"})[0]
    status, text = aaad.request("PATCH", "/v1/accounts/bob", {"pool": None})
    assert status >= 400 and "account bob has sessions that run" in text
    aaad.radclient("acct", acct("Stop", "bob", 10))

    assert 0 == run(["--socket", aaad.socket, "account", "update", "bob", "--without", "pool"])
    assert 0 == run(["--socket", aaad.socket, "account", "list", "--pool", "family", "-o", "json"])
    assert '"id": "alice"' in capsys.readouterr().out.replace('"id":"', '"id": "')
    (reject,) = aaad.radclient("auth", access("bob", "call-2"))
    assert "Access-Reject" == reject["code"]
    assert ("0.900000", "0.000000", "0.900000") == aaad.balance("family")
    assert 0 == aaad.mismatches()
