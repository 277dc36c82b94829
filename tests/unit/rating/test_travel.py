"""Tariffs go to other processes whole: they price there as here."""

from __future__ import annotations

import pickle

import pytest

from rating.price import price
from tests.unit.rating import hand_tariffs
from tests.unit.rating.hand_tariffs import tariff

TEXTS = [text for text in vars(hand_tariffs).values() if isinstance(text, str) and "[[rate]]" in text]
DAY_US = 86_400_000_000
NUMBERS = ("442079460000", "4930123456", "49", "33123456789", "1")


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_tariff_prices_alike_after_it_was_pickled(text: str):
    here = tariff(text)
    there = pickle.loads(pickle.dumps(here))

    assert (here.name, here.version, here.currency) == (there.name, there.version, there.currency)
    for number in NUMBERS:
        own, other = here.find("voice", number), there.find("voice", number)
        assert (own is None) == (other is None)
        if own is not None and other is not None:
            for at_us in range(1_790_000_000_000_000, 1_790_000_000_000_000 + 7 * DAY_US, DAY_US // 5):
                assert price(own, at_us, 777) == price(other, at_us, 777)


def test_a_tariff_takes_its_fallbacks_along():
    here, other = tariff(TEXTS[0]), tariff(TEXTS[1])
    here.fallbacks = (other,)

    (there,) = pickle.loads(pickle.dumps(here)).fallbacks
    assert other.name == there.name
    assert other.find("voice", "49") is not None
    assert there.find("voice", "49") is not None
