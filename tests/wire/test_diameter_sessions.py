"""Sessions that are ended otherwise than they should be, have parts, or go on without money."""

from __future__ import annotations

import pytest

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.engine.commands import Adjust
from tests.unit.diameter.kit import CLIENT, FLOW_TARIFF, TARIFF, FakeLink, Ocs, body, ccr, rate, read

ALICE, BOB = "441632960001", "441632960003"
CALLED = ("Service-Information", {"IMS-Information": {"Called-Party-Address": "tel:+442079460123"}})


def used(seconds: int) -> tuple:
    return ("Used-Service-Unit", {"CC-Time": seconds})


def wants(seconds: int) -> tuple:
    return ("Requested-Service-Unit", {"CC-Time": seconds})


@pytest.fixture
def ocs(tmp_path):
    return Ocs(tmp_path, {ALICE: "10.00", BOB: "10.00"}, FLOW_TARIFF)


def test_the_end_of_a_call_nobody_announced_is_charged_once_and_refused(ocs):
    last = ccr("TERMINATION_REQUEST", 3, used(75), CALLED)
    for _ in range(2):
        assert ocs.send(last)["Result-Code"] == 5002
    ocs.restart()
    assert ocs.send(last)["Result-Code"] == 5002
    assert ocs.available(ALICE) == 9_800_000  # two minutes begun
    assert ocs.mismatches() == 0


@pytest.mark.parametrize(
    "last",
    [
        ccr("TERMINATION_REQUEST", 3, used(75)),
        ccr("TERMINATION_REQUEST", 3, used(75), CALLED, payer="441632960009"),
        ccr("UPDATE_REQUEST", 3, used(75), CALLED),
        ccr("TERMINATION_REQUEST", 3, used(0), CALLED),
    ],
    ids=["no-destination", "unknown-payer", "not-its-end", "unused"],
)
def test_what_says_too_little_to_be_priced_is_not_charged(ocs, last):
    assert ocs.send(last)["Result-Code"] == 5002
    assert ocs.available(ALICE) == 10_000_000


def test_an_end_that_names_another_payer_is_charged_to_the_one_who_began(ocs):
    ocs.send(ccr("INITIAL_REQUEST", 0, wants(60)))
    ocs.restart()
    assert ocs.send(ccr("TERMINATION_REQUEST", 1, used(60), CALLED, payer=BOB))["Result-Code"] == 2001
    assert (ocs.available(ALICE), ocs.available(BOB)) == (9_900_000, 10_000_000)


def str_(session: str = f"{CLIENT};1;1", origin: str = CLIENT) -> bytes:
    pairs = [
        ("Session-Id", session),
        ("Origin-Host", origin),
        ("Origin-Realm", "test.example"),
        ("Destination-Realm", "prepaid.example"),
        ("Auth-Application-Id", 4),
        ("Termination-Cause", 1),
    ]
    return codec.message(0xC0, n.SESSION_TERMINATION, 4, 7, 7, [body(pairs)])


def test_a_session_that_is_given_up_is_settled_at_its_last_report(ocs):
    ocs.send(ccr("INITIAL_REQUEST", 0, wants(60)))
    ocs.clock.at(60)
    ocs.send(ccr("UPDATE_REQUEST", 1, used(60), wants(60)))
    (answer,) = ocs.send_all(str_())
    assert (answer.command, answer.flags & 0x80, read(answer)["Result-Code"]) == (n.SESSION_TERMINATION, 0, 2001)
    assert ocs.available(ALICE) == 9_900_000


@pytest.mark.parametrize("data", [str_("unknown"), str_(origin="other.example")], ids=["unknown", "foreign"])
def test_giving_up_what_is_not_there_or_not_ones_own_ends_nothing(ocs, data):
    ocs.send(ccr("INITIAL_REQUEST", 0, wants(60)))
    assert ocs.send(data)["Result-Code"] == 5002
    assert ocs.available(ALICE) == 9_900_000


