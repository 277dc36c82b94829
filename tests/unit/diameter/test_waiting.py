"""Who is asked anew after a top-up: what was told of the end, service by service, within bounds."""

from __future__ import annotations

from aaa.diameter.waiting import REMEMBERED_MAX, SESSIONS_MAX, Waiting
from aaa.engine.answers import Ack, Denial, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.terms import ChargeKey, Reason


def told(*lines: tuple[int, bool]) -> Grant:
    """An answer with a quota for each rating group, final or not."""
    return Grant(1, tuple(LineGrant(ChargeKey("data", group), 5, 5, is_final=last) for group, last in lines), 0, "EUR")


def refused(group: int, reason: Reason = Reason.NO_CREDIT) -> Grant:
    return Grant(1, (LineDenial(ChargeKey("data", group), reason),), 0, "EUR")


def after(*answers) -> list:
    waits = Waiting()
    waits.begun("s", 7)
    for answer in answers:
        waits.answered("s", answer, False)
    return waits.take(7)


def test_a_service_waits_from_its_last_quota_until_it_gets_another():
    assert after(told((10, False))) == []
    assert after(told((10, True))) == [("s", {10})]
    assert after(told((10, True)), told((10, False))) == []
    assert after(told((10, True)), told((20, False))) == [("s", {10})]
    assert after(told((10, True)), refused(20)) == [("s", {10, 20})]
    assert after(refused(10, Reason.UNKNOWN_DESTINATION)) == []


def test_a_report_without_a_question_changes_nothing_and_a_refusal_of_all_ends_it():
    assert after(told((10, True)), Ack(Outcome.DONE)) == [("s", {10})]
    assert after(told((10, True)), Denial(Reason.SESSION_CLOSED)) == []


def test_after_its_last_request_a_session_waits_for_nothing():
    waits = Waiting()
    waits.begun("s", 7)
    waits.answered("s", told((10, True)), False)
    waits.answered("s", Ack(Outcome.DONE), True)
    assert waits.take(7) == []
    assert not waits._payers
    assert not waits._ended


def test_what_is_remembered_is_bounded():
    waits = Waiting()
    for number in range(REMEMBERED_MAX + 50):
        waits.begun(f"s{number}", number)
        waits.answered(f"s{number}", told((10, True)), False)
    assert REMEMBERED_MAX * 7 // 8 < len(waits._payers) == len(waits._ended) <= REMEMBERED_MAX
    assert [f"s{REMEMBERED_MAX + 49}"] == [key for key, _ in waits.take(REMEMBERED_MAX + 49)]
    for number in range(SESSIONS_MAX + 5):
        waits.begun(f"t{number}", -1)
        waits.answered(f"t{number}", told((10, True)), False)
    assert len(waits.take(-1)) == SESSIONS_MAX
