"""
Explanations a person can check, and differences an operator can read.
"""

import tomllib
from fractions import Fraction

from rating import diff, explain, explain_text, parse_toml_tariff
from rating.explain import exact_text
from tests.unit.rating.hand_tariffs import PEAK, at_us, flat, plan, service


def test_a_call_over_a_boundary_is_explained_line_by_line():
    """Bucket, pulses with their times and calendars, and the sum."""
    text = explain_text(plan(PEAK), at_us("2026-11-23 07:58:30"), 200, (("7", 50),))

    assert text.splitlines() == [
        "tariff hand version 1, prefix (catch-all)",
        "200 seconds from 2026-11-23 07:58:30+01:00",
        "  from 0: 50 seconds from bucket 7                   0",
        "  from 50 at 07:59:20: 1 x 60 at 0.01 per 60s        0.01",
        "  from 110 at 08:00:20: 2 x 60 at 0.1 per 60s, peak  0.2",
        "  charge                                             0.2100 EUR",
    ]


def test_terms_of_the_whole_call_have_lines_of_their_own():
    """Minimum, fee, maximum and rounding say what they changed."""
    more = 'connect_fee = "0.05"\nmin_charge = "0.02"\nmax_charge = "0.08"\n'
    found = plan(flat("0.01", "1/1", more=more))

    assert [(line["kind"], line["amount"]) for line in explain(found, 0, 1)["lines"]] == [
        ("pulses", "1/6000"),
        ("minimum", "119/6000"),
        ("fee", "0.05"),
    ]
    assert [line["kind"] for line in explain(found, 0, 3_000)["lines"]] == ["pulses", "fee", "maximum"]
    assert [line["kind"] for line in explain(plan(flat("0.01", "1/1")), 0, 1)["lines"]] == ["pulses", "rounding"]
    assert explain(plan(flat("1", "1/1", more="grace_s = 9")), 0, 5)["lines"][0]["kind"] == "grace"


def test_steps_and_fractions_are_named():
    """A line says from which step its price is and where its pulses begin."""
    text = 'rounding = { decimals = 6 }\n[[rate]]\nprefix = "44"\ndestination = "UK"\nprice = "0.01"\npulse = "1.5"\n'
    text += '[[rate]]\nprefix = "44"\nprice = "0.02"\npulse = "1.5"\nstep_from = 3\n'
    data = explain(plan(text), at_us("2026-11-23 12:00", "UTC"), 4)

    assert data["destination"] == "UK"
    assert data["lines"][1] == {
        "kind": "pulses",
        "amount": "0.0005",
        "from": "3",
        "at": "2026-11-23T12:00:03+00:00",
        "pulses": 1,
        "pulse": "1.5",
        "price": "0.02",
        "price_unit": "60s",
        "step_from": "3",
    }
    assert "step from 3" in explain_text(plan(text), 0, 4)


def test_octets_are_explained_without_times():
    """Volume is priced at its anchor."""
    text = explain_text(plan(service("data", "1.00", "1MB", "1kB"), "data"), 0, 2_500)

    assert "  from 0: 3 x 1000 at 1 per 1000000B  0.003" in text


def test_exact_amounts_are_decimals_or_fractions():
    """Nothing is rounded in an explanation."""
    assert exact_text(Fraction(12_345_678)) == "12.345678"
    assert exact_text(Fraction(-1, 8)) == "-0.000000125"
    assert exact_text(Fraction(10_000, 3)) == "1/300"
    assert exact_text(Fraction(0)) == "0"


def parsed(*rows, **head):
    table = {"name": "t", "currency": "EUR", **head, "rate": [dict(row) for row in rows]}
    return parse_toml_tariff(tomllib.loads("") | table, None, "t")


def test_a_diff_tells_what_was_added_removed_and_changed():
    """By prefix, with the change of the price."""
    before = parsed({"prefix": "44", "price": "0.10"}, {"prefix": "45", "price": "1"}, {"prefix": "46", "price": "1"})
    after = parsed({"prefix": "44", "price": "0.16"}, {"prefix": "46", "price": "1"}, {"prefix": "47", "blocked": True})

    assert [str(change) for change in diff(before, after)] == [
        "~ voice seconds 44: rates: price 0.1 price_unit 60s pulse 1/1 -> price 0.16 price_unit 60s pulse 1/1 (+60%)",
        "- voice seconds 45: prefix: price 1 price_unit 60s pulse 1/1",
        "+ voice seconds 47: prefix: blocked",
    ]
    assert [change.is_jump for change in diff(before, after)] == [True, False, False]


def test_a_diff_tells_changes_of_the_tariff_itself():
    """Rounding, zone and calendars, and names of prefixes."""
    row = {"prefix": "", "price": "1"}
    before = parsed(row, rounding={"mode": "up", "decimals": 4}, calendar=[{"name": "c"}])
    after = parsed({**row, "destination": "World"}, timezone="Europe/Berlin", rounding={"decimals": 2})

    assert [change.what for change in diff(before, after)] == ["timezone", "decimals", "calendar c", "name"]
    assert diff(before, before) == []
