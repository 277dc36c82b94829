"""Prepaid calls of a simulated FreeSWITCH with the shipped configuration, on the real engine and store."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import insert

from aaa.node.directory import StoreDirectory
from aaa.radius import checks
from aaa.radius.clients import Clients
from aaa.radius.service import RadiusService
from aaa.store import tables
from aaa.store.emergency import ensure_emergency_account
from tests.radius_freeswitch import FreeSwitch, Module
from tests.radius_kit import HOME, KEYS, SECRET, FakePort, nas
from tests.support.stores import START_US, Clock, Server, prepared
from tests.support.tariffs import flat

START_S = START_US // 1_000_000


class Prepaid:
    """A RADIUS service on a real node, and a FreeSWITCH in front of it."""

    def __init__(self, directory, balances: dict[str, str], price: str = "0.60", servers: int = 1, **settings):
        self.clock = Clock()
        self.url = prepared(directory, balances, flat(price))
        self.server = Server(self.url, self.clock)
        self.server.store.provision(
            lambda connection: connection.execute(
                insert(tables.subscription).values(type="ip", value="192.0.2.7", account_id=1, created_at=0)
            )
        )
        ensure_emergency_account(self.server.store, self.clock())
        self.server.node.forget()
        self.auth, self.acct = FakePort(checks.AUTH), FakePort(checks.ACCT)
        entry = nas(profile="freeswitch", authorize_without_credentials=True, **settings)
        directory_ = StoreDirectory(self.server.store, self.clock, self.server.node.flush)
        self.service = RadiusService(
            self.server.node, directory_, Clients([entry]), KEYS, lambda work, *rest: work(*rest)
        )
        self.is_reachable = True
        self.module = Module(self.exchange, SECRET, servers=servers)
        self.switch = FreeSwitch(self.module, START_S, lambda now_s: self.clock.at(now_s - START_S))

    def exchange(self, kind: str, data: bytes) -> bytes | None:
        if not self.is_reachable:
            return None
        port = self.auth if kind == "auth" else self.acct
        before = len(port.sent)
        address = (HOME[0], 1024 + int.from_bytes(os.urandom(2), "big") % 60_000)
        self.service.handle(data, address, port, self.clock())
        self.service.flush()
        return port.sent[-1][0] if len(port.sent) > before else None

    def account(self, number: int = 1):
        account, _ = self.server.store.account(number)
        return account

    def charged_micro(self, opening: str, number: int = 1) -> int:
        return round(float(opening) * 1_000_000) - self.account(number).balance_micro


@pytest.fixture
def prepaid(tmp_path):
    made = []

    def make(balances, **more):
        made.append(Prepaid(tmp_path, balances, **more))
        return made[-1]

    yield make
    for one in made:
        assert one.server.errors == []
        one.server.stop()


EIGHT = {"quantum": "fixed", "quantum_fixed": 8}


def test_a_call_is_renewed_until_the_money_ends_and_cut_to_the_second(prepaid):
    """S6: 8 s quanta, a balance for 18 s, asked again after 5, 10 and 15 s: ends at 18 s, charged 18 s."""
    world = prepaid({"alice": "0.18"}, **EIGHT)
    leg = world.switch.invite("442079460001")
    assert leg.bridged
    leg.answer()
    world.switch.run_until(leg, end_s=START_S + 60)

    assert leg.ended_s - leg.answered_s == 18
    assert world.charged_micro("0.18") == 180_000
    assert (world.account().reserved_micro, world.account().live_sessions) == (0, 0)


def test_an_outage_during_one_renewal_is_lived_through_on_the_old_grant(prepaid):
    """Capture 57: asked again after 2 s while the old grant runs."""
    world = prepaid({"alice": "0.18"}, **EIGHT)
    leg = world.switch.invite("442079460001")
    leg.answer()
    world.switch.run_until(leg, end_s=START_S + 4)
    world.is_reachable = False
    world.switch.run_until(leg, end_s=START_S + 6)
    world.is_reachable = True
    world.switch.run_until(leg, end_s=START_S + 60)

    assert leg.ended_s - leg.answered_s == 18
    assert world.charged_micro("0.18") == 180_000


def test_a_server_that_stays_away_ends_the_call_with_its_grant(prepaid):
    world = prepaid({"alice": "10.00"}, **EIGHT)
    leg = world.switch.invite("442079460001")
    leg.answer()
    world.is_reachable = False
    world.switch.run_until(leg, end_s=START_S + 60)

    assert leg.ended_s - leg.answered_s == 8


def test_without_money_the_call_gets_402_and_nothing_stays_held(prepaid):
    world = prepaid({"alice": "0.00"})
    leg = world.switch.invite("442079460001")

    assert (leg.bridged, leg.response) == ("", "402 Payment Required")
    assert (world.account().reserved_micro, world.charged_micro("0")) == (0, 0)


def test_without_a_server_the_call_gets_503(prepaid):
    world = prepaid({"alice": "1.00"})
    world.is_reachable = False

    assert world.switch.invite("442079460001").response == "503 Service Unavailable"


def test_the_caller_who_hangs_up_pays_what_was_used(prepaid):
    world = prepaid({"alice": "10.00"})
    leg = world.switch.invite("442079460001")
    leg.answer()
    world.switch.run_until(leg, end_s=START_S + 42)
    leg.hang_up()

    assert world.charged_micro("10.00") == 420_000
    assert world.account().reserved_micro == 0


def test_a_call_that_is_not_answered_costs_nothing(prepaid):
    world = prepaid({"alice": "10.00"})
    leg = world.switch.invite("442079460001")
    world.switch.run_until(leg, end_s=START_S + 30)
    leg.hang_up("NO_ANSWER")

    assert world.charged_micro("10.00") == 0
    assert world.account().reserved_micro == 0


def test_a_renewal_that_comes_twice_moves_nothing_twice(prepaid):
    """A second server is asked after a Reject, with another identifier: the same denial, the same sums."""
    world = prepaid({"alice": "0.08"}, servers=2, **EIGHT)
    leg = world.switch.invite("442079460001")
    leg.answer()
    world.switch.run_until(leg, end_s=START_S + 60)

    assert leg.ended_s - leg.answered_s == 8
    assert world.charged_micro("0.08") == 80_000


def test_a_transferred_call_is_one_session_with_two_legs(prepaid):
    """S14."""
    world = prepaid({"alice": "10.00"})
    leg = world.switch.invite("442079460001")
    leg.answer()
    world.switch.run_until(leg, end_s=START_S + 20)
    leg.route("442079460002")
    assert leg.bridged
    world.switch.run_until(leg, end_s=START_S + 50)
    leg.hang_up()

    assert world.charged_micro("10.00") == 500_000
    assert world.account().live_sessions == 0


@pytest.mark.parametrize(
    ("balance", "ends_s"),
    [("10.00", 300), ("5.00", 150)],
)
def test_two_calls_share_one_balance(prepaid, balance, ends_s):
    """S9: two $1/min calls on one balance end together, give or take quantum_min; the sum is exact."""
    world = prepaid({"alice": balance}, price="1.00", quantum="adaptive", quantum_min=30, quantum_max=120)
    legs = [world.switch.invite("442079460001"), world.switch.invite("442079460002")]
    for leg in legs:
        leg.answer()
    world.switch.run_until(*legs, end_s=START_S + 1000)
    used = [leg.ended_s - leg.answered_s for leg in legs]

    assert sum(used) == 2 * ends_s
    assert all(abs(one - ends_s) <= 30 for one in used)
    assert world.account().balance_micro == 0
    assert world.account().reserved_micro == 0


def test_twenty_calls_at_once_never_hold_more_than_the_money(prepaid):
    world = prepaid({"alice": "1.00"}, quantum="adaptive")
    legs = [world.switch.invite("442079460001") for _ in range(20)]
    granted = [int(leg.variables["h323-credit-time"]) for leg in legs if leg.bridged]

    assert sum(granted) <= 100
    assert world.account().reserved_micro <= 1_000_000


def test_an_emergency_call_goes_out_without_money(prepaid):
    """S21."""
    world = prepaid({"alice": "0.00"})

    assert world.switch.invite("112").bridged


def test_the_servers_answers_survive_the_clients_parser(prepaid):
    """Every attribute of an Accept is in the shipped dictionary, so all of them become variables."""
    world = prepaid({"alice": "1.00"}, **EIGHT)
    leg = world.switch.invite("442079460001")

    assert leg.variables["radius_auth_result"] == "0"
    assert (leg.variables["h323-credit-time"], leg.variables["Session-Timeout"]) == ("8", "8")
    assert leg.variables["Acct-Interim-Interval"] == "5"
    assert leg.variables["Chargeable-User-Identity"] == "192.0.2.7"


def test_a_digest_subscriber_is_the_payer_the_server_named(prepaid):
    """What the caller writes into From pays nothing."""
    world = prepaid({"alice": "1.00"})
    leg = world.switch.invite(
        "442079460001", "prepaid_subscribers", **{"Chargeable-User-Identity": "alice", "sip_from_user": "victim"}
    )

    assert leg.bridged
    assert world.account().reserved_micro > 0
    stranger = world.switch.invite("442079460001", "prepaid_subscribers", sip_from_user="alice")
    assert (stranger.bridged, stranger.response) == ("", "403 Forbidden")
