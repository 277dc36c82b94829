"""
The metrics of OPERATIONS section 6: names, and how they are read from plain counters.

The hot path adds to dictionaries; everything Prometheus knows is made when somebody scrapes, on a thread
of its own.  No label names a subscriber or an account.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from sqlalchemy import Engine

from aaa.errors import StoreUnavailable
from aaa.ops.histogram import Histogram
from aaa.store import read, schema

MICRO = 1_000_000
Counters = Mapping[tuple[str, ...], int]
Labels = tuple[str, ...]

_OUTCOMES = {
    "no_credit": "denied_no_credit",
    "unknown_destination": "denied_no_rate",
    "no_tariff": "denied_no_rate",
    "destination_blocked": "denied_no_rate",
    "limit_sessions": "denied_limit",
    "limit_call": "denied_limit",
    "limit_window": "denied_limit",
    "limit_rate": "denied_limit",
    "store_down": "denied_store",
    "granted": "granted",
    "final": "final",
}
_CODES = {"2": "accept", "3": "reject", "5": "accounting", "11": "challenge"}


@dataclass
class Sources:
    """
    Where the figures come from.

    Args:
        node: The node's counters, (kind, cause).
        radius: The RADIUS face's counters: (requests, nas, code), (responses, nas, code, result),
            (duplicates, nas, kind), (dropped, nas, reason).
        gauges: Instantaneous figures by metric name.
        exposure: Money granted while the store was down that it does not know of yet, by currency.
        reloads: Configuration reloads by result, (ok,) and (rejected,).
        lag: How late the reactor came to work that was due.
        durations: From datagram to answer, by RADIUS code and result.
        tally: What `aaa.node.tally` counts.
        transactions: How long the store took, by operation.
        consumers: Who gets events of the outbox; `now_s` tells how old they are.
        outbox: Deliveries by result and consumer.
        switches: Orders to switches by result and protocol.
        bus: Messages between processes by result and kind.
    """

    engine: Engine
    version: str
    node: Mapping[tuple[str, str], int]
    radius: Counters
    gauges: Callable[[], Mapping[str, float]] = dict
    exposure: Callable[[], Mapping[str, float]] = dict
    diameter: Counters = field(default_factory=dict)  # as `aaa.diameter.server.DiameterServer.counters`
    diameter_up: Callable[[], Mapping[str, int]] = dict
    diameter_durations: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    reloads: Counters = field(default_factory=dict)
    reloaded_at_s: Callable[[], float] = lambda: 0.0
    lag: Histogram = field(default_factory=Histogram)
    durations: Mapping[tuple[int, str], Histogram] = field(default_factory=dict)
    tally: Counters = field(default_factory=dict)
    transactions: Mapping[str, Histogram] = field(default_factory=dict)
    consumers: Sequence[str] = ()
    now_s: Callable[[], float] = lambda: 0.0
    outbox: Counters = field(default_factory=dict)
    switches: Counters = field(default_factory=dict)
    bus: Counters = field(default_factory=dict)


class Collector:
    """Makes metric families of the sources, anew for every scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """All families."""
        sources = self._sources
        yield from _radius(dict(sources.radius))
        yield from _diameter(sources)
        yield from _node(dict(sources.node))
        yield from _tally(dict(sources.tally))
        yield from _store(sources)
        for name, value in sources.gauges().items():
            if name in _COUNTED:
                yield _counter(name, GAUGES[name], (), {(): value})
            else:
                yield GaugeMetricFamily(name, GAUGES.get(name, name), value=value)
        exposed = GaugeMetricFamily("aaa_exposure_amount", "Money granted outside the store.", labels=["currency"])
        for currency, amount in sorted(sources.exposure().items()):
            exposed.add_metric([currency], amount)
        yield exposed
        yield _counter("aaa_outbox_events", "Events by result.", ("result", "consumer"), dict(sources.outbox))
        yield _counter("aaa_switch_orders", "Orders to switches.", ("result", "protocol"), dict(sources.switches))
        yield _counter("aaa_bus_messages", "Messages of other nodes.", ("result", "kind"), dict(sources.bus))
        yield _counter("aaa_config_reloads", "Configuration reloads.", ("result",), dict(sources.reloads))
        reloaded = "aaa_config_last_reload_success_timestamp_seconds"
        yield GaugeMetricFamily(reloaded, "When the configuration was last taken up.", value=sources.reloaded_at_s())
        yield _histogram("aaa_reactor_lag_seconds", "How late the reactor came to due work.", (), {(): sources.lag})
        name = "aaa_radius_request_duration_seconds"
        durations = {
            (_CODES.get(str(code), str(code)), result): found
            for (code, result), found in dict(sources.durations).items()
        }
        yield _histogram(name, "From datagram to answer.", ("code", "result"), durations)
        taken = {(operation,): histogram for operation, histogram in sources.transactions.items()}
        yield _histogram("aaa_store_transaction_seconds", "Transactions of the store.", ("operation",), taken)


