"""The messages of one subscriber are shown, decoded, and those of nobody else."""

from __future__ import annotations

from typing import Any

from aaa.diameter import codec
from aaa.diameter.text import described
from aaa.diameter.trace import SESSIONS_MAX, Traces

from .kit import CLIENT, Ocs, avp, ccr

ALICE = "441632960001"
RSU = ("Multiple-Services-Credit-Control", {"Requested-Service-Unit": {"CC-Time": 60}})


def traced(ocs: Ocs, name: str = ALICE) -> list[tuple[str, dict[str, Any]]]:
    """Trace somebody for a minute; what is shown appears in the list."""
    shown: list[tuple[str, dict[str, Any]]] = []
    ocs.service.traces.emit = lambda event, **fields: shown.append((event, fields))
    assert ocs.service.traces.people.set(name, ocs.clock() + 60_000_000)
    return shown


def test_a_request_and_its_answer_are_shown_with_their_avps(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "10.00", "441632960002": "10.00"})
    shown = traced(ocs)
    ocs.send(ccr("INITIAL_REQUEST", 0, RSU))
    ocs.send(ccr("INITIAL_REQUEST", 0, RSU, session=f"{CLIENT};1;2", payer="441632960002"))

    assert ["trace.request", "trace.answer"] == [event for event, _ in shown]
    assert [(ALICE, CLIENT)] * 2 == [(fields["subscriber"], fields["peer"]) for _, fields in shown]
    request, answer = (fields["message"] for _, fields in shown)
    assert request[0].startswith("Credit-Control-Request")
    assert f"    Subscription-Id-Data (444) = '{ALICE}'" in request
    assert "  Result-Code (268) = 2001" in answer


def test_a_later_request_that_does_not_name_its_payer_belongs_to_the_session(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "10.00"})
    shown = traced(ocs)
    ocs.send(ccr("INITIAL_REQUEST", 0, RSU))
    anonymous = ccr("TERMINATION_REQUEST", 1, payer="0")
    ocs.send(anonymous)

    assert 4 == len(shown)
    assert ALICE == shown[-1][1]["subscriber"]


def test_a_trace_is_over_with_its_time(tmp_path):
    ocs = Ocs(tmp_path, {ALICE: "10.00"})
    shown = traced(ocs)
    ocs.clock.at(61)
    ocs.send(ccr("INITIAL_REQUEST", 0, RSU))

    assert [] == shown
    assert not ocs.service.traces.people.until


def test_what_proves_something_is_hidden():
    secret = codec.avp(2, b"sesame") + codec.avp(402, avp("User-Name", "x")) + avp("User-Name", "alice")
    text = described(codec.decode(codec.message(0xC0, 272, 4, 1, 1, [secret])))

    assert "sesame" not in text
    assert 2 == text.count("***")
    assert "User-Name (1) = 'alice'" in text


def test_remembered_sessions_are_bounded():
    traces = Traces(lambda event, **fields: None)
    traces.people.set(ALICE, 10)
    for number in range(SESSIONS_MAX + 5):
        traces.request(codec.decode(ccr("INITIAL_REQUEST", 0, session=f"{CLIENT};{number}")), CLIENT, 0)

    assert SESSIONS_MAX == len(traces._sessions)
