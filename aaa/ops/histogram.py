"""
A histogram that costs one binary search per observation and is read by the metrics collector.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

DURATION_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Histogram:
    """Counts of observations per bound, with their sum; written by one thread."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = DURATION_BOUNDS_S) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """
        Cumulative counts per bound as Prometheus wants them.

        >>> histogram = Histogram((1, 2)); histogram.observe(1.5); histogram.buckets()
        [('1', 0), ('2', 1), ('+Inf', 1)]
        """
        counts = list(self.counts)
        names = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        return list(zip(names, accumulate(counts), strict=True))

    def quantile(self, share: float) -> float:
        """The bound below which this share of the values lies; infinity beyond the last bound, 0 without values."""
        counts = list(self.counts)
        wanted, seen = share * sum(counts), 0
        for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
            seen += count
            if count and seen >= wanted:
                return bound
        return 0.0