GAUGES = {
    "aaa_reply_cache_entries": "Answers kept for repeats of the same packet.",
    "aaa_reply_cache_evictions": "Answers forgotten before their time because there were too many.",
    "aaa_workers_serving": "Workers that serve now.",
    "aaa_redis_up": "Whether the bus between machines is there.",
    "aaa_clock_offset_seconds": "How far the store's clock is ahead of ours.",
    "aaa_log_lines_dropped": "Log lines nobody was there to read.",
}
_COUNTED = frozenset(("aaa_reply_cache_evictions", "aaa_log_lines_dropped"))


def _tally(counters: Counters) -> Iterator[Metric]:
    """What the node counted when answers went out."""
    by_kind: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    for (kind, *labels), count in counters.items():
        if kind == "grants":
            service, outcome = labels
            by_kind[kind][service, _OUTCOMES.get(outcome, "denied_account")] += count
        elif kind in ("charged", "refunded"):
            by_kind[kind][tuple(labels)] += count / MICRO
        else:
            by_kind[kind][tuple(labels)] += count
    by_kind["grants"].setdefault(("voice", "denied_store"), 0)  # alerted on when it first happens
    money = ("service", "currency")
    yield _counter("aaa_grants", "Requests for quota by outcome.", ("service", "outcome"), by_kind["grants"])
    yield _counter("aaa_sessions_started", "Sessions that began.", ("service",), by_kind["started"])
    yield _counter("aaa_sessions_ended", "Sessions that were settled, by cause.", ("cause",), by_kind["ended"])
    granted, used = by_kind["granted_seconds"], by_kind["used_seconds"]
    yield _counter("aaa_granted_seconds", "Seconds granted to ended sessions, overruns too.", ("service",), granted)
    yield _counter("aaa_used_seconds", "Seconds used by sessions that ended.", ("service",), used)
    yield _counter("aaa_charges", "Ledger entries of charges and their corrections.", money, by_kind["charges"])
    yield _counter("aaa_charged_amount", "Money charged.", money, by_kind["charged"])
    yield _counter("aaa_refunded_amount", "Money given back by corrections and refunds.", money, by_kind["refunded"])


def _radius(counters: Counters) -> Iterator[Metric]:
    by_kind: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    for (kind, nas, *rest), count in counters.items():
        if kind == "requests":
            by_kind[kind][nas, rest[0]] += count
        elif kind == "responses":
            by_kind[kind][nas, _CODES.get(rest[0], rest[0]), rest[1]] += count
        elif kind == "duplicates":
            by_kind[kind][nas,] += count
        elif kind == "dropped":
            by_kind[kind][rest[0],] += count
        elif kind == "dynauth":
            by_kind[kind][nas, rest[0], rest[1]] += count
        else:
            by_kind["events"][kind, nas, rest[0] if rest else ""] += count
    yield _counter("aaa_radius_requests", "Requests taken.", ("nas", "code"), by_kind["requests"])
    yield _counter("aaa_radius_responses", "Answers sent.", ("nas", "code", "result"), by_kind["responses"])
    yield _counter("aaa_radius_duplicates", "Repeats of a packet.", ("nas",), by_kind["duplicates"])
    yield _counter("aaa_radius_dropped", "Packets not answered.", ("reason",), by_kind["dropped"])
    kinds = ("nas", "kind", "result")
    yield _counter("aaa_dynauth_requests", "Disconnect and CoA requests.", kinds, by_kind["dynauth"])
    yield _counter("aaa_radius_events", "Everything else counted.", ("kind", "nas", "cause"), by_kind["events"])


def _diameter(sources: Sources) -> Iterator[Metric]:
    by_kind: dict[str, dict[Labels, float]] = {"messages": {}, "connections": {}}
    for (kind, *labels), count in dict(sources.diameter).items():
        by_kind[kind][tuple(labels)] = count
    labels_of = ("peer", "command", "direction", "result_code")
    yield _counter("aaa_diameter_messages", "Requests and answers, both ways.", labels_of, by_kind["messages"])
    text = "Connections by how they began or ended."
    yield _counter("aaa_diameter_connections", text, ("peer", "event"), by_kind["connections"])
    up = GaugeMetricFamily("aaa_diameter_peer_up", "Open connections.", labels=["peer"])
    for peer, count in sorted(sources.diameter_up().items()):
        up.add_metric([peer], count)
    yield up
    name, text = "aaa_diameter_request_duration_seconds", "From request to answer."
    yield _histogram(name, text, ("command", "request_type"), dict(sources.diameter_durations))


