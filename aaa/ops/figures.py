"""
The figures of one process, as they travel from a worker to its parent, and their sum.

Counters and histograms of all workers add up.  What a worker had counted when it died is kept, so that a sum never
goes back; what it had not told yet, a second's worth at most, is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from aaa.ops.histogram import Histogram

Counters = Mapping[tuple[str, ...], int]
Told = dict[str, Any]
SUM = "sum"


def told(
    counters: Mapping[str, Counters],
    histograms: Mapping[str, Histogram],
    gauges: Mapping[str, float],
    latest: Mapping[str, int] | None = None,
) -> Told:
    """
    Figures as JSON takes them.

    Args:
        latest: When something was seen last, by name.
    """
    return {
        "counters": {name: [[*key, count] for key, count in list(these.items())] for name, these in counters.items()},
        "histograms": {
            name: [list(histogram.bounds), list(histogram.counts), histogram.total]
            for name, histogram in histograms.items()
        },
        "gauges": dict(gauges),
        "latest": dict(latest or {}),
    }


class Summed(Mapping[tuple[str, ...], int]):
    """Counters that are replaced as a whole, so that another thread may read them at any moment."""

    def __init__(self) -> None:
        self._now: Counters = {}

    def replace(self, counters: Counters) -> None:
        """Show these from now on."""
        self._now = counters

    def __getitem__(self, key: tuple[str, ...]) -> int:
        return self._now.get(key, 0)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)


class Total:
    """
    The sum over workers.

    Args:
        counters, histograms: The names that are summed.
    """

    def __init__(self, counters: tuple[str, ...], histograms: tuple[str, ...]) -> None:
        self.counters = {name: Summed() for name in counters}
        self.histograms = {name: Histogram() for name in histograms}
        self._ended: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in counters}
        self._ended_histograms = {name: Histogram() for name in histograms}
        self._ended_latest: dict[str, int] = {}
        self._living: dict[int, Told] = {}

    def heard(self, worker: int, figures: Told) -> None:
        """Take what a worker counts now."""
        self._living[worker] = figures
        self._sum()

    def ended(self, worker: int) -> None:
        """A worker is gone: keep what it had counted; its successor begins at nothing."""
        figures = self._living.pop(worker, None)
        if figures is not None:
            for name, counter in self._ended.items():
                _add(counter, figures["counters"].get(name, ()))
            for name, histogram in self._ended_histograms.items():
                _add_histogram(histogram, figures["histograms"].get(name))
            self._ended_latest = _later(self._ended_latest, figures["latest"])
        self._sum()

    def latest(self) -> dict[str, int]:
        """When something was seen last by any worker, also one that is gone."""
        found = self._ended_latest
        for figures in list(self._living.values()):
            found = _later(found, figures["latest"])
        return dict(found)

    def gauges(self) -> dict[str, float]:
        """The gauges of all workers, summed."""
        summed: Counter[str] = Counter()
        for figures in list(self._living.values()):
            for name, value in figures["gauges"].items():
                summed[name] += value
        return dict(summed)

    def _sum(self) -> None:
        for name, summed in self.counters.items():
            counter = Counter(self._ended[name])
            for figures in self._living.values():
                _add(counter, figures["counters"].get(name, ()))
            summed.replace(counter)
        for name, histogram in self.histograms.items():
            fresh = Histogram(histogram.bounds)
            fresh.counts, fresh.total = list(self._ended_histograms[name].counts), self._ended_histograms[name].total
            for figures in self._living.values():
                _add_histogram(fresh, figures["histograms"].get(name))
            histogram.counts, histogram.total = fresh.counts, fresh.total


def _add(counter: Counter[tuple[str, ...]], rows: Any) -> None:
    for *key, count in rows:
        counter[tuple(key)] += count


def _later(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _add_histogram(histogram: Histogram, row: Any) -> None:
    if row is not None and tuple(row[0]) == histogram.bounds:
        histogram.counts = [mine + its for mine, its in zip(histogram.counts, row[1], strict=True)]
        histogram.total += row[2]


def flat(durations: Mapping[tuple[int, str], Histogram]) -> dict[tuple[str, ...], int]:
    """Histograms by RADIUS code and result as counters, which add up: code, result, bucket; their sum in us."""
    found: dict[tuple[str, ...], int] = {}
    for (code, result), histogram in dict(durations).items():
        for bucket, count in enumerate(histogram.counts):
            if count:
                found[str(code), result, str(bucket)] = count
        found[str(code), result, SUM] = int(histogram.total * 1e6)
    return found


class Unflattened(Mapping[tuple[int, str], Histogram]):
    """The histograms that `flat` made counters of, read anew at every look."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def _made(self) -> dict[tuple[int, str], Histogram]:
        made: dict[tuple[int, str], Histogram] = {}
        for (code, result, bucket), count in dict(self._counters).items():
            histogram = made.setdefault((int(code), result), Histogram())
            if bucket == SUM:
                histogram.total = count / 1e6
            else:
                histogram.counts[int(bucket)] = count
        return made

    def __getitem__(self, key: tuple[int, str]) -> Histogram:
        return self._made()[key]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())