def test_a_client_is_asked_after_a_topup_though_the_node_forgot_its_session(tmp_path):
    """Another node moved the account meanwhile; what the client was told is known here all the same."""
    ocs = Ocs(tmp_path, {ALICE: "0.10"}, FLOW_TARIFF)
    ocs.send(ccr("INITIAL_REQUEST", 0, wants(60)))
    ocs.server.node.cache.clear()
    ocs.order(Adjust(1_000_000, "topup", "t1"), 1)
    ocs.order(Adjust(1_000_000, "topup", "t2"), 1)
    assert [command for command, _ in ocs.link.asked] == [n.RE_AUTH]  # once: it has not been told anything since
    ocs.send(ccr("UPDATE_REQUEST", 1, used(60), wants(60)))
    ocs.order(Adjust(1_000_000, "topup", "t3"), 1)
    assert len(ocs.link.asked) == 1


def test_each_part_of_a_session_has_its_own_numbers_quota_and_end(ocs):
    parts = [("CC-Sub-Session-Id", number) for number in (1, 2)]
    for part in parts:
        answer = ocs.send(ccr("INITIAL_REQUEST", 0, wants(60), part))
        assert (answer["CC-Sub-Session-Id"], answer["Granted-Service-Unit"]) == (part[1], {"CC-Time": 60})
    assert ocs.available(ALICE) == 9_800_000
    assert ocs.send(ccr("TERMINATION_REQUEST", 1, used(0), parts[0]))["Result-Code"] == 2001
    assert ocs.available(ALICE) == 9_900_000
    ocs.service.links.reauthorize(f"d|{CLIENT}|{CLIENT};1;1|~s2")
    assert [request["CC-Sub-Session-Id"] for _, request in ocs.link.asked] == [2]


def test_a_client_that_came_back_is_asked_though_its_session_was_not_heard_of_since(ocs):
    ocs.send(ccr("INITIAL_REQUEST", 0, wants(60)))
    ocs.restart()
    key = f"d|{CLIENT}|{CLIENT};1;1"
    assert not ocs.service.links.abort(key)
    ocs.service.joined(ocs.link, "test.example", 0)
    assert ocs.service.links.abort(key)
    ((command, request),) = ocs.link.asked
    assert (command, request["Destination-Realm"]) == (n.ABORT_SESSION, "test.example")
    ocs.service.links.forget(ocs.link)
    assert not ocs.service.links.abort(key)


def test_a_session_that_came_through_a_relay_is_asked_over_the_connection_it_has_now(ocs):
    key, links = f"d|{CLIENT}|{CLIENT};9;9", ocs.service.links
    first, other, later = (FakeLink(ocs.link.peer, "dra.example") for _ in range(3))
    for link in (first, other):
        links.joined(link, "dra")
    links.came(key, first, "client.example")
    links.forget(first)
    assert links.abort(key)
    links.forget(other)
    assert not links.abort(key)
    links.joined(later, "dra")
    assert links.abort(key)
    assert [[], [n.ABORT_SESSION], [n.ABORT_SESSION]] == [
        [code for code, _ in one.asked] for one in (first, other, later)
    ]
    assert later.asked[0][1]["Destination-Realm"] == "client.example"


