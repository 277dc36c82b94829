"""Plain counters come out under the names operators build alerts on."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine
from twisted.internet.task import Clock

from aaa.ops.histogram import Histogram
from aaa.ops.listener import LAG_INTERVAL_S, LagProbe
from aaa.ops.metrics import Collector, Sources
from tests.support.control import World, make_config


def samples(sources: Sources) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry()
    registry.register(Collector(sources))
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def world(tmp_path, keys):
    world = World(make_config(tmp_path), keys)
    yield world
    world.close()


def test_names_and_labels_are_those_of_the_operations_page(world):
    """Alert rules and boards depend on them."""
    world.apply()
    world.begin(seconds=60)
    found = samples(
        Sources(
            world.context.engine,
            "0.1",
            {("overspend", "late"): 1_500_000, ("conflict", "stop"): 1, ("conflicts", ""): 2},
            {
                ("requests", "sbc", "access"): 5,
                ("responses", "sbc", "2", "granted"): 4,
                ("duplicates", "sbc", "answered"): 2,
                ("duplicates", "sbc", "in_progress"): 1,
                ("dropped", "", "unknown_nas"): 7,
                ("dynauth", "sbc", "disconnect", "ack"): 1,
            },
            gauges=lambda: {"aaa_reply_cache_entries": 9.0, "aaa_reply_cache_evictions": 2.0},
            exposure=lambda: {"EUR": 1.25},
            durations={(2, "granted"): Histogram()},
            transactions={"batch": Histogram()},
            tally={
                ("grants", "voice", "granted"): 3,
                ("grants", "voice", "no_credit"): 2,
                ("started", "voice"): 3,
                ("ended", "stale"): 1,
                ("used_seconds", "voice"): 45,
                ("charged", "voice", "EUR"): 2_500_000,
            },
        )
    )

    assert {
        ("aaa_grants_total", (("outcome", "granted"), ("service", "voice"))): 3,
        ("aaa_grants_total", (("outcome", "denied_no_credit"), ("service", "voice"))): 2,
        ("aaa_grants_total", (("outcome", "denied_store"), ("service", "voice"))): 0,
        ("aaa_sessions_started_total", (("service", "voice"),)): 3,
        ("aaa_sessions_ended_total", (("cause", "stale"),)): 1,
        ("aaa_used_seconds_total", (("service", "voice"),)): 45,
        ("aaa_charged_amount_total", (("currency", "EUR"), ("service", "voice"))): 2.5,
        ("aaa_store_conflicts_total", (("operation", "batch"),)): 2,
        ("aaa_store_transaction_seconds_count", (("operation", "batch"),)): 0,
        ("aaa_radius_request_duration_seconds_count", (("code", "accept"), ("result", "granted"))): 0,
        ("aaa_dynauth_requests_total", (("kind", "disconnect"), ("nas", "sbc"), ("result", "ack"))): 1,
        ("aaa_reply_cache_entries", ()): 9,
        ("aaa_reply_cache_evictions_total", ()): 2,
        ("aaa_overspend_amount_total", (("cause", "late"),)): 1.5,
        ("aaa_overspend_amount_total", (("cause", "grant"),)): 0,
        ("aaa_notices_total", (("cause", "stop"), ("kind", "conflict"))): 1,
        ("aaa_radius_requests_total", (("code", "access"), ("nas", "sbc"))): 5,
        ("aaa_radius_responses_total", (("code", "accept"), ("nas", "sbc"), ("result", "granted"))): 4,
        ("aaa_radius_duplicates_total", (("nas", "sbc"),)): 3,
        ("aaa_radius_dropped_total", (("reason", "unknown_nas"),)): 7,
        ("aaa_sessions_active", (("protocol", "radius"), ("service", "voice"))): 1,
        ("aaa_reserved_amount", (("currency", "EUR"),)): 0.6,
        ("aaa_tariff_version_info", (("tariff", "retail"), ("version", "1"))): 1,
        ("aaa_exposure_amount", (("currency", "EUR"),)): 1.25,
        ("aaa_store_up", ()): 1,
    }.items() <= found.items()


def test_without_a_store_the_rest_is_still_served(tmp_path):
    """The scrape that tells of the outage must not fail because of it."""
    engine = create_engine(f"sqlite:///file:{tmp_path}/none.db?mode=ro&uri=true")

    found = samples(Sources(engine, "0.1", {("late", ""): 1}, {}))

    assert (0, 1) == (found["aaa_store_up", ()], found["aaa_settlement_late_total", ()])


def test_a_histogram_is_cumulative():
    """Each bound counts what lies at or below it."""
    histogram = Histogram((0.1, 1))
    for value in (0.05, 0.1, 0.5, 3):
        histogram.observe(value)

    assert [("0.1", 2), ("1", 3), ("+Inf", 4)] == histogram.buckets()
    assert (0.1, float("inf")) == (histogram.quantile(0.5), histogram.quantile(0.99))
    assert pytest.approx(3.65) == histogram.total


def test_the_lag_probe_sees_a_reactor_that_comes_late():
    """Due after a quarter of a second, done after more: the difference is the lag."""
    clock = Clock()
    probe = LagProbe(clock)
    probe.start()
    clock.advance(LAG_INTERVAL_S)
    clock.advance(LAG_INTERVAL_S + 0.3)

    assert 2 == sum(probe.histogram.counts)
    assert pytest.approx(0.3) == probe.histogram.total
