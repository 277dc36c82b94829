"""
A voice call as Kamailio's ims_charging makes it, failover, and Session-Ids used again.
"""

from __future__ import annotations

from aaa.diameter import names as n
from aaa.diameter.peers import peer_from
from aaa.engine.commands import Kill
from tests.unit.diameter.kit import CLIENT, TARIFF, FakeLink, Ocs, ccr, rate

ALICE = "491701234567"
CONTEXT = "ext.01.001.8.32260@3gpp.org"
IMS = {
    "IMS-Information": {
        "Role-Of-Node": 0,
        "Node-Functionality": 0,
        "Calling-Party-Address": f"sip:+{ALICE}@ims.example",
        "Called-Party-Address": "sip:+441632960001@ims.example;user=phone",
    }
}
PER_SECOND = TARIFF + rate("voice", "0.01", "1s")


def kamailio(kind: str, number: int, used: int | None = None, asks: int | None = None, **more) -> bytes:
    """A CCR with the accounting AVPs, both origins twice, and the subscriber only as it sends it."""
    service = {"Rating-Group": 100, "Service-Identifier": 1000}
    if asks is not None:
        service["Requested-Service-Unit"] = {"CC-Time": asks}
    if used is not None:
        service["Used-Service-Unit"] = {"CC-Time": used}
    extra = [
        ("Origin-Host", CLIENT),
        ("Origin-Realm", "test.example"),
        ("Accounting-Record-Type", 2),
        ("Accounting-Record-Number", number),
        ("Multiple-Services-Indicator", 1),
        ("Multiple-Services-Credit-Control", service),
        ("Service-Information", IMS),
    ]
    return ccr(kind, number, *extra, context=CONTEXT, payer=f"+{ALICE}", flags=0x80, **more)


def quota(answer: dict) -> tuple[int, int, bool]:
    (service,) = answer["Multiple-Services-Credit-Control"]
    units = service.get("Granted-Service-Unit", {}).get("CC-Time", 0)
    assert not units or service["Validity-Time"] >= units
    assert (service["Rating-Group"], service["Service-Identifier"]) == (100, 1000)
    return service["Result-Code"], units, "Final-Unit-Indication" in service


def test_a_call_of_eight_seconds_in_quotas_of_five(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "0.08"}, PER_SECOND, quantum_fixed=5)
    assert quota(ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30))) == (2001, 5, False)
    ocs.clock.at(5)
    assert quota(ocs.send(kamailio("UPDATE_REQUEST", 1, used=5, asks=30))) == (2001, 3, True)
    ocs.clock.at(8)
    last = ocs.send(kamailio("UPDATE_REQUEST", 2, used=3, asks=30))
    assert (last["Result-Code"], quota(last)) == (4012, (4012, 0, False))
    ended = ocs.send(kamailio("TERMINATION_REQUEST", 3, used=0))
    assert ended["Result-Code"] == 2001
    row = ocs.account(ALICE)
    assert (row["balance"], row["reserved"], row["live_sessions"]) == (0, 0, 0)


def test_an_empty_account_is_refused_at_both_levels_and_its_end_is_answered(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "0.00"}, PER_SECOND, quantum_fixed=5)
    answer = ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30))
    assert (answer["Result-Code"], quota(answer)) == (4012, (4012, 0, False))
    assert ocs.send(kamailio("TERMINATION_REQUEST", 1))["Result-Code"] == 5002


def test_the_last_grant_is_shorter_by_the_final_margin(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "0.08"}, PER_SECOND, quantum_fixed=5, final_margin_s=1)
    ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30))
    ocs.clock.at(5)
    assert quota(ocs.send(kamailio("UPDATE_REQUEST", 1, used=5, asks=30))) == (2001, 2, True)


def test_an_update_and_the_end_right_behind_it_are_answered_in_order(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "0.08"}, PER_SECOND, quantum_fixed=5)
    answers = ocs.send_all(
        kamailio("INITIAL_REQUEST", 0, asks=30, hop_by_hop=1),
        kamailio("UPDATE_REQUEST", 1, used=4, asks=30, hop_by_hop=2),
        kamailio("TERMINATION_REQUEST", 2, used=1, hop_by_hop=3),
    )
    assert [one.hop_by_hop for one in answers] == [1, 2, 3]
    assert ocs.account(ALICE)["balance"] == 30_000


