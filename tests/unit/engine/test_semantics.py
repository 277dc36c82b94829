"""
The worked examples of the charging rules, each quoting its rule (S1-S22).

Rules that need calendars, buckets, Diameter or PostgreSQL are shown beside those parts.
"""

from __future__ import annotations

import pytest

from aaa.engine.answers import Ack, Denial, Grant, LineGrant, Outcome
from aaa.engine.commands import Begin, End, Identity, LineRequest, Total, Update
from aaa.engine.terms import SECOND_US, Policy, Reason, State
from aaa.value import replace
from tests.support.tariffs import flat
from tests.support.world import EPOCH_US, VOICE, Delta, World, micro, told

ADAPTIVE = Policy("adaptive")
REQUEST = LineRequest(VOICE, None, True, None, "441632960001", "441632960001")


def test_s1_four_figures_during_a_session() -> None:
    """
    Ledger 10.00, accrued 0.10, reserved 0.20, available 9.80; shown 9.90.
    """
    world = World(flat("0.10", "60/60"))
    world.add_account("alice", "10.00")
    world.ccr(Begin, 0, REQUEST)
    world.at(60)
    world.ccr(Update, 1, replace(REQUEST, usage=Delta(60)))
    account = world.accounts["alice"]

    assert micro("10.00") == account.balance_micro
    assert micro("0.10") == account.accrued_micro
    assert micro("0.20") == account.reserved_micro
    assert micro("9.80") == account.available_micro
    assert micro("9.90") == account.shown_micro


MORNING = """
[[tariff]]
name = "t"
currency = "EUR"
timezone = "UTC"
[[tariff.calendar]]
name = "night"
from = "00:00"
until = "08:00"
weight = 10
[[tariff.rate]]
prefix = ""
price = "0.10"
price_unit = "60s"
pulse = "60/60"
[[tariff.rate]]
prefix = ""
price = "0.01"
price_unit = "60s"
pulse = "60/60"
calendar = "night"
"""
EIGHT_S = 86_400 - (EPOCH_US // SECOND_US) % 86_400 + 8 * 3600  # the next 08:00 UTC, from the epoch of the world


@pytest.mark.parametrize(("answered_s", "charge"), [(5, "0.10"), (-58, "0.01")])
def test_s3_a_call_that_rings_over_a_price_change_is_held_at_the_dearer_price(answered_s: int, charge: str) -> None:
    """
    Off-peak 0.01 until 08:00, then 0.10: authorized 07:59:00 with 60 s granted, 0.10 is held; answered 08:00:05: 0.10
    charged; answered 07:59:02: 0.01 charged, 0.09 released.
    """
    world = World(MORNING)
    world.add_account("alice", "1.00")
    world.at(EIGHT_S - 60)
    assert told(world.access("alice", "s1", policy=Policy("fixed"))) == 60
    assert world.accounts["alice"].reserved_micro == micro("0.10")

    world.at(EIGHT_S + answered_s + 60)
    world.stop("s1", 60, answered_us=EPOCH_US + (EIGHT_S + answered_s) * SECOND_US)

    assert world.balance("alice") == micro("1.00") - micro(charge)


def test_s5_deadline_of_a_held_and_of_an_open_session() -> None:
    """
    Begin at 0, grant 60 s, Start at 1: deadline 261; a Stop at 125 finds its money held.
    """
    world = World(flat("0.60"))
    world.add_account("alice", "0.60")
    world.access("alice", "s1", policy=Policy("fixed"))

    assert world.session("s1").deadline_us == EPOCH_US + 180 * SECOND_US

    world.at(1)
    world.start("s1")

    assert world.session("s1").deadline_us == EPOCH_US + 261 * SECOND_US

    world.at(125)
    world.stop("s1", 60)

    assert world.balance("alice") == 0
    assert world.count("overspend") == 0


def test_s5_a_start_that_comes_first_opens_the_later_begin_at_once() -> None:
    world = World()
    world.add_account("alice", "1.00")

    early = world.start("s1")
    answer = world.access("alice", "s1")

    assert early.outcome == Outcome.DONE  # type: ignore[union-attr]
    assert isinstance(answer, Grant)
    assert State.OPEN is world.session("s1").state
    assert not world.entries[1:]


def test_s6_renewal_every_five_seconds_on_eighteen_seconds_of_balance() -> None:
    """
    Balance for 18 s, 8 s quanta, renewal every 5 s: totals 8, 13, 18; at used 15 the answer is 3 s, final.
    """
    world = World(flat("0.60"))
    world.add_account("alice", "0.18")
    policy = Policy("fixed", quantum_fixed=8)
    totals, tolds, finals = [], [], []
    for used in (None, 5, 10, 15):
        world.at(used or 0)
        answer = world.access("alice", "s1", used, policy=policy)
        assert isinstance(answer, Grant)
        line = answer.lines[0]
        assert isinstance(line, LineGrant)
        totals.append(line.total)
        tolds.append(line.told)
        finals.append(line.is_final)

    assert totals == [8, 13, 18, 18]
    assert tolds == [8, 8, 8, 3]
    assert finals == [False, False, True, True]

    world.at(18)
    assert isinstance(world.access("alice", "s1", 18, policy=policy), Denial)
    world.stop("s1", 18)
    assert world.balance("alice") == 0


def test_s6_renewal_in_the_middle_of_a_pulse() -> None:
    """
    Pulse 60, renewal at used 45 of 60: next total 120, say 75.
    """
    world = World(flat("0.10", "60/60"))
    world.add_account("alice", "1.00")
    policy = Policy("fixed")
    world.access("alice", "s1", policy=policy)
    world.at(45)
    answer = world.access("alice", "s1", 45, policy=policy)

    assert told(answer) == 75
    assert world.session("s1").lines[0].granted == 120


def test_s6_a_time_grant_never_shrinks() -> None:
    """
    An answer may be lost: a smaller quantum later leaves what was granted.
    """
    world = World(flat("0.60"))
    world.add_account("alice", "1.00")
    world.access("alice", "s1", policy=Policy("fixed", quantum_fixed=60))
    world.at(10)
    answer = world.access("alice", "s1", 10, policy=Policy("fixed", quantum_fixed=5))

    assert told(answer) == 50


def test_s6_a_renewal_without_usage_is_sized_by_the_time_that_passed() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "1.00")
    policy = Policy("fixed", quantum_fixed=20)
    world.access("alice", "s1", policy=policy)
    world.at(15)
    answer = world.access("alice", "s1", policy=policy)

    assert told(answer) == 20
    assert world.session("s1").lines[0].granted == 35
    assert world.session("s1").lines[0].used == 0


