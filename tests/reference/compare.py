"""
Compare the rating core with the naive pricer, call by call.
"""

from __future__ import annotations

from dataclasses import replace

from rating import charge, fund, grant, held_price, price, settle
from tests.reference.generate import (
    DESTINATION,
    Choices,
    a_tariff_table,
    an_anchor_us,
    naive_bucket,
    some_buckets,
    tariff_of,
)
from tests.reference.naive import NaivePricer


def compare_tariff(choose, calls: int, used_max: int = 1_500) -> int:
    """Price `calls` calls under one generated tariff both ways; any difference is an AssertionError."""
    service = choose.one_of(("voice", "voice", "voice", "data", "event"))
    table = a_tariff_table(choose, service)
    naive = NaivePricer(table, service)
    plan = tariff_of(table).find(service, DESTINATION)
    assert plan is not None
    for _ in range(calls):
        anchor_us = an_anchor_us(choose)
        used = choose.one_of((0, 1, 5, 59, 60, 61, choose.number(1, 200), choose.number(1, used_max)))
        buckets = some_buckets(choose, service, anchor_us) if choose.number(0, 1) else []
        compare_call(choose, naive, plan, anchor_us, used, buckets)
    return calls


def compare_call(choose, naive, plan, anchor_us, used, buckets):
    """One call: its funding plan, its price, its explanation, its settlement and what funds would buy."""
    funding = fund(plan, anchor_us, anchor_us, (), buckets, None, used, DESTINATION)
    parts = funding.parts
    wanted = naive.plan(DESTINATION, anchor_us, [naive_bucket(bucket) for bucket in buckets], used)
    if not plan.is_free and naive.is_grant(used, DESTINATION, anchor_us, 10**12, used, wanted):
        assert parts == (wanted if any(source for source, _ in wanted) else ()), "funding plan"
    expected = naive.price(DESTINATION, anchor_us, used, parts)
    assert price(plan, anchor_us, used, parts) == expected, "price"
    assert held_price(plan, anchor_us, anchor_us, used, parts) == expected, "held price"

    explained = charge(plan, anchor_us, used, parts)
    assert explained.amount_micro == expected, "charge"
    assert sum(line.amount_micro for line in explained.lines) == expected, "lines"

    taken = dict(funding.taken)
    held = [replace(bucket, reserved=bucket.reserved + taken.get(bucket.id, 0)) for bucket in buckets]
    settlement = settle(plan, anchor_us, parts, used, held, DESTINATION)
    wanted = naive.price(DESTINATION, anchor_us, used, settlement.consumed)
    assert settlement.amount_micro == wanted, "settlement"
    assert used > funding.total or wanted == expected, "settlement within the plan"

    funds = choose.one_of((0, expected, max(expected - 1, 0), expected + 1, choose.number(0, 5_000_000)))
    cap = choose.number(0, 600)
    granted = grant(plan, anchor_us, anchor_us, funds, cap, parts)
    if not plan.is_free:
        assert naive.is_grant(granted, DESTINATION, anchor_us, funds, cap, parts), "grant"


def compare_many(calls: int, seed: int = 1, used_max: int = 1_500) -> int:
    """Compare at least so many random calls, eight per tariff; the seed of a difference is in the error."""
    done = 0
    while done < calls:
        try:
            done += compare_tariff(Choices(seed), 8, used_max)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        seed += 1
    return done
