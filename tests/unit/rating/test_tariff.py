"""
A tariff finds the rate plan of a destination.
"""

import pytest

from rating import load, price
from rating.prefixes import PrefixTable
from tests.reference.generate import document_of
from tests.unit.rating.hand_tariffs import at_us, tariff

SERVICES = """
[[rate]]
prefix = ""
service = "data"
price = "1"
price_unit = "1MB"
[[rate]]
prefix = ""
service = "data"
price = "0.06"
price_unit = "60s"
[[rate]]
prefix = ""
service = "data"
price = "2"
price_unit = "1MB"
rating_group = 10
[[rate]]
prefix = "44"
price = "0.10"
[[rate]]
prefix = ""
direction = "in"
price = "0.01"
[[rate]]
prefix = "49"
blocked = "yes"
destination = "Nowhere"
destination_class = "premium"
"""


def step_price(plan):
    return plan.pricing.rates[0].steps[0].step.price_nano


def test_rating_group_and_unit_are_part_of_the_key():
    """Rates of the rating group come first, then those of any; the service's own unit first."""
    found = tariff(SERVICES)

    assert step_price(found.find("data", "", rating_group=10)) == 2 * 10**9
    assert step_price(found.find("data", "", rating_group=11)) == 10**9
    assert found.find("data", "").unit == "octets"
    assert found.find("data", "", unit="seconds").unit == "seconds"
    assert found.find("data", "", unit="events") is None
    assert found.find("data", "", rating_group=10, unit="seconds").unit == "seconds"


def test_direction_is_part_of_the_key():
    """Rates of the direction come before those of any, even with a shorter prefix."""
    found = tariff(SERVICES)

    assert step_price(found.find("voice", "4420", direction="in")) == 10**7
    assert step_price(found.find("voice", "4420", direction="out")) == 10**8
    assert step_price(found.find("voice", "4420")) == 10**8


def test_unknown_destinations_and_services_have_no_plan():
    """Nothing is guessed."""
    found = tariff(SERVICES)

    assert found.find("voice", "33") is None
    assert found.find("message", "44") is None
    assert found.find("fax", "44") is None


def test_blocked_destinations_are_found_and_never_granted():
    """A blocked prefix is a plan of its own, with its name and class."""
    plan = tariff(SERVICES).find("voice", "4930")

    assert plan.blocked
    assert not plan.is_free
    assert (plan.destination, plan.destination_class) == ("Nowhere", "premium")
    assert not plan.in_force(0)


def test_the_same_plan_is_given_again():
    """Plans are compared by identity; a tariff makes each once."""
    found = tariff(SERVICES)

    assert found.find("voice", "4420") is found.find("voice", "4421")


FUTURE = """
timezone = "Europe/Berlin"
[[rate]]
prefix = "44"
price = "0.10"
pulse = "60/60"
[[rate]]
prefix = "4420"
price = "0.30"
pulse = "60/60"
valid_from = "2027-01-01"
valid_until = "2027-02-01"
[[rate]]
prefix = "49"
price = "0.20"
pulse = "60/60"
valid_from = "2027-01-01"
"""


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-12-31 23:00", 100_000),
        ("2027-01-01 00:00", 300_000),
        ("2027-01-31 23:59:59", 300_000),
        ("2027-02-01 00:00", 100_000),
    ],
)
def test_a_shorter_prefix_stands_in_outside_the_effective_dates(when, expected):
    """At each instant the longest prefix with a valid rate decides."""
    plan = tariff(FUTURE).find("voice", "442079")

    assert price(plan, at_us(when), 60) == expected
    assert plan.in_force(at_us(when))


def test_a_prefix_that_is_not_yet_in_force_is_no_match_at_that_time():
    """Asked with a time, find passes over plans without a valid rate."""
    found = tariff(FUTURE)

    assert found.find("voice", "4930", at_us=at_us("2026-12-31 12:00")) is None
    assert found.find("voice", "4930", at_us=at_us("2027-01-01 00:00")) is not None
    assert not found.find("voice", "4930").in_force(at_us("2026-12-31 12:00"))


def test_a_call_that_outlives_its_rate_keeps_it():
    """After the last effective date the last rate goes on for calls that run; before the first, the first."""
    text = FUTURE.replace('valid_from = "2027-01-01"\n', "").replace('prefix = "44"\n', 'prefix = "1"\n')
    plan = tariff(text).find("voice", "4420")

    assert price(plan, at_us("2027-01-31 23:59:30"), 120) == 600_000
    assert not plan.in_force(at_us("2027-02-01 00:00"))
    assert price(tariff(FUTURE).find("voice", "4930"), at_us("2026-12-31 12:00"), 60) == 200_000


def small(name, prefix, fallback="", currency="EUR"):
    table = {"name": name, "currency": currency, "rate": [{"prefix": prefix, "price": "1"}]}
    if fallback:
        table["fallback"] = fallback
    return load(document_of(table).to_json(), hash(name) % 1_000)


def test_fallback_tariffs_are_asked_in_turn():
    """What a tariff does not list is looked up in its fallbacks, and the plan says whose it is."""
    known = {"b": small("b", "49", "c"), "c": small("c", "")}
    resolved = small("a", "44", "b").with_fallbacks(known.get)

    assert [resolved.find("voice", number).tariff for number in ("44", "49", "1")] == ["a", "b", "c"]
    assert small("a", "44", "b").find("voice", "49") is None


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, "'b' has no active version"),
        ({"b": small("b", "49", "a")}, "circular: a -> b -> a"),
        ({"b": small("b", "49", currency="USD")}, "in EUR, its fallback b in USD"),
        ({name: small(name, "49", following) for name, following in zip("bcdef", "cdefg", strict=True)}, "more than 4"),
    ],
)
def test_a_chain_that_leads_nowhere_is_refused(known, reason):
    """Circles, missing tariffs, foreign currencies and chains of more than four are errors."""
    with pytest.raises(ValueError, match=reason):
        small("a", "44", "b").with_fallbacks(known.get)


def test_tables_share_their_prefixes():
    """Two large tables over the same prefixes use one index, and keep their own answers."""
    prefixes = [str(number) for number in range(1_000, 3_000)]
    one = PrefixTable(prefixes, [7] * 2_000, [0] * 2_000)
    other = PrefixTable(prefixes[:1_500], list(range(70_000, 71_500)), [0] * 1_500)

    assert one._index is other._index
    assert one.rate_set(one.match("1500123")) == 7
    assert other.rate_set(other.match("1500123")) == 70_500
    assert other.match("2999") is None
    assert one.prefix(one.match("2999")) == "2999"


def test_a_table_of_other_prefixes_has_its_own_index():
    """A table that has little in common with the last one does not grow it."""
    one = PrefixTable([str(number) for number in range(1_000, 3_000)], [0] * 2_000, [0] * 2_000)
    other = PrefixTable([str(number) for number in range(5_000, 9_000)], [0] * 4_000, [0] * 4_000)

    assert one._index is not other._index
