"""
What is true of every price, whatever the tariff.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from rating import align, charge, fund, held_price, price
from rating.explain import explain, explain_text
from rating.price import anchors
from tests.reference.generate import DESTINATION
from tests.reference.strategies import calls

usages = st.integers(0, 5_000)


@settings(deadline=None, max_examples=100)
@given(calls(), usages)
def test_a_longer_call_never_costs_less(call, more):
    """Price is monotone in usage, over any funding plan."""
    parts = fund(call.plan, call.anchor_us, call.anchor_us, (), call.buckets, None, call.used, DESTINATION).parts

    assert price(call.plan, call.anchor_us, call.used, parts) <= price(
        call.plan, call.anchor_us, call.used + more, parts
    )


@settings(deadline=None, max_examples=100)
@given(calls())
def test_nothing_costs_nothing(call):
    """price(0) is 0."""
    assert price(call.plan, call.anchor_us, 0) == 0
    assert charge(call.plan, call.anchor_us, 0).lines == ()


@settings(deadline=None, max_examples=100)
@given(calls())
def test_the_lines_of_a_charge_sum_to_the_price(call):
    """An explanation leaves nothing unexplained, and says what price says."""
    parts = fund(call.plan, call.anchor_us, call.anchor_us, (), call.buckets, None, call.used, DESTINATION).parts
    expected = price(call.plan, call.anchor_us, call.used, parts)
    explained = charge(call.plan, call.anchor_us, call.used, parts)

    assert explained.amount_micro == expected
    assert sum(line.amount_micro for line in explained.lines) == expected
    assert explain(call.plan, call.anchor_us, call.used, parts)["amount_micro"] == expected
    assert explain_text(call.plan, call.anchor_us, call.used, parts).endswith("EUR")


@settings(deadline=None, max_examples=100)
@given(calls())
def test_money_lines_cover_the_call_without_holes(call):
    """Pulse lines begin where the ones before ended."""
    lines = [line for line in charge(call.plan, call.anchor_us, call.used).lines if line.kind == "pulses"]
    position_m = 0
    for line in lines:
        assert line.from_m == position_m
        position_m += line.pulses * line.pulse_m

    assert not lines or position_m >= call.used * 1_000


@settings(deadline=None, max_examples=100)
@given(calls())
def test_a_pulse_is_paid_whole(call):
    """Using a pulse to its end costs what beginning it costs."""
    aligned = align(call.plan, call.anchor_us, call.used)
    rate = call.plan.pricing.rate_at(call.anchor_us)

    assert aligned >= call.used
    if call.used >= rate.grace:
        assert price(call.plan, call.anchor_us, aligned) == price(call.plan, call.anchor_us, call.used)


@settings(deadline=None, max_examples=100)
@given(calls(services=("voice",)), st.integers(0, 400))
def test_what_is_held_covers_every_anchor_asked(call, window_s):
    """The price held for a window is that of its dearest anchor."""
    latest_us = call.anchor_us + window_s * 1_000_000
    held = held_price(call.plan, call.anchor_us, latest_us, call.used)
    candidates = anchors(call.plan, call.anchor_us, latest_us)

    assert held == max(price(call.plan, anchor_us, call.used) for anchor_us in candidates)
    assert candidates[0] == call.anchor_us
    assert candidates == sorted(candidates)


@settings(deadline=None, max_examples=100)
@given(calls(services=("voice",)), st.integers(0, 900))
def test_one_pulse_never_costs_more_than_is_held_for_it(call, answered_s):
    """Within the first pulse only the anchor counts, so every answer time is covered (S3)."""
    latest_us = call.anchor_us + 900 * 1_000_000
    anchor_us = call.anchor_us + answered_s * 1_000_000

    assert price(call.plan, anchor_us, 1) <= held_price(call.plan, call.anchor_us, latest_us, 1)
