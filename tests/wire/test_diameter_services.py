"""Services of a session one by one: which way a call goes, when its client reports, which of them is asked anew."""

from __future__ import annotations

import json

import pytest

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.engine.commands import Adjust
from tests.unit.diameter.kit import CLIENT, TARIFF, Ocs, ccr, rate
from tests.wire.test_diameter_negative import Wire

ALICE = "441632960001"
DATA = "32251@3gpp.org"
WAYS = TARIFF + rate("voice", "0.10", "60s", "60/60") + rate("voice", "0.02", "60s", "60/60").replace(
    'service = "voice"', 'service = "voice"\ndirection = "in"'
)  # fmt: skip
GROUPS = TARIFF + rate("data", "0.01", "1MB", "1/1", 10) + rate("data", "0.02", "1MB", "1/1", 20)


def call(role: int | None, **more) -> tuple:
    """Service-Information of a call, as originating (0), terminating (1) or forwarding (2) nodes tell it."""
    named = {} if role is None else {"Role-Of-Node": role}
    return ("Service-Information", {"IMS-Information": {**named, "Called-Party-Address": "tel:+442079460123", **more}})


def service(group: int, used: int | None = None, wants: bool = True, **more) -> tuple:
    units = {"Requested-Service-Unit": {}} if wants else {}
    if used is not None:
        units["Used-Service-Unit"] = {"CC-Total-Octets": used}
    return ("Multiple-Services-Credit-Control", {"Rating-Group": group, **units, **more})


def services(answer: dict) -> dict[int, dict]:
    return {one["Rating-Group"]: one for one in answer["Multiple-Services-Credit-Control"]}


@pytest.mark.parametrize(("role", "price"), [(0, 100_000), (1, 20_000), (2, 100_000), (None, 100_000)])
def test_a_call_is_priced_by_the_way_it_goes(tmp_path, role, price):
    ocs = Ocs(tmp_path, {ALICE: "10.00"}, WAYS)
    ocs.send(ccr("INITIAL_REQUEST", 0, ("Requested-Service-Unit", {"CC-Time": 60}), call(role)))
    assert ocs.available(ALICE) == 10_000_000 - price
    ocs.clock.at(60)
    ocs.send(ccr("TERMINATION_REQUEST", 1, ("Used-Service-Unit", {"CC-Time": 60}), call(role)))
    assert ocs.available(ALICE) == 10_000_000 - price
    assert ocs.mismatches() == 0


@pytest.mark.parametrize(("first", "then"), [(1, None), (None, 0)])
def test_which_way_a_call_goes_need_not_be_told_each_time(tmp_path, first, then):
    ocs = Ocs(tmp_path, {ALICE: "10.00"}, WAYS)
    price = 20_000 if first == 1 else 100_000
    parts = {"Requested-Service-Unit": {"CC-Time": 60}}
    ocs.send(ccr("INITIAL_REQUEST", 0, ("Multiple-Services-Credit-Control", {"Rating-Group": 1, **parts}), call(first)))
    parts["Used-Service-Unit"] = {"CC-Time": 60}
    for number in (1, 2):
        ocs.clock.at(60 * number)
        ocs.restart()
        again = ("Multiple-Services-Credit-Control", {"Rating-Group": 1, **parts})
        ocs.send(ccr("UPDATE_REQUEST", number, again, call(then)))
    assert ocs.available(ALICE) == 10_000_000 - 3 * price
    ocs.send(ccr("TERMINATION_REQUEST", 3, ("Multiple-Services-Credit-Control", {"Rating-Group": 1})))
    assert ocs.available(ALICE) == 10_000_000 - 2 * price
    assert len(ocs.server.store.provision(_lines)) == 1


def _lines(connection):
    from aaa.store import tables

    (row,) = connection.execute(tables.cdr.select()).mappings()
    return json.loads(row["lines"])


def test_a_client_is_told_after_which_changes_to_report(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "10.00"}, GROUPS, triggers=["rat", "serving_node"])
    answer = ocs.send(ccr("INITIAL_REQUEST", 0, service(10), service(20), context=DATA))
    assert [one["Trigger"] for one in services(answer).values()] == [{"Trigger-Type": 61}] * 2  # the last of both
    changed = {"Reporting-Reason": 6, "Trigger": {"Trigger-Type": 4}}
    answer = ocs.send(ccr("UPDATE_REQUEST", 1, service(10, 4_000_000, **changed), context=DATA))
    (again,) = services(answer).values()
    assert (again["Result-Code"], again["Granted-Service-Unit"]) == (2001, {"CC-Total-Octets": 10_000_000})
    assert "Trigger" in again
    assert ocs.available(ALICE) == 10_000_000 - 40_000 - 100_000 - 200_000


