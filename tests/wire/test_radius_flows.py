"""The RADIUS flows R1 to R5 of the standards digest, and renewals, on the real engine and store."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from aaa.engine.commands import Adjust
from aaa.node.directory import StoreDirectory
from aaa.radius import attributes as a
from aaa.radius import checks
from aaa.radius import packet as p
from aaa.radius.clients import Clients, nas_from
from aaa.radius.profiles.shipped import SHIPPED, own
from aaa.radius.service import RadiusService
from aaa.store import tables
from tests.radius_kit import KEYS, FakePort, access_request, accounting_request, read_reply
from tests.support.stores import Clock, Server, prepared
from tests.support.tariffs import flat

BY_TIME = own("hotspot-by-time", {"refill": "interim", "limits_from_start": True})
TABLE = {"name": "nas1", "address": "127.0.0.0/8", "secret": "testing123", "limit_proxy_state": "no"}


class Flow:
    """A NAS that talks to a real node; amounts are read from the store."""

    def __init__(self, directory, balance: str, price: str, pulse: str = "1/1", tariff: str = "", **settings):
        self.clock = Clock()
        self.opening_micro = round(float(balance) * 1_000_000)
        self.server = Server(prepared(directory, {"alice": balance}, tariff or flat(price, pulse)), self.clock)
        credential = f'{{"clear": "{KEYS.seal(b"pw")}"}}'
        self.server.store.provision(
            lambda connection: (
                connection.execute(update(tables.subscription).values(credential=credential)),
                connection.execute(
                    insert(tables.subscription).values(type="username", value="x", account_id=1, created_at=0)
                ),
            )
        )
        self.server.node.forget()
        self.ports = FakePort(checks.AUTH), FakePort(checks.ACCT)
        self.service = RadiusService(
            self.server.node,
            StoreDirectory(self.server.store, self.clock, self.server.node.flush),
            Clients([nas_from({**TABLE, **settings}, {}, {**SHIPPED, "hotspot-by-time": BY_TIME})]),
            KEYS,
            lambda work, *rest: work(*rest),
        )
        self._ident = 0

    def _send(self, data: bytes, port: FakePort):
        before = len(port.sent)
        self.service.handle(data, ("127.0.0.1", 4000), port, self.clock())
        self.service.flush()
        return read_reply(port.sent[-1][0], data) if len(port.sent) > before else None

    def access(self, *attributes, password: str | None = "pw", user: str = "alice"):
        self._ident = (self._ident + 1) % 256
        return self._send(
            access_request((1, user), *attributes, password=password, ident=self._ident, signed=True), self.ports[0]
        )

    def account(self, status: int, *attributes):
        self._ident = (self._ident + 1) % 256
        return self._send(accounting_request((40, status), *attributes, ident=self._ident), self.ports[1])

    def dynauth(self) -> list[p.Packet]:
        return [p.decode(data) for data, _ in self.service.limits.dynauth.to_send(self.clock())]

    @property
    def figures(self) -> tuple[float, float]:
        """Balance as shown, and what is reserved beyond what is used."""
        account, _ = self.server.store.account(1)
        return account.shown_micro / 1e6, (account.reserved_micro - account.accrued_micro) / 1e6


@pytest.fixture
def flow(tmp_path):
    made = []

    def make(balance, price, **more):
        made.append(Flow(tmp_path, balance, price, **more))
        return made[-1]

    yield make
    for one in made:
        assert one.server.errors == []
        one.server.stop()


SID = (44, "S1")


def test_r1_hotspot_by_time_in_slices(flow):
    """Slices of 600 s at 0.06 per minute: asked again by State, the last slice says so, settled to the second."""
    nas1 = flow("1.00", "0.06", quantum="fixed", quantum_fixed=600)
    first = nas1.access(SID)
    assert (first.number(27), first.number(29), nas1.figures) == (600, 1, (1.0, 0.6))
    assert nas1.account(1, SID, (25, first[25])).code == p.ACCOUNTING_RESPONSE
    nas1.clock.at(300)
    nas1.account(3, SID, (46, 300), (1, "alice"))
    assert nas1.figures == (0.7, 0.6)  # the report extends what is held by what it used
    nas1.clock.at(600)
    second = nas1.access(SID, (24, first[24]))
    assert (second.code, second.number(27)) == (p.ACCESS_ACCEPT, 400)
    assert second.get(29) is None, "the last slice must let the NAS end the session"
    assert nas1.figures[1] <= 0.7
    nas1.clock.at(750)
    nas1.account(2, SID, (46, 750), (49, 1), (1, "alice"))

    assert nas1.figures == (0.25, 0.0)


def test_r1_the_same_renewal_again_gets_the_same_answer(flow):
    nas1 = flow("1.00", "0.06", quantum="fixed", quantum_fixed=100)
    first = nas1.access(SID)
    nas1.clock.at(100)
    second = nas1.access(SID, (24, first[24]))
    before = nas1.figures
    nas1.clock.at(101)
    third = nas1.access(SID, (24, first[24]))

    assert (third[27], third[24]) == (second[27], second[24])
    assert nas1.figures == before


def test_r2_voip_debit_card(flow):
    """Cisco: the balance first, then the call; another call meanwhile gets return code 12."""
    gw = flow("10.00", "0.10", pulse="60/60", profile="cisco-voip")
    conf = (a.H323_CONF_ID, "h323-conf-id=8E5F2A10 3C4B11D2 80010002 B3A4C5D6")
    told = gw.access(conf)
    assert told[a.H323_CREDIT_AMOUNT] == b"h323-credit-amount=10.00"
    assert gw.figures == (10.0, 0.0)
    granted = gw.access((30, "442079460001"), conf)
    assert granted[a.H323_CREDIT_TIME] == b"h323-credit-time=6000"
    assert gw.figures == (10.0, 10.0)
    second = gw.access((30, "442079460002"), (a.H323_CONF_ID, "h323-conf-id=1 2 3 4"))
    assert (second.code, second[a.H323_RETURN_CODE]) == (p.ACCESS_REJECT, b"h323-return-code=12")
    leg = (conf, (44, "0A1B"), (a.H323_CALL_ORIGIN, "h323-call-origin=originate"), (1, "alice"), (30, "442079460001"))
    gw.account(1, *leg)
    gw.clock.at(80)
    other = (conf, (44, "0A1C"), (a.H323_CALL_ORIGIN, "h323-call-origin=answer"), (46, 80), (1, "alice"))
    gw.account(2, *other)
    gw.account(2, *leg, (46, 75), (a.H323_DISCONNECT_CAUSE, "h323-disconnect-cause=10"))

    assert gw.figures == (9.8, 0.0)


def test_r3_accounting_disorder(flow):
    """A Stop nobody announced is charged once, whatever comes after it."""
    nas1 = flow("1.00", "0.06")
    who = (SID, (1, "alice"), (30, "4420"))
    nas1.clock.at(500)
    assert nas1.account(2, *who, (46, 120)).code == p.ACCOUNTING_RESPONSE
    assert nas1.figures == (0.88, 0.0)
    nas1.account(2, *who, (46, 120), (41, 5))
    nas1.account(3, *who, (46, 60))
    nas1.account(1, *who, (41, 125))
    nas1.account(2, *who, (46, 999))

    assert nas1.figures == (0.88, 0.0)


def test_r4_nas_reboot(flow):
    nas1 = flow("1.00", "0.06", quantum="fixed", quantum_fixed=600)
    nas1.access(SID, (32, "gw"))
    nas1.account(1, SID, (32, "gw"))
    nas1.clock.at(240)
    nas1.account(3, SID, (46, 240), (32, "gw"), (1, "alice"))
    nas1.account(7, (32, "gw"))
    nas1.server.node.sweep()

    assert nas1.figures == (0.76, 0.0)


def test_r5_quota_exhausted_by_interim(flow):
    """A NAS that ignores its limit is told to end the session; what it used beyond is charged."""
    spot = flow("0.30", "0.06", profile="hotspot-by-time", coa="127.0.0.1:3799")
    accept = spot.access(SID)
    assert accept.number(27) == 300
    spot.account(1, SID)
    spot.clock.at(300)
    spot.account(3, SID, (46, 300), (1, "alice"))
    (request,) = spot.dynauth()
    assert request.code == p.DISCONNECT_REQUEST
    spot.clock.at(302)
    spot.account(2, SID, (46, 302), (49, 6), (1, "alice"))

    assert spot.figures == (-0.002, 0.0)


@pytest.mark.parametrize("settings", [{}, {"profile": "freeswitch"}, {"quantum": "fixed", "quantum_fixed": 60}])
def test_twenty_simultaneous_requests_never_grant_more_than_the_money(flow, settings):
    """1.00 at 0.60 a minute is 100 s, whatever the profile."""
    nas1 = flow("1.00", "0.60", **settings)
    told = []
    for number in range(20):
        reply = nas1.access((44, f"S{number}"), (30, "4420"))
        told.append(reply.number(27) or 0 if reply.code == p.ACCESS_ACCEPT else 0)

    assert sum(told) == 100
    assert nas1.figures == (1.0, 1.0)
    for number, used in enumerate(told):
        if used:
            nas1.clock.at(used)
            nas1.account(2, (44, f"S{number}"), (46, used), (1, "alice"))
    assert nas1.figures == (0.0, 0.0)


def test_a_session_that_the_request_did_not_name_is_tied_to_its_start_by_class(flow):
    nas1 = flow("1.00", "0.60")
    accept = nas1.access()
    nas1.account(1, SID, (25, accept[25]))
    nas1.clock.at(50)
    nas1.account(2, SID, (25, accept[25]), (46, 50), (1, "alice"))

    assert nas1.figures == (0.5, 0.0)


def test_a_stop_with_another_name_in_it_settles_the_session_it_names(flow):
    nas1 = flow("1.00", "0.60")
    nas1.access(SID)
    nas1.clock.at(10)

    assert nas1.account(2, SID, (46, 10), (1, "nobody")).code == p.ACCOUNTING_RESPONSE
    assert nas1.figures == (0.9, 0.0)


def test_r6_a_top_up_during_the_session_extends_it(flow):
    """The next report moves the limit, counted from the session's start."""
    spot = flow("0.06", "0.06", profile="hotspot-by-time", coa="127.0.0.1:3799")
    assert spot.access(SID).number(27) == 60
    spot.account(1, SID)
    spot.server.run(Adjust(1_000_000, "topup", "t1"), 1)
    spot.clock.at(30)
    spot.account(3, SID, (46, 30), (1, "alice"))
    (request,) = spot.dynauth()
    assert (request.code, a.number(request.attributes, 27)) == (p.COA_REQUEST, 1060)
    spot.clock.at(90)
    spot.account(2, SID, (46, 90), (1, "alice"))

    assert spot.figures == (0.97, 0.0)