def test_s7_a_repeat_gets_the_same_answer_and_moves_nothing() -> None:
    world = World()
    world.add_account("alice", "1.00")
    first = world.access("alice", "s1", token="a")
    held = world.accounts["alice"]
    world.at(60)
    again = world.access("alice", "s1", token="a")

    assert first == again
    assert held == world.accounts["alice"]


def test_s7_bare_requests_of_one_session_within_five_seconds_are_one() -> None:
    world = World()
    world.add_account("alice", "1.00")
    policy = Policy("fixed", quantum_fixed=10)
    first = world.access("alice", "s1", token="a", policy=policy)
    world.at(4.9)

    assert first == world.access("alice", "s1", token="b", policy=policy)


def test_s7_the_same_renewal_again_gets_the_same_answer() -> None:
    world = World()
    world.add_account("alice", "1.00")
    policy = Policy("fixed", quantum_fixed=10)
    world.access("alice", "s1", policy=policy)
    world.at(8)
    first = world.access("alice", "s1", 8, policy=policy)
    world.at(30)

    assert first == world.access("alice", "s1", 8, policy=policy)


def test_s8_an_assumed_call_is_corrected_by_its_late_stop() -> None:
    """
    600 s granted at 0.001, Stop lost: -0.60 assumed; Stop of 75 s an hour later: +0.525.
    """
    world = World(flat("0.001", unit="1s"))
    world.add_account("alice", "0.60")
    policy = Policy(assume_granted=True)
    assert told(world.access("alice", "s1", policy=policy)) == 600
    world.start("s1")
    world.at(801)
    world.expire("s1")

    assert world.balance("alice") == 0
    assert world.session("s1").assumed

    world.at(4400)
    world.stop("s1", 75)

    assert [micro("-0.60"), micro("0.525")] == [entry.amount_micro for entry in world.entries[1:]]
    assert [entry.cause for entry in world.entries[1:]] == ["assumed", "correction"]
    assert State.CLOSED is world.session("s1").state
    assert world.session("s1").revision == 2


def test_s8_without_news_the_last_report_is_charged() -> None:
    world = World(flat("0.001", unit="1s"))
    world.add_account("alice", "0.60")
    world.access("alice", "s1")
    world.at(100)
    world.interim("s1", 100)
    world.at(2000)
    world.expire("s1")

    assert micro("0.50") == world.balance("alice")