def test_an_empty_list_disarms_every_change(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "10.00"}, GROUPS, triggers=[])
    answer = ocs.send(ccr("INITIAL_REQUEST", 0, service(10), context=DATA))
    assert services(answer)[10]["Trigger"] == {}


def ended(tmp_path) -> Ocs:
    """A session whose rating group 20 has come to the end of the money, while 10 has some quota left."""
    ocs = Ocs(tmp_path, {ALICE: "0.25"}, GROUPS)
    answer = services(ocs.send(ccr("INITIAL_REQUEST", 0, service(10), service(20), context=DATA)))
    assert ["Final-Unit-Indication" in answer[group] for group in (10, 20)] == [False, True]
    return ocs


def test_after_a_topup_only_the_rating_group_without_money_is_asked(tmp_path):
    ocs = ended(tmp_path)
    ocs.order(Adjust(1_000_000, "topup", "t1"), 1)
    ((command, request),) = ocs.link.asked
    assert (command, request["Rating-Group"], request["Re-Auth-Request-Type"]) == (n.RE_AUTH, 20, 0)


def test_a_service_that_got_quota_leaves_the_other_waiting(tmp_path):
    ocs = ended(tmp_path)
    ocs.send(ccr("UPDATE_REQUEST", 1, service(10, 0, wants=False), context=DATA))
    ocs.order(Adjust(1_000_000, "topup", "t1"), 1)
    assert [request["Rating-Group"] for _, request in ocs.link.asked] == [20]


def test_of_several_services_without_money_the_session_is_asked(tmp_path):
    ocs = ended(tmp_path)
    answer = ocs.send(ccr("UPDATE_REQUEST", 1, service(10, 10_000_000), context=DATA))
    assert services(answer)[10]["Result-Code"] == 4012
    ocs.order(Adjust(1_000_000, "topup", "t1"), 1)
    ((command, request),) = ocs.link.asked
    assert command == n.RE_AUTH
    assert "Rating-Group" not in request


def test_a_session_nobody_told_of_here_is_asked_for_what_ended(tmp_path):
    """After a restart the cached session says which of its lines is final."""
    ocs = ended(tmp_path)
    ocs.restart()
    ocs.send(ccr("UPDATE_REQUEST", 1, service(10, 0, wants=False), context=DATA))
    ocs.order(Adjust(1_000_000, "topup", "t1"), 1)
    assert [request["Rating-Group"] for _, request in ocs.link.asked] == [20]


@pytest.mark.parametrize(("code", "left"), [(5002, 10_000_000), (2002, 9_900_000), (3002, 9_900_000)])
@pytest.mark.parametrize("ask", ["abort", "reauthorize"])
def test_a_session_its_client_does_not_know_holds_nothing_any_more(tmp_path, ask, code, left):
    wire = Wire(tmp_path)
    connection = wire.opened()
    units = ("Requested-Service-Unit", {"CC-Time": 60})
    wire.send(connection, ccr("INITIAL_REQUEST", 0, units))
    assert wire.ocs.available(ALICE) == 9_900_000
    assert getattr(wire.server, ask)(f"d|{CLIENT}|{CLIENT};1;1")
    (asked,) = wire.send(connection)
    told = (
        codec.text(n.SESSION_ID, f"{CLIENT};1;1") + codec.u32(n.RESULT_CODE, code) + codec.text(n.ORIGIN_HOST, CLIENT)
    )
    flags = 0x60 if code == 3002 else 0x40
    wire.send(connection, codec.message(flags, asked.command, 4, asked.hop_by_hop, asked.end_to_end, [told]))
    assert wire.ocs.available(ALICE) == left
    used = ("Used-Service-Unit", {"CC-Time": 60})
    wire.send(connection, ccr("TERMINATION_REQUEST", 1, used))
    assert wire.ocs.available(ALICE) == 9_900_000  # what comes all the same is charged
    assert wire.ocs.mismatches() == 0
