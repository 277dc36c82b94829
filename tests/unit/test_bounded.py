"""Full tables lose their oldest entries."""

from __future__ import annotations

import pytest

from aaa.bounded import forget_oldest


@pytest.mark.parametrize(("size", "left"), [(1, []), (2, [1]), (16, [*range(2, 16)]), (160, [*range(11, 160)])])
def test_the_oldest_sixteenth_goes_and_one_at_least(size, left):
    entries = dict.fromkeys(range(size))
    forget_oldest(entries)
    assert left == list(entries)


def test_an_empty_table_stays_empty():
    entries: dict[str, int] = {}
    forget_oldest(entries)
    assert not entries
