"""
What a process tells of itself: figures for the metrics, the status, and its parent.

A parent shows the sum over its workers and itself; a worker shows nothing and tells its parent.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from aaa.api.shapes import instant
from aaa.config import Config
from aaa.errors import AaaError, RowUnreadable
from aaa.faces import Faces, listeners_of
from aaa.neighbours import Neighbours
from aaa.node.clock import system_clock
from aaa.node.node import ChargingNode
from aaa.node.tally import outcomes
from aaa.ops.figures import Unflattened, flat, told
from aaa.ops.listener import LagProbe
from aaa.ops.log_events import row_unreadable
from aaa.ops.metrics import Sources
from aaa.ops.request_logging import RequestLogging
from aaa.outbox.courier import Courier
from aaa.part import Part
from aaa.store.read import open_reader
from aaa.switches import Switches
from aaa.watch import Watch

ERRORS_KEPT = 10
CONNECTED = "connected|"  # how the gauges of connections are named, before host, realm and address
EXPOSED = "exposed|"
SAID_AGAIN_US = 1_000_000  # the same again and again, as while the store is away, is said once a second
CACHED = "aaa_reply_cache_entries"
EVICTED = ("evicted",)
PARENT = -1  # the parent's place among the figures of its workers


class Report:
    """
    The figures and the last errors of one process.

    Args:
        version: The release that runs.
    """

    def __init__(self, config: Config, part: Part, version: str, reactor: Any) -> None:
        self.config = config
        self.reloads: Counter[tuple[str, ...]] = Counter()
        self.lag = LagProbe(reactor)
        self._part = part
        self._version = version
        self._said = ("", 0)
        self._errors: deque[str] = deque(maxlen=ERRORS_KEPT)
        self._started_us = system_clock()
        self._reloaded_at_s = self._started_us / 1e6

    def of(
        self,
        node: ChargingNode,
        faces: Faces,
        watch: Watch,
        switches: Switches,
        neighbours: Neighbours,
        courier: Courier | None,
        logging: RequestLogging,
    ) -> None:
        """Report of these."""
        self._faces, self._watch, self._neighbours = faces, watch, neighbours
        self._node = node
        self._transactions = node.tally.transactions
        self._durations = {} if faces.radius is None else faces.radius.service.durations
        self._logging = logging
        self._own: dict[str, Mapping[Any, int]] = {
            "node": node.counters,
            "tally": node.tally.counters,
            "radius": faces.radius_counters,
            "diameter": faces.diameter_counters,
            "switches": switches.counters,
            "bus": neighbours.hub.counters,
            "outbox": {} if courier is None else courier.counters,
        }

    def reloaded(self, is_taken: bool) -> None:
        """A configuration was taken up, or rejected."""
        self.reloads["ok" if is_taken else "rejected",] += 1
        if is_taken:
            self._reloaded_at_s = system_clock() / 1e6

    def failed(self, error: Exception) -> None:
        """Something raised; what is not one of our own exceptions is a bug and told with where it happened."""
        if not self.problem(f"{type(error).__name__}: {error}"):
            return
        if isinstance(error, RowUnreadable):
            row_unreadable(problem=str(error))
        elif not isinstance(error, AaaError):
            traceback.print_exception(error, limit=-8)

    def problem(self, text: str) -> bool:
        """Say what an operator has to know, here and in the status; False when it was said a moment ago."""
        now_us = system_clock()
        if text == self._said[0] and 0 <= now_us - self._said[1] < SAID_AGAIN_US:
            return False
        self._said = (text, now_us)
        worker = self._part.inherited
        self._errors.append(text)
        sys.stderr.write(f"aaad: {'' if worker is None else f'worker {worker.index}: '}{text}\n")
        return True

    def tell(self) -> None:
        """Tell the parent, or, as a parent, add the own figures to those of the workers."""
        connections = {CONNECTED + "|".join(who): float(count) for who, count in self._faces.connected().items()}
        entries, evictions = self._reply_cache()
        counters = {**self._own, "durations": flat(self._durations), "reply_cache": {EVICTED: evictions}}
        exposure = {EXPOSED + currency: amount for currency, amount in self._own_exposure().items()}
        gauges = {**connections, **exposure, CACHED: float(entries)}
        figures = told(counters, {"lag": self.lag.histogram, **self._transactions}, gauges, self._last_seen())
        if self._neighbours.group is not None:
            self._neighbours.group.total.heard(PARENT, figures)
        else:
            self._neighbours.tell_figures(figures)

    def sources(self) -> Sources:
        """Where the metrics read."""
        total = self._neighbours.group.total if self._neighbours.group is not None else None
        counters: Any = total.counters if total is not None else self._own
        return Sources(
            engine=open_reader(self.config.store.url),
            version=self._version,
            node=counters["node"],
            radius=counters["radius"],
            gauges=self._gauges,
            exposure=self._exposure,
            reloads=self.reloads,
            reloaded_at_s=lambda: self._reloaded_at_s,
            lag=total.histograms["lag"] if total is not None else self.lag.histogram,
            consumers=[table.name for table in self.config.outbox],
            now_s=lambda: system_clock() / 1e6,
            outbox=counters["outbox"],
            switches=counters["switches"],
            bus=counters["bus"],
            diameter=counters["diameter"],
            diameter_up=self._up,
            diameter_durations=self._faces.diameter_durations,
            tally=counters["tally"],
            transactions=self._transactions
            if total is None
            else {name: total.histograms[name] for name in self._transactions},
            durations=self._durations if total is None else Unflattened(total.counters["durations"]),
        )

    def listeners(self) -> list[str]:
        """What is served, by this process or by its workers."""
        group = self._neighbours.group
        return self._faces.listeners if group is None else group.listeners

    def describe(self) -> dict[str, Any]:
        """The composition's part of the status."""
        group = self._neighbours.group
        counters: Any = self._own if group is None else group.total.counters
        return {
            "version": self._version,
            "node": self.config.server.node,
            "pid": os.getpid(),
            "role": self._part.role,
            "uptime_s": (system_clock() - self._started_us) // 1_000_000,
            "config_digest": self.config.digest,
            "config_loaded_at": instant(int(self._reloaded_at_s * 1e6)),
            "nas_last_seen": _instants(self._last_seen() if group is None else group.total.latest()),
            "log_lines_dropped": self._logging.dropped,
            "listeners": self.listeners(),
            "listeners_wanted": listeners_of(self.config, self._part.role),
            "clock_offset_us": self._watch.offset_us,
            "radius": _named(counters["radius"]),
            "diameter": _named(counters["diameter"]),
            "peers": self.connected(),
            "exposure_micro": {currency: round(amount * 1e6) for currency, amount in self._exposure().items()},
            "counters": _named(counters["node"]) | outcomes(counters["tally"]),
            "switches": _named(counters["switches"]),
            "outbox": _named(counters["outbox"]),
            **self._neighbours.describe(),
            "errors": list(self._errors),
        }

    def connected(self) -> list[dict[str, Any]]:
        """The connections of Diameter peers, to this process or to its workers."""
        group = self._neighbours.group
        found = self._faces.connected()
        if group is not None:
            told_of = group.total.gauges().items()
            found = {
                tuple(name.removeprefix(CONNECTED).split("|")): int(count)  # type: ignore[misc]
                for name, count in told_of
                if name.startswith(CONNECTED)
            }
        return [
            {"origin_host": host, "realm": realm, "address": address, "connections": count}
            for (host, realm, address), count in sorted(found.items())
        ]

    def _up(self) -> dict[str, int]:
        """How many connections each peer has; 0 for a configured one that has none."""
        found = {entry["origin_host"].lower(): 0 for entry in self.config.peer if entry["origin_host"] != "*"}
        for one in self.connected():
            found[one["origin_host"]] = found.get(one["origin_host"], 0) + one["connections"]
        return found

    def _own_exposure(self) -> dict[str, float]:
        """What this process granted without the store and the store does not know yet, by currency."""
        outage = self._node.outage
        return {} if outage is None else {name: micro / 1e6 for name, micro in dict(outage.exposure_micro).items()}

    def _exposure(self) -> dict[str, float]:
        """The exposure of this process, or of its workers."""
        group = self._neighbours.group
        if group is None:
            return self._own_exposure()
        gauges = group.total.gauges().items()
        return {name.removeprefix(EXPOSED): value for name, value in gauges if name.startswith(EXPOSED)}

    def _gauges(self) -> dict[str, float]:
        gauges = {
            **self._neighbours.gauges(),
            "aaa_clock_offset_seconds": self._watch.offset_us / 1e6,
            "aaa_log_lines_dropped": self._logging.dropped,
        }
        group = self._neighbours.group
        entries: float
        if group is None:
            entries, evictions = self._reply_cache()
        else:
            entries, evictions = group.total.gauges().get(CACHED, 0.0), group.total.counters["reply_cache"][EVICTED]
        return {**gauges, CACHED: entries, "aaa_reply_cache_evictions": evictions}

    def _reply_cache(self) -> tuple[int, int]:
        """The answers this process keeps for repeats, and those it forgot before their time."""
        if self._faces.radius is None:
            return 0, 0
        dedup = self._faces.radius.service.dedup
        return len(dedup), dedup.evictions

    def _last_seen(self) -> Mapping[str, int]:
        """When each RADIUS client was seen last by this process."""
        return {} if self._faces.radius is None else self._faces.radius.service.last_seen


def _instants(times_us: Mapping[str, int]) -> dict[str, str | None]:
    return {name: instant(at_us) for name, at_us in sorted(dict(times_us).items())}


def _named(counters: Mapping[tuple[str, ...], int]) -> dict[str, int]:
    """Counters by dotted names."""
    return {".".join(part for part in name if part): count for name, count in sorted(dict(counters).items())}
