"""The Diameter flows of the standards digest on the real engine and store: grants, and what is available."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from aaa.diameter import names as n
from aaa.engine.commands import Adjust, Kill
from rating import parse_money
from tests.unit.diameter.kit import CLIENT, ENUMS, FLOW_TARIFF, TARIFF, Ocs, bar, ccr, rate

FLOWS = {
    flow["id"]: flow
    for flow in yaml.safe_load((Path(__file__).parents[1] / "data" / "diameter-flows.yaml").read_text())["flows"]
}
PAYER = "441632960001"
OURS = ("command", "CC-Request-Type", "CC-Request-Number", "Service-Context-Id", "Subscription-Id", "flags", "session")
PRICES = {"A3": ("0.05", "0.25"), "A4": ("0.05", "0.25")}  # messages are MMS there


PEERS = {
    "A1": {"validity": 3600},
    "A6": {"allow": ["session", "event", "refund", "credit"]},
    "A7": {"final_action": "redirect", "redirect_to": "sip:sip-topup-server@prepaid.example"},
    "A8": {"final_action": "redirect", "redirect_to": "http://topup.prepaid.example/"},
    "C8": {"validity": 30},
    "G1": {"validity": 3600, "volume_quota_threshold": 1_000_000, "quota_holding_time": 600},
    "G5": {"quota_holding_time": 60},
    "G10": {"low_balance": 200_000},
}
COMPARED = (
    "Final-Unit-Indication",
    "Validity-Time",
    "Quota-Holding-Time",
    "Volume-Quota-Threshold",
    "Check-Balance-Result",
    "Cost-Information",
    "Remaining-Balance",
    "Low-Balance-Indication",
)


def start(tmp_path, name: str) -> Ocs:
    flow = FLOWS[name]
    tariff = FLOW_TARIFF
    if name in PRICES:
        tariff = tariff.replace(rate("message", "0.05", "1"), rate("message", "0.25", "1"))
    return Ocs(tmp_path, {PAYER: flow["account"]["balance"], "441632960003": "1.00"}, tariff, **PEERS.get(name, {}))


def asked(request: dict, name: str, place: int) -> bytes:
    more = [(key, value) for key, value in request.items() if key not in (*OURS, "End-to-End", "from")]
    session = f"client.test.example;1;{request.get('session', name)}"
    if request["CC-Request-Type"] == "EVENT_REQUEST" and not str(request.get("flags", "")).endswith("T"):
        session += f";{place}"
    if name == "C1" and place == 5:
        session += ";next"
    is_new = "NEW" in str(request.get("End-to-End", ""))
    return ccr(
        request["CC-Request-Type"],
        request["CC-Request-Number"],
        *more,
        session=session,
        context=request["Service-Context-Id"],
        payer=request["Subscription-Id"]["Subscription-Id-Data"],
        flags=0xD0 if "T" in request.get("flags", "").split() else 0xC0,
        end_to_end=999 if is_new else 500 + request["CC-Request-Number"],
    )


def granted(answer: dict) -> dict:
    """The units of an answer, by MSCC where there are some."""
    found = answer.get("Granted-Service-Unit")
    services = answer.get("Multiple-Services-Credit-Control", [])
    final = "Final-Unit-Indication" in answer
    return {
        "units": _plain(found),
        "final": final,
        "services": [
            (
                one.get("Rating-Group", one.get("Service-Identifier")),
                _plain(one.get("Granted-Service-Unit")),
                one.get("Result-Code", 2001),
                "Final-Unit-Indication" in one,
            )
            for one in services
        ],
    }


def _plain(units: dict | None) -> dict | None:
    if units and "CC-Money" in units:
        value = units["CC-Money"]["Unit-Value"]
        if isinstance(value, dict):
            return {"micro": value["Value-Digits"] * 10 ** (6 + value.get("Exponent", 0))}
        return {"micro": parse_money(value)}
    return units


def plain(name: str, value):
    """A value of a flow or of an answer in a form both can be compared in."""
    if name in ("Cost-Information", "Remaining-Balance"):
        micro = _plain({"CC-Money": value})["micro"]
        return micro, value["Currency-Code"]
    if isinstance(value, dict):
        return {key: plain(key, one) for key, one in value.items()}
    if name == "Check-Balance-Result":
        return {"ENOUGH_CREDIT": 0, "NO_CREDIT": 1}.get(value, value)
    return ENUMS.get(value, value)


def told(part: dict, wanted: dict) -> dict:
    """What an answer, or a service in it, says of what the flow says; Final-Unit-Indications always."""
    names = [name for name in COMPARED if name in wanted or (name == COMPARED[0] and name in part)]
    return {name: plain(name, part[name]) if name in part else None for name in names}


def check(ocs: Ocs, step: dict, answer: dict) -> None:
    wanted = step["answer"]
    assert answer["Result-Code"] == wanted["Result-Code"], (step["n"], answer)
    if "Granted-Service-Unit" in wanted or "Multiple-Services-Credit-Control" in wanted:
        given = granted(answer)
        if "Multiple-Services-Credit-Control" not in wanted:
            given["services"] = []
        assert given == granted(wanted), (step["n"], answer)
    else:
        assert "Granted-Service-Unit" not in answer
    assert told(answer, wanted) == told(wanted, wanted), (step["n"], answer)
    services = wanted.get("Multiple-Services-Credit-Control", [])
    for service, one in zip(services, answer.get("Multiple-Services-Credit-Control", []), strict=False):
        assert told(one, service) == told(service, service), (step["n"], answer)
    check_available(ocs, step)


def check_available(ocs: Ocs, step: dict) -> None:
    assert ocs.available(PAYER) == parse_money(step["after"]["available"]), step["n"]


@pytest.mark.parametrize(
    "name",
    ["A1", "A2", "A4", "A5", "A6", "A7", "C1", "C2", "C3", "C5", "C6", "C7", "G1", "G2", "G3", "G5", "G7", "G8", "G10"],
)
def test_a_flow_grants_and_leaves_what_it_says(tmp_path, name):
    ocs = start(tmp_path, name)
    for step in FLOWS[name]["steps"]:
        ocs.clock.at(60 * step["n"])
        request = step.get("request")
        if request and request["command"] == "CCR":
            check(ocs, step, ocs.send(asked(request, name, step["n"])))
        elif str(step.get("do", "")).startswith("top-up"):
            ocs.order(Adjust(parse_money("5.00"), "topup", "t1"), 1)


@pytest.mark.parametrize(("name", "debit", "refund"), [("A3", 0, 1), ("G9", 0, 2)])
def test_a_refund_gives_back_the_debit_it_names_and_once(tmp_path, name, debit, refund):
    ocs = start(tmp_path, name)
    steps = FLOWS[name]["steps"]
    data = asked(steps[debit]["request"], name, 1)
    first = ocs.send(data)
    check(ocs, steps[debit], first)
    ocs.restart()
    assert ocs.send(data[:4] + b"\xd0" + data[5:]) == first
    request = {**steps[refund]["request"], "Refund-Information": first["Refund-Information"]}
    check(ocs, steps[refund], ocs.send(asked(request, name, 3)))
    ocs.restart()
    check(ocs, steps[refund], ocs.send(asked(request, name, 3)))
    assert ocs.send(asked(request, name, 4))["Result-Code"] == 5012
    assert ocs.available(PAYER) == parse_money("10.00")


def test_a_refund_that_names_no_debit_is_a_gift_that_few_may_make(tmp_path):
    ocs = start(tmp_path, "A6")
    (step,) = FLOWS["A6"]["steps"]
    data = asked(step["request"], "A6", 1)
    first = ocs.send(data)
    check(ocs, step, first)
    ocs.restart()
    assert ocs.send(data[:4] + b"\xd0" + data[5:]) == first
    check_available(ocs, step)
    assert ocs.mismatches() == 0
    ocs.link.peer = replace(ocs.link.peer, allow=ocs.link.peer.allow - {"credit"})
    assert ocs.send(asked({**step["request"], "CC-Request-Number": 1}, "A6", 2))["Result-Code"] == 4010
    check_available(ocs, step)


def test_c4_denials_at_the_first_interrogation(tmp_path):
    ocs = start(tmp_path, "C4")
    bar(ocs, "441632960003", "suspended")
    steps = FLOWS["C4"]["steps"]
    payers = ["441632960009", "441632960003", PAYER, PAYER]
    for step, payer in zip(steps, payers, strict=True):
        identity = {"Subscription-Id-Type": "END_USER_E164", "Subscription-Id-Data": payer}
        request = {**step["request"], "Subscription-Id": identity, "session": f"C4;{step['n']}"}
        answer = ocs.send(asked(request, "C4", step["n"]))
        check(ocs, step, answer)
    assert answer["Failed-AVP"] == {"Service-Context-Id": "99999@3gpp.org"}


def test_c8_a_silent_session_is_released_and_its_late_report_is_charged_once(tmp_path):
    ocs = start(tmp_path, "C8")
    first, _, late = deepcopy(FLOWS["C8"]["steps"])
    ocs.clock.at(0)
    del first["answer"]["Validity-Time"]  # never below the grant, or clients come back too early (S5)
    check(ocs, first, ocs.send(asked(first["request"], "C8", 1)))
    ocs.clock.at(261)  # grant, ringing and grace (S5)
    ocs.server.node.sweep()
    assert ocs.available(PAYER) == parse_money("10.00")
    for _ in range(2):
        assert ocs.send(asked(late["request"], "C8", 3))["Result-Code"] == 5002
    assert ocs.available(PAYER) == parse_money("9.90")


def test_a8_an_empty_account_is_redirected_and_asked_again_once_it_was_filled(tmp_path):
    ocs = start(tmp_path, "A8")
    first, topup, asks, update, last = FLOWS["A8"]["steps"]
    check(ocs, first, ocs.send(asked(first["request"], "A8", 1)))
    ocs.clock.at(300)
    ocs.order(Adjust(parse_money("2.00"), "topup", "t1"), 1)
    check_available(ocs, topup)
    ((command, request),) = ocs.link.asked
    assert command == n.RE_AUTH
    assert {name: request[name] for name in ("Auth-Application-Id", "Re-Auth-Request-Type")} == {
        "Auth-Application-Id": 4,
        "Re-Auth-Request-Type": ENUMS[asks["request"]["Re-Auth-Request-Type"]],
    }
    check(ocs, update, ocs.send(asked(update["request"], "A8", 4)))
    ocs.clock.at(360)
    check(ocs, last, ocs.send(asked(last["request"], "A8", 5)))


def test_g4_a_client_asked_to_report_gets_new_quota(tmp_path):
    ocs = start(tmp_path, "G4")
    first, asks, update, last = FLOWS["G4"]["steps"]
    check(ocs, first, ocs.send(asked(first["request"], "G4", 1)))
    group = asks["request"]["Rating-Group"]
    assert ocs.service.links.reauthorize(f"d|{CLIENT}|client.test.example;1;G4", {group})
    assert [(command, request["Rating-Group"]) for command, request in ocs.link.asked] == [(n.RE_AUTH, group)]
    check_available(ocs, asks)
    check(ocs, update, ocs.send(asked(update["request"], "G4", 3)))
    check(ocs, last, ocs.send(asked(last["request"], "G4", 4)))


def test_c9_a_client_that_lost_its_state_holds_nothing_any_more(tmp_path):
    ocs = start(tmp_path, "C9")
    first, restart = FLOWS["C9"]["steps"]
    check(ocs, first, ocs.send(asked(first["request"], "C9", 1)))
    ocs.service.in_state(CLIENT, 100)  # another connection of the same life
    ocs.server.node.sweep()
    check_available(ocs, first)
    ocs.restart()
    ocs.service.in_state(CLIENT, restart["request"]["Origin-State-Id"])
    ocs.server.node.sweep()
    check_available(ocs, restart)


def test_c9_a_session_begun_in_the_new_state_stays(tmp_path):
    ocs = start(tmp_path, "C9")
    first = FLOWS["C9"]["steps"][0]
    ocs.send(asked(first["request"], "C9", 1))
    begun = {**first["request"], "Origin-State-Id": 101, "session": "C9;new"}
    assert ocs.send(asked(begun, "C9", 2))["Result-Code"] == 2001
    ocs.server.node.sweep()
    check_available(ocs, first)  # the old session's hold is gone, the new one's is there


def test_c10_a_session_that_is_to_end_is_aborted_and_charged_for_what_it_used(tmp_path):
    ocs = start(tmp_path, "C10")
    first, kill, last = FLOWS["C10"]["steps"]
    check(ocs, first, ocs.send(asked(first["request"], "C10", 1)))
    ocs.order(Kill(f"d|{CLIENT}|client.test.example;1;C10"))
    assert [(command, request["Auth-Application-Id"]) for command, request in ocs.link.asked] == [(n.ABORT_SESSION, 4)]
    check_available(ocs, kill)
    ocs.clock.at(20)
    check(ocs, last, ocs.send(asked(last["request"], "C10", 3)))


CHEAP_FROM_0805 = (
    TARIFF
    + '[[tariff.calendar]]\nname = "cheap"\nfrom = "08:05"\nuntil = "20:00"\nweight = 10\n'
    + rate("data", "0.01", "1MB", "1/1", 10)
    + rate("data", "0.005", "1MB", "1/1", 10)
    + 'calendar = "cheap"\n'
)
CHANGE_NTP = 1_800_000_000 + 300 + 2_208_988_800  # the clock of these tests begins at 08:00


def quotas(answer: dict) -> list[tuple]:
    """The quotas of an answer: side of the change, units, when it changes, validity."""
    return [
        (
            one.get("Tariff-Change-Usage"),
            one["Granted-Service-Unit"]["CC-Total-Octets"],
            one["Granted-Service-Unit"].get("Tariff-Time-Change"),
            one["Validity-Time"],
        )
        for one in answer["Multiple-Services-Credit-Control"]
    ]


def data(kind: str, number: int, *used: tuple[int | None, int], wants: bool = True) -> bytes:
    """A data session's request; usage as (side of the change, octets)."""
    service: dict = {"Rating-Group": 10, "Requested-Service-Unit": {}} if wants else {"Rating-Group": 10}
    sides = [
        ({} if side is None else {"Tariff-Change-Usage": side}) | {"CC-Total-Octets": octets} for side, octets in used
    ]
    if sides:
        service["Used-Service-Unit"] = sides
    return ccr(kind, number, ("Multiple-Services-Credit-Control", service), context="32251@3gpp.org")