def test_s8_a_session_that_never_started_is_released_whole() -> None:
    world = World()
    world.add_account("alice", "1.00")
    world.access("alice", "s1", policy=Policy(assume_granted=True))
    world.at(181)
    world.expire("s1")

    assert micro("1.00") == world.available("alice")
    assert State.EXPIRED is world.session("s1").state


def test_s8_usage_reported_after_the_deadline_reopens_the_session() -> None:
    world = World(flat("0.001", unit="1s"))
    world.add_account("alice", "1.00")
    world.access("alice", "s1", policy=Policy("fixed", quantum_fixed=100))
    world.at(50)
    world.interim("s1", 50)
    world.at(1000)
    world.expire("s1")
    world.interim("s1", 90)

    assert State.OPEN is world.session("s1").state
    assert micro("0.91") == world.balance("alice")
    assert world.accounts["alice"].live_sessions == 1

    world.stop("s1", 95)
    assert micro("0.905") == world.balance("alice")


def test_s8_a_second_stop_with_another_total_is_a_conflict() -> None:
    world = World()
    world.add_account("alice", "1.00")
    world.access("alice", "s1")
    world.at(30)
    world.stop("s1", 30)
    balance = world.balance("alice")
    repeat = world.stop("s1", 30)
    conflict = world.stop("s1", 31)

    assert Outcome.REPEAT is repeat.outcome  # type: ignore[union-attr]
    assert Outcome.CONFLICT is conflict.outcome  # type: ignore[union-attr]
    assert balance == world.balance("alice")
    assert world.count("conflict") == 1


@pytest.mark.parametrize(("balance", "seconds"), [("5.00", 150), ("8.00", 240), ("10.00", 300)])
def test_s9_two_calls_share_one_balance(balance: str, seconds: int) -> None:
    """
    Two $1/min calls starting together, refilled: $5 ends at 150 s each, $8 at 240, $10 at 300.
    """
    world = World(flat("1.00", decimals=6))
    world.add_account("alice", balance)
    ends = {"a": 0, "b": 0}
    for sid in ends:
        ends[sid] = told(world.access("alice", sid, policy=ADAPTIVE))
    running = dict(ends)
    for _ in range(200):
        sid = min(running, key=running.__getitem__)
        used = running[sid]
        world.at(used)
        more = told(world.access("alice", sid, used, policy=ADAPTIVE))
        if more:
            running[sid] += more
        else:
            ends[sid] = used
            world.stop(sid, used)
            del running[sid]
        if not running:
            break

    assert not running
    assert 2 * seconds == sum(ends.values())
    assert all(abs(end - seconds) <= ADAPTIVE.quantum_min for end in ends.values())
    assert world.balance("alice") == 0


def test_s9_the_only_session_an_account_may_have_gets_everything() -> None:
    world = World(flat("1.00", decimals=6))
    world.add_account("alice", "4.00", max_sessions=1)

    assert told(world.access("alice", "s1", policy=ADAPTIVE)) == 240


def test_s11_usage_beyond_the_grant_is_charged_and_counted() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "0.10")
    world.access("alice", "s1")
    world.at(12)
    world.stop("s1", 12)

    assert micro("-0.02") == world.balance("alice")
    assert world.count("overrun") == 2
    assert micro("0.02") == world.count("overspend")


def test_s14_a_transfer_prices_each_leg_at_its_own_rate() -> None:
    """
    A 0.01/min 100 s, then B 0.60/min, Stop 160, pulse 1/1: 0.0167 + 0.60.
    """
    text = flat("0.01").replace('prefix = ""', 'prefix = "1"')
    text += '[[tariff.rate]]\nprefix = "2"\nprice = "0.60"\nprice_unit = "60s"\npulse = "1/1"\n'
    world = World(text)
    world.add_account("alice", "5.00")
    world.access("alice", "s1", to="1555")
    world.start("s1")
    world.at(100)
    answer = world.access("alice", "s1", 100, to="2555", transfer=True)
    world.at(160)
    world.stop("s1", 160)

    assert isinstance(answer, Grant)
    assert [micro("0.0167"), micro("0.60")] == [line.posted_micro for line in world.session("s1").lines]
    assert micro("4.3833") == world.balance("alice")


def test_s14_a_denied_transfer_leaves_the_first_leg() -> None:
    text = flat("0.01").replace('prefix = ""', 'prefix = "1"')
    world = World(text)
    world.add_account("alice", "5.00")
    world.access("alice", "s1", to="1555")
    world.at(100)
    answer = world.access("alice", "s1", 100, to="9555", transfer=True)

    assert isinstance(answer, Denial)
    assert Reason.UNKNOWN_DESTINATION is answer.reason
    world.stop("s1", 100)
    assert micro("4.9833") == world.balance("alice")


