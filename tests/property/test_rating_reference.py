"""
The closed forms agree with the naive pricer that goes pulse by pulse.
"""

import pytest

from tests.reference.compare import compare_many


def test_random_calls_cost_what_the_naive_pricer_says():
    """Price, explanation, settlement, funding plan and grant of random calls agree."""
    assert compare_many(2_500, seed=1, used_max=600) >= 2_500


@pytest.mark.campaign
def test_a_hundred_thousand_random_calls_cost_what_the_naive_pricer_says():
    """The same, in bulk."""
    assert compare_many(100_000, seed=1_000_000) >= 100_000