def test_g6_there_is_a_quota_for_either_side_of_a_price_change(tmp_path):
    """Both are held in full, 0.10 and 0.05, because the client may use both (the flow leaves the policy open)."""
    ocs = Ocs(tmp_path, {PAYER: "10.00"}, CHEAP_FROM_0805)
    first, last = FLOWS["G6"]["steps"]
    answer = ocs.send(asked(first["request"], "G6", 1))
    assert quotas(answer) == [(0, 10_000_000, CHANGE_NTP, 600), (1, 10_000_000, None, 600)]
    assert ocs.available(PAYER) == 9_850_000
    ocs.clock.at(400)
    ocs.restart()
    check(ocs, last, ocs.send(asked(last["request"], "G6", 2)))
    assert ocs.mismatches() == 0


def test_usage_is_priced_in_the_period_its_report_names_else_in_that_of_its_time(tmp_path):
    ocs = Ocs(tmp_path, {PAYER: "10.00"}, CHEAP_FROM_0805)
    ocs.send(data("INITIAL_REQUEST", 0))
    ocs.clock.at(120)
    ocs.send(data("UPDATE_REQUEST", 1, (None, 1_000_000)))  # 0.01
    assert ocs.available(PAYER) == 9_840_000
    ocs.clock.at(420)
    answer = ocs.send(
        data("UPDATE_REQUEST", 2, (0, 1_000_000), (1, 1_000_000), (None, 1_000_000))
    )  # 0.01, 0.005, 0.005
    assert quotas(answer) == [(None, 10_000_000, None, 600)]  # no change ahead any more
    assert ocs.available(PAYER) == 9_920_000
    assert ocs.send(data("TERMINATION_REQUEST", 3, (None, 2_000_000), wants=False))["Result-Code"] == 2001
    assert ocs.available(PAYER) == 9_960_000
    assert ocs.mismatches() == 0


