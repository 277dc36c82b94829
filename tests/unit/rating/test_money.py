"""
Amounts are exact: what cannot be exact is refused.
"""

import pytest

from rating import format_money, parse_money
from rating.money import ROUNDING_MODES, format_nano, largest_rounding_to, parse_nano, round_ratio


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("0", 0),
        ("10", 10_000_000),
        ("10.05", 10_050_000),
        ("0.000001", 1),
        ("-1.5", -1_500_000),
        (3, 3_000_000),
        ("9007199254.740993", 2**53 + 1),
        ("9223372036854.775807", 2**63 - 1),
    ],
)
def test_amounts_are_read_exactly(text, micro):
    """Every digit of an amount is kept."""
    assert parse_money(text) == micro


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (0.1, "in quotes"),
        (True, "in quotes"),
        (None, "in quotes"),
        ("", "digits"),
        ("1.", "digits"),
        (".5", "digits"),
        ("1,5", "digits"),
        ("1e3", "digits"),
        ("+1", "digits"),
        (" 1", "digits"),
        ("\u0661", "digits"),
        ("NaN", "digits"),
        ("0.0000001", "at most 6"),
        ("9223372036854.775808", "larger than the ledger"),
        ("1" * 20, "digits"),
    ],
)
def test_what_is_no_exact_amount_is_refused(text, reason):
    """Floats, garbage and too many digits are errors that say so."""
    with pytest.raises(ValueError, match=reason):
        parse_money(text)


def test_fewer_decimals_can_be_asked_for():
    """A currency without decimals takes none."""
    assert parse_money("12", decimals=0) == 12_000_000
    with pytest.raises(ValueError, match="at most 0"):
        parse_money("12.5", decimals=0)


@pytest.mark.parametrize(
    ("micro", "decimals", "text"),
    [
        (10_000_000, 6, "10.000000"),
        (10_000_000, 2, "10.00"),
        (10_005_000, 2, "10.005"),
        (-1, 2, "-0.000001"),
        (12_000_000, 0, "12"),
        (0, 2, "0.00"),
        (2**53 + 1, 6, "9007199254.740993"),
    ],
)
def test_amounts_are_written_without_losing_a_digit(micro, decimals, text):
    """At least so many decimals, and all that are needed."""
    assert format_money(micro, decimals) == text
    assert parse_money(text) == micro


def test_prices_have_nine_decimals():
    """Nano is the finest price."""
    assert parse_nano("0.000000001") == 1
    assert format_nano(parse_nano("0.0120")) == "0.012"
    with pytest.raises(ValueError, match="at most 9"):
        parse_nano("0.0000000001")


@pytest.mark.parametrize("mode", ROUNDING_MODES)
def test_the_largest_charge_for_funds_is_the_inverse_of_rounding(mode):
    """For every denominator, the numerator found rounds to the funds and the next one does not."""
    for denominator in (1, 2, 3, 4, 7, 10):
        for whole in range(5):
            largest = largest_rounding_to(whole, denominator, mode)
            assert round_ratio(largest, denominator, mode) <= whole
            assert round_ratio(largest + 1, denominator, mode) > whole
