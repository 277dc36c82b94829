"""Figures of several processes are one sum."""

from __future__ import annotations

from aaa.ops.figures import Total, Unflattened, flat, told
from aaa.ops.histogram import Histogram


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
