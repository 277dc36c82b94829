"""Number normalisation (S22): one table per way of dialling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.engine.numbers import NumberPlan, looks_like_number, normalise, parse, plan_from

BERLIN = plan_from(
    {"country": "49", "area": "30", "international": ["00", "+", "011"], "national": "0", "strip": ["9"]}
)
GERMAN = plan_from({"country": "49", "international": ["00", "+"], "national": "0"})
AMERICAN = plan_from({"country": "1", "international": "011", "national": "1"})


@pytest.mark.parametrize(
    ("received", "plan", "normalised"),
    [
        ("442079460001", plan_from(None), "442079460001"),
        ("+442079460001", plan_from(None), "442079460001"),
        ("00442079460001", plan_from(None), "00442079460001"),
        ("+44 (20) 7946-0001", plan_from(None), "442079460001"),
        ("sip:442079460001@pbx.example", plan_from(None), "442079460001"),
        ("sip:+442079460001;npdi@pbx.example;user=phone", plan_from(None), "442079460001"),
        ("tel:+44-20-7946-0001;phone-context=example", plan_from(None), "442079460001"),
        ("SIPS:alice@example.net", plan_from(None), "alice"),
        ("internet.example", plan_from(None), "internet.example"),
        ("00442079460001", GERMAN, "442079460001"),
        ("030123456", GERMAN, "4930123456"),
        ("4930123456", GERMAN, "4930123456"),
        ("1001", GERMAN, "1001"),
        ("0", GERMAN, "49"),
        ("900442079460001", BERLIN, "442079460001"),
        ("9011442079460001", BERLIN, "442079460001"),
        ("9123456", BERLIN, "4930123456"),
        ("123456", BERLIN, "4930123456"),
        ("9030123456", BERLIN, "4930123456"),
        ("9", BERLIN, "49309"),
        ("01144207946", AMERICAN, "44207946"),
        ("12125550100", AMERICAN, "12125550100"),
        ("", GERMAN, ""),
        ("٣٤", GERMAN, "٣٤"),
    ],
)
def test_number_as_dialled_becomes_the_number_of_the_tariff(received, plan, normalised):
    assert normalise(received, plan) == normalised


def test_emergency_numbers_survive_the_outside_line_and_the_area():
    """S21 matches what was dialled as well, so that neither `strip` nor `area` hides an emergency."""
    assert parse("911", BERLIN).dialled == "911"
    assert parse("9112", BERLIN).stripped == "112"
    assert parse("112", BERLIN).dialled == "112"


def test_a_plan_takes_single_texts_and_tries_longer_prefixes_first():
    plan = plan_from({"international": ["0", "001", "00"], "strip": "9"})

    assert plan == NumberPlan(international=("001", "00", "0"), strip=("9",))


@given(st.from_regex(r"[1-9][0-9]{5,14}", fullmatch=True))
def test_a_plus_number_is_itself_under_every_plan(number):
    for plan in (GERMAN, AMERICAN, BERLIN, plan_from(None)):
        assert normalise("+" + number, plan) == number


@pytest.mark.parametrize(
    ("text", "is_number"),
    [("+44 20 7946", True), ("1001", True), ("alice", False), ("", False), ("1" * 16, False)],
)
def test_numbers_are_told_from_names(text, is_number):
    assert looks_like_number(text) is is_number