def test_a_quota_that_cannot_be_paid_behind_the_change_ends_there(tmp_path):
    ocs = Ocs(tmp_path, {PAYER: "0.05"}, CHEAP_FROM_0805)
    ocs.clock.at(100)
    answer = ocs.send(data("INITIAL_REQUEST", 0))
    assert quotas(answer) == [(None, 5_000_000, None, 200)]
    assert ocs.available(PAYER) == 0


def test_what_was_used_before_the_change_and_told_late_is_charged_at_its_price(tmp_path):
    ocs = Ocs(tmp_path, {PAYER: "10.00"}, CHEAP_FROM_0805)
    ocs.send(data("INITIAL_REQUEST", 0))
    ocs.clock.at(1_500)
    ocs.server.node.sweep()
    assert ocs.available(PAYER) == 10_000_000
    late = data("TERMINATION_REQUEST", 1, (0, 4_000_000), (1, 2_000_000), wants=False)
    assert ocs.send(late)["Result-Code"] == 2001
    assert ocs.available(PAYER) == 9_950_000


A9_TARIFF = (
    TARIFF
    + rate("data", "1.00", "1MB")
    + rate("data", "0.10", "60s", "1/1", 1)
    + rate("data", "0.20", "1MB", "1/1", 2)
    + rate("data", "0.50", "1MB", "1/1", 3)
)
A9_SLICES = {  # of the model, by rating group: requested, so that they cap the quantum
    None: {"CC-Total-Octets": 5_000_000},
    1: {"CC-Time": 3_000},
    2: {"CC-Total-Octets": 12_500_000},
    3: {"CC-Total-Octets": 5_000_000},
}


