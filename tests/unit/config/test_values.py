"""Values are read exactly or refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.config.values import (
    is_loopback,
    money_text,
    parse_duration,
    parse_money,
    parse_pulse,
    parse_size,
    split_host_port,
)


@given(st.integers(min_value=-(10**17), max_value=10**17))
def test_money_survives_writing_and_reading(amount_micro):
    """The text form holds every micro-unit."""
    assert amount_micro == parse_money(money_text(amount_micro))


@pytest.mark.parametrize("text", ["", "x", "1.0000001", "NaN", "inf", "1e30", 1.5, 1, None, "1,5"])
def test_bad_money_is_refused(text):
    """No float, no rounding, no overflow."""
    with pytest.raises(ValueError, match=r".+"):
        parse_money(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_duration, "5"),
        (parse_duration, "-5s"),
        (parse_duration, "1.5h"),
        (parse_size, "5"),
        (parse_size, "5QB"),
        (parse_pulse, "60"),
        (parse_pulse, "0/1"),
    ],
)
def test_quantities_without_a_known_unit_are_refused(parse, text):
    """A bare number could be anything."""
    with pytest.raises(ValueError, match="expected"):
        parse(text)


@pytest.mark.parametrize("text", ["localhost", "1812", "::1:1812", "[::1]", "host:99999", "a b:1", ":1"])
def test_addresses_need_host_and_port(text):
    """IPv6 stands in brackets."""
    with pytest.raises(ValueError, match="expected"):
        split_host_port(text)


def test_loopback_is_the_whole_network():
    """A network that reaches beyond loopback is not loopback."""
    assert (True, True, False, False) == tuple(map(is_loopback, ("127.0.0.0/8", "::1", "0.0.0.0/0", "10.0.0.1")))