def test_what_was_pending_comes_again_after_a_restart_over_a_relay(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "1.00"}, PER_SECOND, quantum_fixed=5)
    ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30))
    data = kamailio("UPDATE_REQUEST", 1, used=5, asks=30)
    first = ocs.send(data)
    left = ocs.available(ALICE)
    ocs.restart()
    table = {"origin_host": "dra.example", "realm": "example", "address": ["10.0.0.1"], "relay": True}
    relay = FakeLink(peer_from({**table, "quantum": "fixed"}, {}), "dra.example")
    again = data[:4] + bytes([data[4] | 0x10]) + data[5:12] + b"\0\0\0\x63" + data[16:]
    assert ocs.send(again, link=relay) == first
    assert ocs.available(ALICE) == left


def test_a_peer_that_is_no_relay_cannot_carry_others(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "1.00"}, PER_SECOND)
    other = FakeLink(ocs.link.peer, "other.example")
    assert ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30), link=other)["Result-Code"] == 5004
    assert ocs.available(ALICE) == 1_000_000


def test_a_session_id_that_comes_again_is_a_new_call_also_after_a_restart(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "1.00"}, PER_SECOND, quantum_fixed=5)
    ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30, end_to_end=1))
    ocs.clock.at(4)
    ocs.send(kamailio("UPDATE_REQUEST", 1, used=4, asks=30, end_to_end=2))
    begun = kamailio("INITIAL_REQUEST", 0, asks=30, end_to_end=77)
    answer = ocs.send(begun)
    assert quota(answer) == (2001, 5, False)
    ocs.restart()
    assert ocs.send(begun) == answer
    ocs.clock.at(9)
    assert ocs.send(kamailio("TERMINATION_REQUEST", 1, used=2, end_to_end=78))["Result-Code"] == 2001
    row = ocs.account(ALICE)
    assert (row["balance"], row["reserved"], row["live_sessions"]) == (940_000, 0, 0)


def test_a_session_id_that_comes_again_for_somebody_else_is_a_new_call(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "1.00", "441632960001": "1.00"}, PER_SECOND, quantum_fixed=5)
    ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30, end_to_end=1))
    other = ccr("INITIAL_REQUEST", 0, ("Requested-Service-Unit", {"CC-Time": 5}), end_to_end=9)
    assert ocs.send(other)["Granted-Service-Unit"] == {"CC-Time": 5}
    assert (ocs.available(ALICE), ocs.available("441632960001")) == (1_000_000, 950_000)


def test_a_killed_call_is_aborted_over_its_connection_and_gets_no_more(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "1.00"}, PER_SECOND, quantum_fixed=5)
    ocs.send(kamailio("INITIAL_REQUEST", 0, asks=30))
    key = f"d|{CLIENT}|{CLIENT};1;1"
    ocs.server.run(Kill(key))
    assert ocs.service.links.abort(key)
    ((command, request),) = ocs.link.asked
    assert (command, request["Session-Id"], request["Destination-Host"]) == (n.ABORT_SESSION, f"{CLIENT};1;1", CLIENT)
    ocs.clock.at(5)
    answer = ocs.send(kamailio("UPDATE_REQUEST", 1, used=5, asks=30))
    assert (answer["Result-Code"], quota(answer)) == (4010, (4010, 0, False))
    ocs.send(kamailio("TERMINATION_REQUEST", 2, used=1))
    assert ocs.account(ALICE)["balance"] == 940_000


def test_a_store_that_is_down_is_answered_with_busy_so_that_the_client_fails_over(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "1.00"}, PER_SECOND)
    ocs.server.node.is_draining = True
    (answer,) = ocs.send_all(kamailio("INITIAL_REQUEST", 0, asks=30))
    assert answer.flags & 0x20
    assert answer.first(n.RESULT_CODE).payload == (3004).to_bytes(4, "big")