@pytest.mark.parametrize(("used", "is_answered", "charge"), [(0, False, "0"), (0, True, "0.062"), (61, True, "0.074")])
def test_s15_small_amounts(used: int, is_answered: bool, charge: str) -> None:
    """
    Fee 0.05, 60/60 at 0.012: 0 s 0; answered 0 s 0.062; 61 s 0.074.
    """
    world = World(flat("0.012", "60/60", connect_fee="0.05"))
    world.add_account("alice", "1.00")
    world.access("alice", "s1")
    world.at(10)
    answered_us = world.now if is_answered else 0
    world.at(10 + used)
    world.stop("s1", used, answered_us=answered_us)

    assert micro("1.00") - micro(charge) == world.balance("alice")


def test_s15_funds_below_fee_and_one_pulse_are_denied() -> None:
    world = World(flat("0.012", "60/60", connect_fee="0.05"))
    world.add_account("alice", "0.0619")
    answer = world.access("alice", "s1")

    assert isinstance(answer, Denial)
    assert Reason.NO_CREDIT is answer.reason


def test_s15_a_free_destination_is_granted_to_an_empty_account() -> None:
    world = World(flat("0"))
    world.add_account("alice", "0")

    assert told(world.access("alice", "s1")) == 14_400


def test_s15_unlimited_credit_is_bounded_by_the_session_cap() -> None:
    world = World()
    world.add_account("alice", "0", credit_limit=None)

    assert told(world.access("alice", "s1")) == 14_400
    assert told(world.access("alice", "s2", policy=ADAPTIVE)) == 300


def test_s17_a_call_keeps_the_tariff_version_it_began_under() -> None:
    world = World(flat("0.06"))
    world.book.activate("t", flat("0.60"), EPOCH_US + 30 * SECOND_US)
    world.add_account("alice", "1.00")
    world.access("alice", "old", policy=Policy("fixed"))
    world.at(60)
    world.access("alice", "new", policy=Policy("fixed"))
    world.stop("old", 60)
    world.at(120)
    world.stop("new", 60)

    assert [micro("-0.06"), micro("-0.60")] == [entry.amount_micro for entry in world.entries[1:]]


def test_s19_a_smaller_interim_is_ignored() -> None:
    world = World()
    world.add_account("alice", "1.00")
    world.access("alice", "s1")
    world.at(60)
    world.interim("s1", 60)
    world.interim("s1", 40)

    assert world.session("s1").lines[0].used == 60
    assert world.count("usage_decreased") == 1


def test_s19_a_stop_below_the_last_interim_charges_the_known_maximum() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "1.00")
    world.access("alice", "s1")
    world.at(60)
    world.interim("s1", 60)
    world.stop("s1", 40)

    assert micro("0.40") == world.balance("alice")
    assert world.session("s1").reported == 40


def test_s19_a_stop_without_time_counts_from_the_start() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "1.00")
    world.access("alice", "s1")
    world.start("s1")
    world.at(30)
    world.stop("s1", None)

    assert micro("0.70") == world.balance("alice")


def test_s19_time_that_cannot_have_passed_is_clipped() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "0.20")
    world.access("alice", "s1")
    world.at(20)
    world.stop("s1", 5000)

    assert world.session("s1").lines[0].used == 80
    assert world.session("s1").implausible


def test_s19_an_orphan_stop_that_says_who_and_where_is_charged() -> None:
    world = World(flat("0.60"))
    world.add_account("alice", "1.00")
    request = LineRequest(VOICE, Total(30), False, None, "44", "44")
    would = Begin("s1", Identity("b"), Policy(), (request,), "nas")
    answer = world.run(End("s1", Identity("e30"), (request,), "nas", orphan=would), "alice")

    assert Outcome.DONE is answer.outcome  # type: ignore[union-attr]
    assert micro("0.70") == world.balance("alice")
    assert Outcome.REPEAT is world.stop("s1", 30).outcome  # type: ignore[union-attr]


def test_s19_an_orphan_stop_of_nobody_is_kept_unrated() -> None:
    world = World()
    world.add_account("alice", "1.00")
    answer = world.stop("nobody", 30)

    assert isinstance(answer, Ack)
    assert Outcome.UNRATED is answer.outcome
    assert world.count("unrated") == 1