def _node(counters: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    known: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
    for (kind, cause), count in counters.items():
        if kind == "overspend":
            known[kind][cause,] += count / MICRO
        elif kind in ("overrun", "expired"):
            known[kind][cause,] += count
        elif kind in ("conflicts", "locked"):
            known["store_conflicts"]["batch" if kind == "conflicts" else "locked",] += count
        elif kind in ("late", "batches", "requests", "store_failed", "unreadable"):
            known[kind][()] += count
        else:
            known["notices"][kind, cause] += count
    # What must be alerted on when it first happens has to be there before: a rate needs two points.
    known["overspend"].setdefault(("grant",), 0)
    known["late"].setdefault((), 0)
    yield _counter("aaa_overrun", "Units used beyond a grant.", ("cause",), known["overrun"])
    yield _counter(
        "aaa_overspend_amount",
        "Money beyond available; cause=grant is a bug.",
        ("cause",),
        known["overspend"],
    )
    yield _counter("aaa_reservations_expired", "Sessions settled by their deadline.", ("cause",), known["expired"])
    yield _counter("aaa_settlement_late", "Stops after the deadline.", (), known["late"])
    yield _counter("aaa_commands", "Commands decided.", (), known["requests"])
    yield _counter("aaa_store_batches", "Transactions of the batch.", (), known["batches"])
    yield _counter("aaa_store_conflicts", "Races lost to another node.", ("operation",), known["store_conflicts"])
    yield _counter("aaa_store_failures", "Batches the store did not take.", (), known["store_failed"])
    text = "Requests refused because a row they need cannot be read."
    yield _counter("aaa_store_rows_unreadable", text, (), known["unreadable"])
    yield _counter("aaa_notices", "Everything else counted.", ("kind", "cause"), known["notices"])


def _store(sources: Sources) -> Iterator[Metric]:
    """What only the store knows; without it these families have no samples and `aaa_store_up` is 0."""
    reserved = GaugeMetricFamily("aaa_reserved_amount", "Money held now.", labels=["currency"])
    accrued = GaugeMetricFamily("aaa_accrued_amount", "Money used and not posted yet.", labels=["currency"])
    active = GaugeMetricFamily("aaa_sessions_active", "Sessions that hold money.", labels=["service", "protocol"])
    tariffs = GaugeMetricFamily("aaa_tariff_version_info", "Version in force.", labels=["tariff", "version"])
    pending = GaugeMetricFamily("aaa_outbox_pending", "Events that wait for a consumer.", labels=["consumer"])
    oldest = GaugeMetricFamily("aaa_outbox_oldest_seconds", "How long the oldest waits.", labels=["consumer"])
    revision: str | None = None
    is_up = True
    try:
        with read.snapshot(sources.engine) as connection:
            for row in read.totals(connection):
                reserved.add_metric([row.currency], int(row.reserved) / MICRO)
                accrued.add_metric([row.currency], int(row.accrued) / MICRO)
            for row in read.live_by_kind(connection):
                active.add_metric([row.service, row.protocol], row.count)
            for name, version in read.in_force(connection):
                tariffs.add_metric([name, str(version)], 1)
            waiting = {row.consumer: row for row in read.outbox(connection)}
            for name in sorted({*waiting, *sources.consumers}):
                row = waiting.get(name)
                pending.add_metric([name], row.pending if row else 0)
                oldest.add_metric([name], max(0.0, sources.now_s() - row.oldest_at / MICRO) if row else 0.0)
        revision = schema.current(sources.engine)
    except StoreUnavailable:
        is_up = False
    yield from (reserved, accrued, active, tariffs, pending, oldest)
    yield GaugeMetricFamily("aaa_store_up", "Whether the store answers.", value=float(is_up))
    build = GaugeMetricFamily("aaa_build_info", "What runs.", labels=["version", "python", "schema"])
    build.add_metric([sources.version, platform.python_version(), revision or "unknown"], 1)
    yield build


def _counter(name: str, text: str, labels: Labels, samples: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in sorted(samples.items()):
        family.add_metric([str(value) for value in values], count)
    return family


def _histogram(name: str, text: str, labels: Labels, samples: Mapping[Any, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in sorted(samples.items()):
        family.add_metric(list(values), buckets=histogram.buckets(), sum_value=histogram.total)
    return family
