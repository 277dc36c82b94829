"""Figures of workers add up and never go back."""

from __future__ import annotations

import json

from aaa.ops.figures import Total, Unflattened, flat, told
from aaa.ops.histogram import Histogram


def figures(granted: int, lag_s: float) -> dict:
    histogram = Histogram()
    histogram.observe(lag_s)
    made = told({"node": {("granted", ""): granted}}, {"lag": histogram}, {"aaa_reply_cache_entries": granted})
    return json.loads(json.dumps(made))


def test_counters_histograms_and_gauges_of_living_workers_are_summed():
    total = Total(("node",), ("lag",))
    total.heard(0, figures(3, 0.003))
    total.heard(1, figures(4, 0.3))

    assert {("granted", ""): 7} == dict(total.counters["node"])
    assert (2, 0.303) == (sum(total.histograms["lag"].counts), round(total.histograms["lag"].total, 6))
    assert {"aaa_reply_cache_entries": 7} == total.gauges()


def test_a_worker_that_ended_keeps_its_counts_and_its_successor_begins_at_nothing():
    total = Total(("node",), ("lag",))
    total.heard(0, figures(3, 0.003))
    total.ended(0)
    after_end = dict(total.counters["node"])
    total.heard(0, figures(2, 0.003))

    assert {("granted", ""): 3} == after_end
    assert {("granted", ""): 5} == dict(total.counters["node"])
    assert 2 == sum(total.histograms["lag"].counts)
    assert {"aaa_reply_cache_entries": 2} == total.gauges()


def test_figures_of_one_worker_replace_its_older_ones():
    total = Total(("node",), ("lag",))
    total.heard(0, figures(3, 0.003))
    total.heard(0, figures(5, 0.003))

    assert {("granted", ""): 5} == dict(total.counters["node"])
    assert 1 == sum(total.histograms["lag"].counts)


def test_what_was_seen_last_is_the_latest_of_all_workers_also_of_those_that_ended():
    total = Total((), ())
    total.heard(0, told({}, {}, {}, {"sbc": 30, "edge": 10}))
    total.heard(1, told({}, {}, {}, {"sbc": 20}))
    total.ended(0)
    total.heard(0, told({}, {}, {}, {"edge": 15}))

    assert {"sbc": 30, "edge": 15} == total.latest()


def test_durations_of_workers_add_up():
    """Histograms travel as counters and are the same histograms at the other end."""
    durations = {(2, "granted"): Histogram(), (3, "no_credit"): Histogram()}
    for seconds in (0.0004, 0.003, 5.0):
        durations[2, "granted"].observe(seconds)
    total = Total(("durations",), ())
    for worker in (0, 1):
        total.heard(worker, told({"durations": flat(durations)}, {}, {}))
    summed = Unflattened(total.counters["durations"])

    assert {(2, "granted"), (3, "no_credit")} == set(summed)
    assert [2 * count for count in durations[2, "granted"].counts] == summed[2, "granted"].counts
    assert round(2 * durations[2, "granted"].total, 3) == round(summed[2, "granted"].total, 3)
