"""The Diameter flows of the standards digest on the real engine and store: grants, and what is available."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aaa.engine.model import Adjust
from rating import parse_money
from tests.unit.diameter.kit import FLOW_TARIFF, Ocs, bar, ccr, rate

FLOWS = {
    flow["id"]: flow
    for flow in yaml.safe_load((Path(__file__).parents[1] / "data" / "diameter-flows.yaml").read_text())["flows"]
}
PAYER = "441632960001"
OURS = ("command", "CC-Request-Type", "CC-Request-Number", "Service-Context-Id", "Subscription-Id", "flags", "session")
PRICES = {"A3": ("0.05", "0.25"), "A4": ("0.05", "0.25")}  # messages are MMS there
SLICES = {"C8": {"validity": 30}}


def start(tmp_path, name: str) -> Ocs:
    flow = FLOWS[name]
    tariff = FLOW_TARIFF
    if name in PRICES:
        tariff = tariff.replace(rate("message", "0.05", "1"), rate("message", "0.25", "1"))
    return Ocs(tmp_path, {PAYER: flow["account"]["balance"], "441632960003": "1.00"}, tariff, **SLICES.get(name, {}))


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


def check(ocs: Ocs, step: dict, answer: dict) -> None:
    wanted = step["answer"]
    assert answer["Result-Code"] == wanted["Result-Code"], (step["n"], answer)
    if "Granted-Service-Unit" in wanted or "Multiple-Services-Credit-Control" in wanted:
        told = granted(answer)
        if "Multiple-Services-Credit-Control" not in wanted:
            told["services"] = []
        assert told == granted(wanted), (step["n"], answer)
    else:
        assert "Granted-Service-Unit" not in answer
    if "Check-Balance-Result" in wanted:
        assert answer["Check-Balance-Result"] == ["ENOUGH_CREDIT", "NO_CREDIT"].index(wanted["Check-Balance-Result"])
    if "Cost-Information" in wanted:
        value = answer["Cost-Information"]["Unit-Value"]
        micro = value["Value-Digits"] * 10 ** (6 + value.get("Exponent", 0))
        assert micro == parse_money(wanted["Cost-Information"]["Unit-Value"])
        assert answer["Cost-Information"]["Currency-Code"] == 978
    assert ocs.available(PAYER) == parse_money(step["after"]["available"]), (step["n"], answer)


@pytest.mark.parametrize(
    "name", ["A1", "A2", "A4", "A5", "A7", "C1", "C2", "C3", "C5", "C6", "C7", "G1", "G2", "G3", "G4", "G5", "G7", "G8"]
)
def test_a_flow_grants_and_leaves_what_it_says(tmp_path, name):
    ocs = start(tmp_path, name)
    for step in FLOWS[name]["steps"]:
        ocs.clock.at(60 * step["n"])
        request = step.get("request")
        if request and request["command"] == "CCR":
            check(ocs, step, ocs.send(asked(request, name, step["n"])))
        elif str(step.get("do", "")).startswith("top-up"):
            ocs.server.run(Adjust(parse_money("5.00"), "topup", "t1"), 1)


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


def test_a_refund_that_names_no_debit_is_refused_whatever_it_is_for(tmp_path):
    ocs = start(tmp_path, "A6")
    assert ocs.send(asked(FLOWS["A6"]["steps"][0]["request"], "A6", 1))["Result-Code"] == 4010
    assert ocs.available(PAYER) == parse_money("1.00")


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
    first, _, late = FLOWS["C8"]["steps"]
    ocs.clock.at(0)
    check(ocs, first, ocs.send(asked(first["request"], "C8", 1)))
    ocs.clock.at(261)  # grant, ringing and grace (S5)
    ocs.server.node.sweep()
    assert ocs.available(PAYER) == parse_money("10.00")
    for _ in range(2):
        assert ocs.send(asked(late["request"], "C8", 3))["Result-Code"] == 5002
    assert ocs.available(PAYER) == parse_money("9.90")


def test_a8_an_empty_account_is_refused_until_it_was_filled(tmp_path):
    ocs = start(tmp_path, "A8")
    steps = FLOWS["A8"]["steps"]
    assert ocs.send(asked(steps[0]["request"], "A8", 1))["Result-Code"] == 4012
    ocs.server.run(Adjust(parse_money("2.00"), "topup", "t1"), 1)
    again = {**steps[0]["request"], "session": "A8;2"}
    assert ocs.send(asked(again, "A8", 2))["Granted-Service-Unit"] == {"CC-Time": 60}
    assert ocs.available(PAYER) == parse_money("1.90")
