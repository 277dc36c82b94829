"""
The generators as hypothesis strategies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from rating import Bucket, RatePlan
from tests.reference.generate import DESTINATION, a_tariff_table, an_anchor_us, some_buckets, tariff_of


class Drawn:
    """Choices that hypothesis makes, and can therefore shrink."""

    def __init__(self, draw) -> None:
        self._draw = draw

    def number(self, lowest: int, highest: int) -> int:
        return self._draw(st.integers(lowest, highest))

    def one_of(self, values):
        return self._draw(st.sampled_from(values))


class Call(NamedTuple):
    """One call under one odd tariff."""

    table: dict[str, Any]
    plan: RatePlan
    anchor_us: int
    used: int
    buckets: list[Bucket]


@st.composite
def tables(draw):
    """The table of a tariff, as odd as the loader accepts."""
    choose = Drawn(draw)
    return a_tariff_table(choose, choose.one_of(("voice", "voice", "data", "event")))


@st.composite
def calls(draw, services=("voice", "voice", "data", "event")):
    """A call with its tariff, its anchor and the buckets that may pay for it."""
    choose = Drawn(draw)
    service = choose.one_of(services)
    table = a_tariff_table(choose, service)
    plan = tariff_of(table).find(service, DESTINATION)
    anchor_us = an_anchor_us(choose)
    used = choose.number(0, 3_000)
    return Call(table, plan, anchor_us, used, some_buckets(choose, service, anchor_us))
