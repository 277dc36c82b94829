"""
Clients that number their requests (Diameter): repeats move nothing, whatever they report (S7).
"""

from __future__ import annotations

from aaa.engine.answers import Ack, Denial, Grant, LineDenial, Outcome
from aaa.engine.commands import Begin, Delta, End, Expire, Identity, LineRequest, Update
from aaa.engine.terms import ChargeKey, Policy, Reason, State
from aaa.value import replace
from tests.support.tariffs import flat
from tests.support.world import VOICE, World, micro, told

POLICY = Policy("fixed", tells_validity=True)


def a_world(balance: str = "10.00", **tariff: str) -> World:
    world = World(flat("0.60", **tariff) if tariff else flat("0.60"))
    world.add_account("alice", balance)
    return world


def begin(world: World, digest: str, key: str = "k", retransmitted: bool = False):
    identity = Identity("0", digest, 0, retransmitted)
    line = LineRequest(VOICE, destination="44", received="44")
    return world.run(Begin(key, identity, POLICY, (line,), "peer", protocol="diameter"), "alice")


def test_a_ccr_i_comes_again_by_its_identifier_or_by_its_flag() -> None:
    world = a_world()
    first = begin(world, "a:1")
    assert begin(world, "a:1") == first
    assert begin(world, "a:2", retransmitted=True) == first
    assert world.available("alice") == micro("9.40")


def test_a_ccr_i_with_other_content_replaces_the_session_and_both_are_charged_once() -> None:
    world = a_world()
    begin(world, "a:1")
    world.at(30)
    world.ccr(Update, 1, LineRequest(VOICE, Delta(20)), sid="k")
    old = world.session("k").head.id
    assert begin(world, "b:2") == Denial(Reason.SESSION_REUSED, "", old)
    assert begin(world, "a:3").reason is Reason.SESSION_REUSED
    world.run(Expire("k", "replaced"))
    assert begin(world, "b:2") == Denial(Reason.SESSION_REPLACED, "", old)
    assert told(begin(world, "b:2", key=f"k|~{old}")) == 60
    assert world.balance("alice") == micro("9.80")
    assert world.run(Expire("k", "replaced")).outcome is Outcome.IGNORED


def test_a_closed_session_whose_key_is_used_again_is_only_marked() -> None:
    world = a_world()
    begin(world, "a:1")
    world.ccr(End, 1, LineRequest(VOICE, Delta(10), False), sid="k")
    assert begin(world, "b:2").reason is Reason.SESSION_REUSED
    world.run(Expire("k", "replaced"))
    assert (world.session("k").state, world.balance("alice")) == (State.CLOSED, micro("9.90"))


def test_a_report_without_request_for_quota_counts_once() -> None:
    world = a_world()
    begin(world, "a:1")
    world.at(30)
    line = LineRequest(VOICE, Delta(20), wants_quota=False)
    first = world.ccr(Update, 1, line, sid="k", digest="u")
    assert world.ccr(Update, 1, line, sid="k", digest="u") == first
    assert world.ccr(Update, 1, line, sid="k", digest="other").reason is Reason.CONFLICT
    assert isinstance(first, Ack)
    assert world.session("k").lines[0].used == 20


def test_a_killed_session_reports_once_more_and_gets_nothing() -> None:
    world = a_world()
    begin(world, "a:1")
    world.at(30)
    world.kill("k")
    line = LineRequest(VOICE, Delta(20))
    answer = world.ccr(Update, 1, line, sid="k", digest="u")
    assert isinstance(answer, Grant)
    assert answer.lines == (LineDenial(VOICE, Reason.NOT_ALLOWED),)
    assert world.ccr(Update, 1, line, sid="k", digest="u") == answer
    assert world.session("k").lines[0].used == 20


def test_a_late_report_is_charged_once() -> None:
    world = a_world()
    begin(world, "a:1")
    world.at(30)
    world.expire("k")
    line = LineRequest(VOICE, Delta(20))
    for _ in range(2):
        assert world.ccr(Update, 1, line, sid="k", digest="u").outcome is Outcome.UNKNOWN
    assert world.balance("alice") == micro("9.80")


def test_an_end_of_a_session_nobody_knows_leaves_a_record_only_when_it_used_something() -> None:
    world = a_world()
    for units, kept in ((0, 0), (9, 1)):
        answer = world.ccr(End, 1, LineRequest(VOICE, Delta(units), False), sid="never")
        assert answer.outcome is Outcome.UNKNOWN
        assert world.count("unrated") == kept


def test_a_free_call_needs_no_session() -> None:
    world = World(flat("0"))
    world.add_account("alice")
    answer = begin(world, "a:1")
    assert answer.lines[0].is_free
    assert not world.sessions


CASH = ChargeKey("event", unit="money")


def test_money_is_granted_whole_or_not_at_all_and_costs_itself() -> None:
    world = a_world("2.00")
    identity = Identity("0", "a:1", 0)

    def ask(key: str, amount: str):
        line = LineRequest(CASH, requested=micro(amount))
        return world.run(Begin(key, identity, POLICY, (line,), "peer", protocol="diameter"), "alice")

    assert told(ask("k", "1.50")) == micro("1.50")
    assert ask("other", "1.00").reason is Reason.NO_CREDIT
    assert world.available("alice") == micro("0.50")
    world.ccr(End, 1, LineRequest(CASH, Delta(micro("1.25")), False), sid="k")
    assert world.balance("alice") == micro("0.75")


def test_a_line_of_money_is_read_back_with_its_price() -> None:
    from aaa.engine.money import AT_PAR
    from aaa.store.codec import dumps, line_from_row, line_row, loads

    world = a_world("2.00")
    line = LineRequest(CASH, requested=micro("1.50"))
    world.run(Begin("k", Identity("0", "a:1", 0), POLICY, (line,), "peer", protocol="diameter"), "alice")
    (held,) = world.session("k").lines
    assert line_from_row(loads(dumps(line_row(held))), world.book) == held
    assert held.head.plan is AT_PAR


def test_a_report_that_names_no_service_is_about_the_only_line() -> None:
    world = a_world("2.00")
    group = replace(VOICE, rating_group=2)
    world.ccr(Begin, 0, LineRequest(group, destination="44"), sid="k")
    world.at(30)
    world.ccr(Update, 1, LineRequest(VOICE, Delta(20), is_bare=True), sid="k", digest="u")
    assert [(line.head.key, line.used) for line in world.session("k").lines] == [(group, 20)]
    world.ccr(End, 2, LineRequest(VOICE, Delta(5), False, is_bare=True), sid="k")
    assert world.balance("alice") == micro("1.75")
