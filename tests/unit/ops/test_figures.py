"""Figures of workers add up and never go back."""

from __future__ import annotations

import json

from aaa.ops.figures import Total, told
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
