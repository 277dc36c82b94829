"""
Buckets and money together: nothing is created, lost, or charged twice.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rating import MONEY, fund, held_price, price, settle, truncate
from tests.reference.generate import DESTINATION
from tests.reference.strategies import calls

funds = st.integers(0, 20_000_000)
caps = st.integers(0, 3_000)


def units_of(parts, source):
    return sum(units for name, units in parts if name == source)


def holding(buckets, taken):
    """The buckets after these units were held."""
    held = dict(taken)
    return [replace(bucket, reserved=bucket.reserved + held.get(bucket.id, 0)) for bucket in buckets]


@settings(deadline=None, max_examples=100)
@given(calls(), funds, caps)
def test_a_plan_fits_buckets_and_funds(call, funds_micro, cap):
    """No bucket gives more than it has, and the money held is within the funds."""
    funding = fund(call.plan, call.anchor_us, call.anchor_us, (), call.buckets, funds_micro, cap, DESTINATION)
    taken = dict(funding.taken)

    assert funding.total <= cap
    assert funding.held_micro <= funds_micro
    assert funding.held_micro == held_price(call.plan, call.anchor_us, call.anchor_us, funding.total, funding.parts)
    for bucket in call.buckets:
        assert taken.get(bucket.id, 0) == units_of(funding.parts, str(bucket.id)) <= bucket.amount


@settings(deadline=None, max_examples=100)
@given(calls(), funds, caps, caps)
def test_a_plan_only_grows_at_its_end(call, funds_micro, cap, further):
    """Extending a plan leaves what it was as its beginning."""
    first = fund(call.plan, call.anchor_us, call.anchor_us, (), call.buckets, funds_micro, cap, DESTINATION)
    before = first.parts or (((MONEY, first.total),) if first.total else ())
    buckets = holding(call.buckets, first.taken)
    second = fund(
        call.plan, call.anchor_us, call.anchor_us, before, buckets, funds_micro * 2, cap + further, DESTINATION
    )

    after = second.parts or ((MONEY, max(second.total, first.total)),)
    assert second.total >= first.total
    for (old, old_units), (new, new_units) in zip(before, after, strict=False):
        assert old == new
        assert old_units <= new_units
    assert [source for source, _ in after][: len(before)] == [source for source, _ in before]


@settings(deadline=None, max_examples=100)
@given(calls(), caps, caps)
def test_settling_conserves_units_and_money(call, cap, used):
    """Every unit held is consumed or returned, and the amount is the price of what was consumed."""
    plan, anchor_us = call.plan, call.anchor_us
    funding = fund(plan, anchor_us, anchor_us, (), call.buckets, None, cap, DESTINATION)
    buckets = holding(call.buckets, funding.taken)
    settlement = settle(plan, anchor_us, funding.parts, used, buckets, DESTINATION)
    returned = dict(settlement.returned)

    assert settlement.amount_micro == price(plan, anchor_us, used, settlement.consumed)
    for bucket in call.buckets:
        held = units_of(funding.parts, str(bucket.id))
        consumed = units_of(settlement.consumed, str(bucket.id))
        assert max(held - consumed, 0) == returned.get(bucket.id, 0)
        assert consumed <= bucket.amount
    if used >= max(1, plan.pricing.rate_at(anchor_us).grace):
        assert sum(units for _, units in settlement.consumed) >= used


@settings(deadline=None, max_examples=100)
@given(calls(), caps)
def test_usage_within_the_plan_costs_no_more_than_is_held(call, cap):
    """L2: whatever part of a grant is used, it is paid by what is held for it."""
    plan, anchor_us = call.plan, call.anchor_us
    funding = fund(plan, anchor_us, anchor_us, (), call.buckets, None, cap, DESTINATION)
    used = min(call.used, funding.total)

    assert settle(plan, anchor_us, funding.parts, used, call.buckets).amount_micro <= funding.held_micro


@settings(deadline=None, max_examples=100)
@given(calls(), st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_the_pieces_a_call_is_granted_in_change_nothing(call, pieces):
    """L3: granted and refilled in any pieces, a call settles as if granted at once."""
    plan, anchor_us = call.plan, call.anchor_us
    total = sum(pieces)
    at_once = fund(plan, anchor_us, anchor_us, (), call.buckets, None, total, DESTINATION)
    parts, buckets, cap = (), call.buckets, 0
    for piece in pieces:
        cap += piece
        funding = fund(plan, anchor_us, anchor_us, parts, buckets, None, cap, DESTINATION)
        buckets = holding(buckets, funding.taken)
        parts = funding.parts or (((MONEY, funding.total),) if funding.total else ())
    used = min(call.used, at_once.total)
    expected = settle(plan, anchor_us, at_once.parts, used, call.buckets, DESTINATION)
    actual = settle(plan, anchor_us, parts, used, call.buckets, DESTINATION)

    assert actual.amount_micro == expected.amount_micro
    for bucket in call.buckets:
        assert units_of(actual.consumed, str(bucket.id)) == units_of(expected.consumed, str(bucket.id))


@settings(deadline=None, max_examples=100)
@given(calls(), caps, st.integers(1, 400))
def test_giving_back_unused_quota_changes_no_price(call, cap, used):
    """A truncated plan prices the usage as the whole plan does."""
    plan, anchor_us = call.plan, call.anchor_us
    parts = fund(plan, anchor_us, anchor_us, (), call.buckets, None, cap, DESTINATION).parts
    used = min(used, cap)
    kept = truncate(parts, used, call.buckets)

    assert price(plan, anchor_us, used, kept) == price(plan, anchor_us, used, parts)
    assert kept == parts[: len(kept) - 1] + kept[-1:]


@settings(deadline=None, max_examples=100)
@given(calls(), caps)
def test_free_destinations_use_up_no_bucket(call, cap):
    """A bundle is not spent on what costs nothing."""
    funding = fund(call.plan, call.anchor_us, call.anchor_us, (), call.buckets, 0, cap, DESTINATION)

    if call.plan.is_free:
        assert funding == ((), cap, 0, ())
    else:
        assert funding.held_micro == 0