def test_r8_freeswitch_with_the_modules_own_fields(flow):
    """The Access-Request names the switch, not the call: its hold runs out, and the answer leg's Stop is charged."""
    fs = flow(
        "10.00",
        "0.10",
        pulse="60/60",
        profile="freeswitch-stock",
        trust_calling_station_id=True,
        authorize_without_credentials=True,
        require_message_authenticator="no",
    )
    who = ((31, "alice"), (30, "442079460001"))
    call = ((a.H323_CONF_ID, "u1"), *who)
    answer, originate = (a.H323_CALL_ORIGIN, "answer"), (a.H323_CALL_ORIGIN, "originate")
    fs.account(1, *call, answer)
    accept = fs.access((6, 8), (a.H323_CONF_ID, "core-uuid"), *who, password=None, user="")
    assert int(accept[a.H323_CREDIT_TIME]) == 6000
    fs.account(1, *call, originate)
    fs.account(1, *call, answer)
    fs.clock.at(80)
    fs.account(2, *call, originate, (46, 75))
    fs.account(2, *call, answer, (46, 75))
    assert fs.figures[0] == 9.8
    fs.clock.at(400)
    fs.server.node.sweep()

    assert fs.figures == (9.8, 0.0)


def test_a_proxys_call_lasts_from_answer_to_bye_by_its_event_times(flow):
    """DIGEST R-VOIP-20: no Acct-Session-Time is ever sent."""
    proxy = flow("10.00", "0.60", profile="kamailio", authorize_without_credentials=True)
    call = (44, "a84b4c76e66710@pc33")
    accept = proxy.access(call, (30, "sip:442079460001@pbx.example"), password=None)
    assert accept[a.SIP_AVP] == b"credit_time#999"
    start_s = proxy.clock() // 1_000_000
    proxy.clock.at(7)
    proxy.account(1, call, (55, start_s + 5), (6, 15))
    proxy.clock.at(82)
    proxy.account(2, call, (55, start_s + 80), (6, 15))

    assert proxy.figures == (9.25, 0.0)