def test_a_user_without_money_is_restricted_until_there_is_some(tmp_path):
    rule = "permit in ip from any to 192.0.2.1"
    restricted = {"final_action": "restrict", "restriction_filters": [rule], "filter_ids": ["walled-garden"]}
    tariff = TARIFF + rate("data", "0.01", "1MB", "1/1")
    ocs = Ocs(tmp_path, {ALICE: "0.05"}, tariff, **restricted)
    service = {"Rating-Group": 10, "Requested-Service-Unit": {}}

    def ask(kind: str, number: int, **more) -> dict:
        part = ("Multiple-Services-Credit-Control", {**service, **more})
        (answer,) = ocs.send(ccr(kind, number, part, context="32251@3gpp.org"))["Multiple-Services-Credit-Control"]
        return answer

    indication = {"Final-Unit-Action": 2, "Restriction-Filter-Rule": rule, "Filter-Id": "walled-garden"}
    first = ask("INITIAL_REQUEST", 0)
    assert (first["Granted-Service-Unit"], first["Final-Unit-Indication"]) == (
        {"CC-Total-Octets": 5_000_000},
        indication,
    )
    used_up = ask("UPDATE_REQUEST", 1, **{"Used-Service-Unit": {"CC-Total-Octets": 5_000_000}})
    assert (used_up["Result-Code"], used_up["Validity-Time"]) == (2001, 600)
    assert used_up["Final-Unit-Indication"] == indication
    assert "Granted-Service-Unit" not in used_up
    ocs.order(Adjust(1_000_000, "topup", "t1"), 1)
    assert [command for command, _ in ocs.link.asked] == [n.RE_AUTH]
    assert ask("UPDATE_REQUEST", 2)["Granted-Service-Unit"] == {"CC-Total-Octets": 10_000_000}


def test_what_is_used_without_having_been_asked_for_is_charged_at_the_end(ocs):
    def part(group: int, **more) -> tuple:
        return ("Multiple-Services-Credit-Control", {"Rating-Group": group, **more})

    ocs.send(ccr("INITIAL_REQUEST", 0, part(1, **dict([wants(60)]))))
    last = ccr("TERMINATION_REQUEST", 1, part(1, **dict([used(60)])), part(2, **dict([used(10)])))
    assert ocs.send(last)["Result-Code"] == 2001
    assert ocs.available(ALICE) == 9_890_000  # 0.10 a minute, and 0.001 a second
    assert ocs.mismatches() == 0


@pytest.mark.parametrize(("unit", "units"), [("CC-Total-Octets", 1 << 50), ("CC-Service-Specific-Units", 10**9)])
def test_an_absurd_report_of_an_unknown_session_is_kept_and_harms_nobody(ocs, unit, units):
    absurd = ccr("UPDATE_REQUEST", 3, ("Used-Service-Unit", {unit: units}), context="32251@3gpp.org")
    good = ccr("INITIAL_REQUEST", 0, wants(60), session="good", payer=BOB)
    answers = [read(answer) for answer in ocs.send_all(absurd, good)]
    assert [answer["Result-Code"] for answer in answers] == [5002, 2001]
    assert ocs.available(BOB) == 9_900_000


def test_a_client_that_names_no_unit_is_granted_the_one_the_rate_counts(tmp_path):
    """A rating group of a data session that is priced by time (RFC 8506 A.9), asked for with an empty request."""
    tariff = TARIFF + rate("data", "0.01", "1MB", "1/1", 10) + rate("data", "0.60", "60s", "1/1", 1)
    ocs = Ocs(tmp_path, {ALICE: "10.00"}, tariff)

    def ask(kind: str, number: int, group: int, **more) -> dict:
        service = {"Rating-Group": group, "Requested-Service-Unit": {}, **more}
        data = ccr(kind, number, ("Multiple-Services-Credit-Control", service), context="32251@3gpp.org")
        (answer,) = ocs.send(data)["Multiple-Services-Credit-Control"]
        return answer.get("Granted-Service-Unit")

    assert ask("INITIAL_REQUEST", 0, 1) == {"CC-Time": 60}
    assert ask("UPDATE_REQUEST", 1, 10) == {"CC-Total-Octets": 10_000_000}
    ocs.clock.at(60)
    assert ask("UPDATE_REQUEST", 2, 1, **dict([used(60)])) == {"CC-Time": 60}
    assert ocs.available(ALICE) == 8_700_000
    ocs.restart()
    assert ask("UPDATE_REQUEST", 3, 1) == {"CC-Time": 60}  # the same line, not another
    assert ocs.available(ALICE) == 8_700_000