def test_a9_several_services_share_an_account_without_pools(tmp_path):
    """
    Every quota is held on its own: there are no pools, so nothing is final while money is left, and rating group 2
    gets another quota when its first is used up.
    """
    ocs = Ocs(tmp_path, {PAYER: "100.00"}, A9_TARIFF, quantum_fixed=3_000, quantum_octets=20_000_000)
    for step in deepcopy(FLOWS["A9"]["steps"]):
        ocs.clock.at(60 * step["n"])
        for service in step["request"]["Multiple-Services-Credit-Control"]:
            if "Requested-Service-Unit" in service:
                service["Requested-Service-Unit"] = A9_SLICES[service.get("Rating-Group")]
        for service in step["answer"].get("Multiple-Services-Credit-Control", []):
            service.pop("Final-Unit-Indication", None)
        if step["n"] != 5:
            check(ocs, step, ocs.send(asked(step["request"], "A9", step["n"])))
            continue
        answer = ocs.send(asked(step["request"], "A9", 5))
        again, ended = answer["Multiple-Services-Credit-Control"]
        assert (again["Result-Code"], again["Granted-Service-Unit"]) == (2001, {"CC-Total-Octets": 12_500_000})
        assert (ended["Result-Code"], "Granted-Service-Unit" in ended) == (2001, False)
        assert ocs.available(PAYER) == parse_money(step["after"]["available"]) - 2_500_000