def test_a_proxys_failed_call_releases_what_was_held(flow):
    proxy = flow("10.00", "0.60", profile="kamailio", authorize_without_credentials=True)
    call = (44, "a84b4c76e66710@pc33")
    proxy.access(call, (30, "442079460001"), password=None)
    proxy.account(15, call, (6, 15))

    assert proxy.figures == (10.0, 0.0)


def volume(price: str, time_price: str = "") -> str:
    """A tariff of data by volume, and by time as well if priced."""
    text = flat(price, unit="1MB", pulse="1000/1000", service="data")
    if time_price:
        text += (
            '[[tariff.rate]]\nprefix = ""\nservice = "data"\n'
            f'price = "{time_price}"\nprice_unit = "60s"\npulse = "1/1"\n'
        )
    return text


def test_a_hotspot_is_limited_in_what_its_tariff_prices(flow):
    """1.00 at 0.01 per megabyte is 100 megabytes; time is not priced, so it has no limit."""
    spot = flow("1.00", "0", tariff=volume("0.01"), profile="hotspot")
    accept = spot.access(SID)
    assert accept.get(27) is None
    assert accept.number(a.MIKROTIK_TOTAL_LIMIT) == 100_000_000
    spot.account(1, SID)
    spot.clock.at(100)
    spot.account(2, SID, (46, 100), (42, 5_000_000), (43, 15_000_000), (1, "alice"))

    assert spot.figures == (0.8, 0.0)


def test_time_and_volume_of_one_session_are_paid_from_one_balance(flow):
    """10 minutes at 0.06 and 10 megabytes at 0.01 are held together, and the rest is given back."""
    settings = {"quantum": "fixed", "quantum_fixed": 600, "coa": "127.0.0.1:3799", "profile": "hotspot"}
    spot = flow("1.00", "0", tariff=volume("0.01", "0.06"), **settings)
    spot.service.limits._proven.add("nas1")  # its CoA-ACK came before
    accept = spot.access(SID)
    assert (accept.number(27), accept.number(a.MIKROTIK_TOTAL_LIMIT)) == (600, 10_000_000)
    assert spot.figures == (1.0, 0.7)
    spot.account(1, SID)
    spot.clock.at(100)
    spot.account(2, SID, (46, 100), (42, 1_000_000), (43, 1_000_000), (1, "alice"))

    assert spot.figures == (0.88, 0.0)
