"""
Grant is the exact inverse of price.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from rating import fund, grant, held_price, price
from tests.reference.generate import DESTINATION
from tests.reference.naive import NaivePricer
from tests.reference.strategies import calls

funds = st.integers(0, 20_000_000)
caps = st.integers(0, 4_000)


def _could_outlive_grace(plan, anchor_us, funds_micro, parts=()):
    grace = plan.pricing.rate_at(anchor_us).grace
    return price(plan, anchor_us, grace, parts) <= funds_micro


@settings(deadline=None, max_examples=100)
@given(calls(), funds, caps)
def test_what_is_granted_can_be_paid(call, funds_micro, cap):
    """price(grant(funds)) <= funds, and never more than the cap."""
    granted = grant(call.plan, call.anchor_us, call.anchor_us, funds_micro, cap)

    assert 0 <= granted <= cap
    assert price(call.plan, call.anchor_us, granted) <= funds_micro


@settings(deadline=None, max_examples=100)
@given(calls(), funds, caps)
def test_one_more_unit_does_not_fit(call, funds_micro, cap):
    """Below the cap, the next unit begins a pulse that the funds (or the maximum that stops) do not cover."""
    plan, anchor_us = call.plan, call.anchor_us
    granted = grant(plan, anchor_us, anchor_us, funds_micro, cap)
    rate = plan.pricing.rate_at(anchor_us)
    following = max(granted + 1, rate.grace)

    if granted < cap:
        is_stopped = rate.stops and _uncapped(call, following) > rate.rate.maximum_micro / 10**6
        assert price(plan, anchor_us, following) > funds_micro or is_stopped


def _uncapped(call, used):
    service = call.table["rate"][0]["service"]
    return NaivePricer(call.table, service).exact(DESTINATION, call.anchor_us, used)


@settings(deadline=None, max_examples=100)
@given(calls(), funds, caps)
def test_a_grant_on_a_plan_can_be_paid(call, funds_micro, cap):
    """The same holds when buckets pay for parts of the call."""
    plan, anchor_us = call.plan, call.anchor_us
    parts = fund(plan, anchor_us, anchor_us, (), call.buckets, None, cap, DESTINATION).parts
    granted = grant(plan, anchor_us, anchor_us, funds_micro, cap, parts)

    assert price(plan, anchor_us, granted, parts) <= funds_micro


@settings(deadline=None, max_examples=100)
@given(calls(), funds, funds, caps)
def test_more_funds_never_buy_less(call, funds_micro, more, cap):
    """Grants are monotone in funds."""
    less = grant(call.plan, call.anchor_us, call.anchor_us, funds_micro, cap)

    assert less <= grant(call.plan, call.anchor_us, call.anchor_us, funds_micro + more, cap)
    assert less <= grant(call.plan, call.anchor_us, call.anchor_us, None, cap)


@settings(deadline=None, max_examples=100)
@given(calls(services=("voice",)), funds, caps, st.integers(0, 900))
def test_a_grant_for_a_window_is_held_in_full(call, funds_micro, cap, window_s):
    """While the anchor is not known, the grant fits the dearest candidate, and one more does not."""
    latest_us = call.anchor_us + window_s * 1_000_000
    granted = grant(call.plan, call.anchor_us, latest_us, funds_micro, cap)

    assert held_price(call.plan, call.anchor_us, latest_us, granted) <= funds_micro
    if granted < cap and not any(rate.stops or rate.grace for rate in call.plan.pricing.rates):
        assert held_price(call.plan, call.anchor_us, latest_us, granted + 1) > funds_micro
