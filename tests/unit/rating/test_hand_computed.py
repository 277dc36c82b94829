"""
Charges and grants computed by hand, each with where it comes from.

`S` numbers are the semantics rules; "flows" are the charging flows of the standards' appendices (RFC 8506
appendix A and the project's flow collection); the rest is arithmetic written out.
"""

import pytest

from rating import charge, grant, price
from rating.money import parse_money
from tests.unit.rating.hand_tariffs import (
    LONG_PREFIXES,
    MONDAY_NIGHT,
    NEW_YEAR,
    PEAK,
    PEAK_60_6,
    PEAK_BY_SECOND,
    STEP_BY_SECOND,
    STEPS,
    WEEKEND,
    at_us,
    flat,
    hours,
    plan,
    service,
)

NOON = "2026-11-23 12:00"  # a Monday
FEE = flat("0.012", "60/60", more='connect_fee = "0.05"')
ONLY_FEE = flat("0", "1/1", more='connect_fee = "0.25"')
MINIMUM = flat("0.012", "60/60", more='min_charge = "0.10"')
FEE_AND_MINIMUM = flat("0.012", "60/60", more='connect_fee = "0.05"\nmin_charge = "0.10"')
GRACE = flat("0.012", "60/60", more="grace_s = 5")
GRACE_BY_SECOND = flat("0.012", "1/1", more="grace_s = 5")
FREE_AFTER = flat("0.10", "60/60", more='connect_fee = "0.05"\nmax_charge = "0.50"\nat_max = "free"')
STOP_AT = flat("0.10", "60/60", more='connect_fee = "0.05"\nmax_charge = "0.50"\nat_max = "stop"')
MINUTE = flat("0.10", "60/60")
CENT_BY_SECOND = flat("0.01", "1/1")
NEW_YORK_NIGHT = hours("00:00", "06:00", "America/New_York")
LORD_HOWE_NIGHT = hours("00:00", "06:00", "Australia/Lord_Howe")

CALLS = [
    # pulses
    ("60/60 unused", MINUTE, NOON, 0, "0", "S15: price(0) = 0"),
    ("60/60 one second", MINUTE, NOON, 1, "0.10", "a started minute is a minute"),
    ("60/60 exactly one", MINUTE, NOON, 60, "0.10", "60 s are 1 pulse"),
    ("60/60 one more", MINUTE, NOON, 61, "0.20", "61 s are 2 pulses"),
    ("60/60 an hour", MINUTE, NOON, 3_600, "6.00", "60 x 0.10"),
    ("60/6 initial", flat("0.012", "60/6"), NOON, 1, "0.012", "60 s at 0.0002"),
    ("60/6 whole initial", flat("0.012", "60/6"), NOON, 60, "0.012", "60 s at 0.0002"),
    ("60/6 next", flat("0.012", "60/6"), NOON, 61, "0.0132", "66 s at 0.0002"),
    ("60/6 whole next", flat("0.012", "60/6"), NOON, 66, "0.0132", "66 s at 0.0002"),
    ("60/6 second next", flat("0.012", "60/6"), NOON, 67, "0.0144", "72 s at 0.0002"),
    ("30/6 initial", flat("0.012", "30/6"), NOON, 1, "0.006", "30 s at 0.0002"),
    ("30/6 next", flat("0.012", "30/6"), NOON, 31, "0.0072", "36 s at 0.0002"),
    ("30/6 long", flat("0.012", "30/6"), NOON, 3_601, "0.7212", "3606 s = 30 + 596 x 6, at 0.0002"),
    ("1/1 one second", flat("0.012", "1/1"), NOON, 1, "0.0002", "0.012 / 60"),
    ("1/1 59 seconds", flat("0.012", "1/1"), NOON, 59, "0.0118", "59 x 0.0002"),
    ("1.5 s: 1 s", flat("0.012", "1.5"), NOON, 1, "0.0003", "1 pulse of 1.5 s"),
    ("1.5 s: 2 s", flat("0.012", "1.5"), NOON, 2, "0.0006", "2 pulses, 3.0 s"),
    ("1.5 s: 3 s", flat("0.012", "1.5"), NOON, 3, "0.0006", "2 pulses end exactly at 3 s"),
    ("1.5 s: 4 s", flat("0.012", "1.5"), NOON, 4, "0.0009", "3 pulses, 4.5 s"),
    ("180/60 initial", flat("0.10", "180/60"), NOON, 1, "0.30", "3 min"),
    ("180/60 next", flat("0.10", "180/60"), NOON, 181, "0.40", "4 min"),
    ("20/7", flat("0.06", "20/7"), NOON, 21, "0.027", "27 s at 0.001"),
    ("price per 7 s, 7 s", flat("0.01", "1/1", unit="7s"), NOON, 7, "0.01", "7 x 0.01/7"),
    ("price per 7 s, 1 s", flat("0.01", "1/1", unit="7s"), NOON, 1, "0.0015", "0.00142857 up to 4 decimals"),
    ("FEATURES S1", flat("0.60", "60/60"), NOON, 60, "0.60", "FEATURES section 4, S1"),
    # a cent a minute by the second
    ("cent: a minute", CENT_BY_SECOND, NOON, 60, "0.0100", "60 x 0.01/60 is exact, never 0.0101"),
    ("cent: 59 s", CENT_BY_SECOND, NOON, 59, "0.0099", "0.0098333 up"),
    ("cent: a second", CENT_BY_SECOND, NOON, 1, "0.0002", "0.00016667 up"),
    ("cent: an hour", CENT_BY_SECOND, NOON, 3_600, "0.6", "60 minutes"),
    ("cent: 7 hours", CENT_BY_SECOND, NOON, 25_200, "4.2", "420 minutes"),
    ("cent: six decimals", flat("0.01", "1/1", mode="half-even", decimals=6), NOON, 1, "0.000167", "0.000166667"),
    # rounding
    ("up", flat("0.005", "1/1", unit="1s", decimals=2), NOON, 1, "0.01", "0.005 up"),
    ("down", flat("0.005", "1/1", unit="1s", decimals=2, mode="down"), NOON, 1, "0", "0.005 down"),
    ("down below", flat("0.005", "1/1", unit="1s", decimals=2, mode="down"), NOON, 3, "0.01", "0.015 down"),
    ("half-up", flat("0.005", "1/1", unit="1s", decimals=2, mode="half-up"), NOON, 1, "0.01", "the half goes up"),
    ("half-up below", flat("0.0049", "1/1", unit="1s", decimals=2, mode="half-up"), NOON, 1, "0", "below the half"),
    ("half-even 1", flat("0.005", "1/1", unit="1s", decimals=2, mode="half-even"), NOON, 1, "0", "0.005 to even 0"),
    ("half-even 3", flat("0.005", "1/1", unit="1s", decimals=2, mode="half-even"), NOON, 3, "0.02", "0.015 to even 2"),
    ("half-even 5", flat("0.005", "1/1", unit="1s", decimals=2, mode="half-even"), NOON, 5, "0.02", "0.025 to even 2"),
    ("yen", flat("12", "60/60", decimals=0), NOON, 61, "24", "2 x 12 yen"),
    ("yen up", flat("12", "1/1", decimals=0), NOON, 1, "1", "0.2 yen up"),
    ("yen half-up low", flat("12", "1/1", decimals=0, mode="half-up"), NOON, 2, "0", "0.4 yen"),
    ("yen half-up high", flat("12", "1/1", decimals=0, mode="half-up"), NOON, 3, "1", "0.6 yen"),
    # fee, minimum, grace, maximum
    ("fee unused", FEE, NOON, 0, "0", "S15 worked example"),
    ("fee one second", FEE, NOON, 1, "0.062", "S15 worked example: 0.05 + 0.012"),
    ("fee 61 s", FEE, NOON, 61, "0.074", "S15 worked example: 0.05 + 2 x 0.012"),
    ("only a fee", ONLY_FEE, NOON, 1, "0.25", "0.25 + 0"),
    ("only a fee, an hour", ONLY_FEE, NOON, 3_600, "0.25", "0.25 + 0"),
    ("minimum", MINIMUM, NOON, 60, "0.10", "S15: max(0.10, 0.012)"),
    ("above the minimum", MINIMUM, NOON, 540, "0.108", "S15: max(0.10, 9 x 0.012)"),
    ("fee and minimum", FEE_AND_MINIMUM, NOON, 1, "0.15", "S15: 0.05 + max(0.10, 0.012)"),
    ("within grace", GRACE, NOON, 4, "0", "S15: free below 5 s"),
    ("at grace", GRACE, NOON, 5, "0.012", "the 5th second ends the grace"),
    ("below the maximum", FREE_AFTER, NOON, 240, "0.45", "0.05 + 4 x 0.10"),
    ("at the maximum", FREE_AFTER, NOON, 241, "0.50", "0.05 + 5 x 0.10 = 0.55, at most 0.50"),
    ("far above the maximum", FREE_AFTER, NOON, 36_000, "0.50", "free after 0.50"),
    ("overrun of a stop", STOP_AT, NOON, 600, "0.50", "the maximum is a promise even if the call ran on"),
    # steps by position
    ("first step", STEPS, NOON, 90, "0.25", "0.05 + pulses at 0 and 60, 0.10 each"),
    ("a step inside a pulse", STEPS, NOON, 120, "0.25", "the pulse at 60 has the price of its first instant"),
    ("second step", STEPS, NOON, 121, "0.27", "the pulse at 120 is past 90: 0.02"),
    ("second step ends", STEPS, NOON, 600, "0.41", "0.05 + 2 x 0.10 + 8 x 0.02"),
    ("third step is free", STEPS, NOON, 3_600, "0.41", "from 600 on 0"),
    ("step by the second", STEP_BY_SECOND, NOON, 90, "0.11", "0.10 + 30 x 0.02/60"),
    # calendars
    ("just before peak", PEAK, "2026-11-23 07:59:02", 60, "0.01", "S3 worked example: priced at its first instant"),
    ("in peak", PEAK, "2026-11-23 08:00:05", 60, "0.10", "S3 worked example"),
    ("into peak", PEAK, "2026-11-23 07:59:00", 120, "0.11", "07:59:00 off, 08:00:00 peak"),
    ("boundary inside a pulse", PEAK, "2026-11-23 07:59:30", 61, "0.11", "07:59:30 off, 08:00:30 peak"),
    ("peak begins with its instant", PEAK, "2026-11-23 08:00:00", 60, "0.10", "half-open: 08:00:00 is peak"),
    ("a microsecond before", PEAK, "2026-11-23 07:59:59.999999", 60, "0.01", "half-open: not yet peak"),
    ("peak ends before its end", PEAK, "2026-11-23 18:00:00", 60, "0.01", "half-open: 18:00:00 is not peak"),
    ("out of peak", PEAK, "2026-11-23 17:59:59", 120, "0.11", "17:59:59 peak, 18:00:59 off"),
    ("Friday evening", PEAK, "2026-11-27 17:59:30", 120, "0.11", "17:59:30 peak, 18:00:30 off"),
    ("Saturday noon", PEAK, "2026-11-28 12:00", 60, "0.01", "weekdays only"),
    ("Christmas, a Friday", PEAK, "2026-12-25 12:00", 60, "0.01", "except_dates"),
    ("a whole peak day", PEAK, "2026-11-23 00:00", 86_400, "68.4", "600 min x 0.10 + 840 min x 0.01"),
    ("crossing by the second", PEAK_BY_SECOND, "2026-11-23 07:59:50", 20, "0.11", "10 x 0.001 + 10 x 0.01"),
    ("60/6 into peak", PEAK_60_6, "2026-11-23 07:59:30", 67, "0.014", "60 s at 0.01, then 2 x 6 s at 0.02 a minute"),
    ("30/6 within peak", PEAK_60_6, "2026-11-23 08:00", 31, "0.012", "the first pulse in peak is 30 s: 36 s at 0.02"),
    ("a microsecond early by the second", PEAK_BY_SECOND, "2026-11-23 07:59:58.999999", 3, "0.012", "2 off, 1 peak"),
    ("Sunday midnight", WEEKEND, "2026-11-22 23:59:30", 120, "0.015", "Sunday 0.005, Monday 0.01"),
    ("Friday midnight", WEEKEND, "2026-11-27 23:59:30", 120, "0.015", "Friday 0.01, Saturday 0.005"),
    ("into the leap day", WEEKEND, "2028-02-28 23:59:30", 120, "0.51", "28 Feb 0.01, 29 Feb 0.50"),
    ("out of the leap day", WEEKEND, "2028-02-29 23:59:30", 120, "0.51", "29 Feb 0.50, 1 Mar 0.01"),
    ("no leap day", WEEKEND, "2027-02-28 23:59:30", 120, "0.015", "Sunday 28 Feb 0.005, Monday 1 Mar 0.01"),
    ("New Year's Day", WEEKEND, "2026-12-31 23:59:30", 120, "0.51", "Thursday 0.01, holiday 0.50"),
    ("New Year a year later", WEEKEND, "2027-12-31 23:59:30", 120, "0.015", "that holiday is of 2027 only"),
    ("effective date", NEW_YEAR, "2026-12-31 23:59:00", 120, "0.03", "0.01 until midnight, 0.02 from it"),
    ("effective date inside a pulse", NEW_YEAR, "2026-12-31 23:59:01", 60, "0.01", "the pulse began before"),
    ("Monday night", MONDAY_NIGHT, "2026-11-23 23:00", 60, "0.01", "Monday 22:00 to Tuesday 06:00"),
    ("its small hours", MONDAY_NIGHT, "2026-11-24 05:59:30", 120, "0.11", "Tuesday 05:59:30 on, 06:00:30 off"),
    ("not the night before", MONDAY_NIGHT, "2026-11-23 05:00", 60, "0.10", "Monday's small hours are Sunday's night"),
    # both DST nights, three zones
    ("Berlin spring night", hours("00:00", "06:00"), "2026-03-29 00:00", 21_600, "9", "5 h x 0.60 + 1 h x 6.00"),
    ("Berlin autumn night", hours("00:00", "06:00"), "2026-10-25 00:00", 28_800, "10.2", "7 h x 0.60 + 1 h x 6.00"),
    ("Berlin usual night", hours("00:00", "06:00"), "2026-10-26 00:00", 25_200, "9.6", "6 h x 0.60 + 1 h x 6.00"),
    ("Berlin, into the jump", hours("00:00", "03:00"), "2026-03-29 01:59:30", 120, "0.11", "then it is 03:00:30"),
    ("Berlin, hour skipped", hours("02:00", "03:00"), "2026-03-29 01:00", 7_200, "12", "2 h x 6.00: it never is 02:xx"),
    ("Berlin, hour twice", hours("02:00", "03:00"), "2026-10-25T01:00+02:00", 14_400, "13.2", "2 h x 6 + 2 h x 0.6"),
    ("Berlin, half hour twice", hours("02:30", "03:00"), "2026-10-25T02:00+02:00", 7_200, "6.6", "2 x (3.00 + 0.30)"),
    ("New York spring", NEW_YORK_NIGHT, "2026-03-08T00:00-05:00", 21_600, "9", "5 h x 0.60 + 1 h x 6.00"),
    ("New York autumn", NEW_YORK_NIGHT, "2026-11-01T00:00-04:00", 28_800, "10.2", "7 h x 0.60 + 1 h x 6.00"),
    ("Lord Howe", LORD_HOWE_NIGHT, "2026-04-05T00:00+11:00", 25_200, "6.9", "the half hour back: 6.5 h + 0.5 h"),
    # prefixes
    ("12 digits", LONG_PREFIXES, NOON, 60, "0.30", "442079460000: the longest of its prefixes is 44"),
    # legs, S14
    ("leg 1", CENT_BY_SECOND, NOON, 100, "0.0167", "S14 worked example: 1.66667 cents up"),
    ("leg 2", flat("0.60", "1/1"), NOON, 60, "0.60", "S14 worked example"),
    # flows
    ("flow voice-sec", flat("0.001", "1/1", unit="1s", decimals=6), NOON, 73, "0.073", "flow: 60 + 13 s, cost 0.073"),
    ("flow talk", flat("0.10", "1/1", decimals=6), NOON, 3_000, "5", "RFC 8506 A.9: 0.1 a minute, 3000 s"),
    ("flow hotspot", flat("0.06", "1/1"), NOON, 600, "0.6", "flow hotspot: 600 s slice"),
]


@pytest.mark.parametrize(("text", "when", "used", "expected"), [call[1:5] for call in CALLS], ids=[c[0] for c in CALLS])
def test_calls_cost_what_was_computed_by_hand(text, when, used, expected):
    """Voice calls under all kinds of tariffs cost what pencil and paper say."""
    found = plan(text)
    anchor_us = at_us(when)

    assert price(found, anchor_us, used) == parse_money(expected)
    assert charge(found, anchor_us, used).amount_micro == parse_money(expected)


@pytest.mark.parametrize(("when", "expected"), [("2026-11-23 07:59:59", "0.125"), ("2026-11-23 08:00", "1.25")])
def test_volume_is_priced_at_its_anchor(when, expected):
    """S4: octets take no time, so a boundary after the anchor does not touch them."""
    text = PEAK.replace('prefix = ""', 'prefix = ""\nservice = "data"\nprice_unit = "1MB"').replace('"60/60"', '"1kB"')

    assert price(plan(text, "data"), at_us(when), 12_500_000) == parse_money(expected)


PREFIXED = [
    ("442079460123", "0.50", "all 12 digits match"),
    ("4420794601239", "0.50", "a longer number under the 12 digits"),
    ("442079460124", "0.40", "11 digits match"),
    ("442079460", "0.30", "shorter than the long prefixes"),
    ("44", "0.30", "the number is the prefix"),
    ("4", "0.20", "only the catch-all"),
    ("3312345678", "0.20", "only the catch-all"),
    ("", "0.20", "no number at all"),
]


@pytest.mark.parametrize(("destination", "expected", "why"), PREFIXED)
def test_the_longest_prefix_wins(destination, expected, why):
    """Of the listed prefixes of a number the longest decides the price."""
    assert price(plan(LONG_PREFIXES, destination=destination), at_us(NOON), 60) == parse_money(expected), why


SERVICES = [
    ("flow access-mb", "data", service("data", "1.00", "1MB"), 12_500_000, "12.5", "RFC 8506 A.9: 1 per MB"),
    ("flow svc3", "data", service("data", "0.20", "1MB"), 12_500_000, "2.5", "RFC 8506 A.9: 0.2 per MB"),
    ("flow svc4", "data", service("data", "0.50", "1MB"), 5_000_000, "2.5", "RFC 8506 A.9: 0.5 per MB"),
    ("flow data", "data", service("data", "0.01", "1MB"), 9_200_000, "0.092", "flow: 9.2 MB pro rata"),
    ("one octet", "data", service("data", "0.01", "1MB"), 1, "0.000001", "10^-8 up to six decimals"),
    ("by the kB", "data", service("data", "0.01", "1MB", "1kB"), 1_001, "0.00002", "2 kB"),
    ("KiB", "data", service("data", "0.01", "1KiB", "1KiB"), 1_025, "0.02", "2 KiB"),
    ("10 kB then 1 kB", "data", service("data", "1.00", "1MB", "10kB/1kB"), 11_500, "0.012", "10 + 2 kB"),
    (
        "time under data",
        "data",
        service("data", "0.06", "60s"),
        600,
        "0.6",
        "a hotspot by time",
    ),
    ("flow sms", "message", service("message", "0.05", "1"), 3, "0.15", "3 x 0.05"),
    ("flow mms", "message", service("message", "0.25", "1"), 1, "0.25", "flow: 0.25 each"),
    ("flow points", "event", service("event", "0.02", "1"), 7, "0.14", "7 x 0.02"),
    ("events in packs", "event", service("event", "1", "10", "10"), 11, "2", "2 packs of 10"),
    ("near 2^53", "event", service("event", "9007199254.740993", "1"), 1, "9007199254.740993", "2^53 + 1 micro"),
    ("far above 2^53", "event", service("event", "9007199254.740993", "1"), 100, "900719925474.0993", "x 100"),
    ("near 2^53 by time", "data", service("data", "150119987.579017", "1s"), 60, "9007199254.74102", "60 x"),
    ("nano times many", "event", service("event", "0.000000001", "1"), 9_007_199_254_740_993, "9007199.254741", "up"),
]


@pytest.mark.parametrize(("name", "text", "used", "expected"), [s[1:5] for s in SERVICES], ids=[s[0] for s in SERVICES])
def test_data_messages_and_events_cost_what_was_computed_by_hand(name, text, used, expected):
    """Services that are not voice are rated by the same engine, exactly at any size."""
    assert price(plan(text, name), at_us(NOON), used) == parse_money(expected)


BUNDLED = [
    ("S16", MINUTE, (("7", 90), ("", 110)), 200, "0.20", "S16 worked example: 90 + 110 s = 2 pulses"),
    ("S4", MINUTE, (("7", 300), ("", 180)), 480, "0.30", "S4 worked example: 5 min + 3 x 0.10"),
    ("bundle covers all", MINUTE, (("7", 300), ("", 180)), 300, "0", "not a second of money"),
    ("bundle ends in mid-call", flat("0.06", "1/1"), (("7", 90),), 100, "0.01", "10 s at 0.001"),
    ("fee waived", FEE, (("7", 90),), 100, "0.012", "S15: a bucket covers position 0"),
    ("minimum waived", MINIMUM, (("7", 90),), 100, "0.012", "the minimum belongs to the fee"),
    ("fee before a bundle", FEE, (("", 60), ("7", 60)), 120, "0.062", "money covers position 0"),
    ("pulses begin anew", flat("0.012", "60/6"), (("7", 90),), 200, "0.0228", "110 s: 60 + 9 x 6 = 114 s"),
    ("steps go on", STEPS, (("7", 90),), 200, "0.04", "pulses at 90 and 150, both past 90: 0.02"),
    ("steps inside", STEPS, (("7", 80),), 200, "0.12", "pulses at 80 (0.10) and 140 (0.02)"),
    ("two bundles", MINUTE, (("7", 60), ("8", 60), ("", 60)), 180, "0.10", "1 minute of money"),
    ("money between", MINUTE, (("7", 60), ("", 30), ("8", 60), ("", 60)), 200, "0.20", "30 s and 50 s: a pulse each"),
    ("money in two parts", MINUTE, (("", 30), ("", 30)), 60, "0.10", "neighbouring money is one stretch"),
    ("grace beats all", GRACE, (("7", 2),), 4, "0", "S15: nothing at all"),
    ("maximum still holds", FREE_AFTER, (("7", 60),), 6_000, "0.50", "99 x 0.10, at most 0.50"),
]


@pytest.mark.parametrize(("text", "parts", "used", "expected"), [b[1:5] for b in BUNDLED], ids=[b[0] for b in BUNDLED])
def test_calls_on_bundles_cost_what_was_computed_by_hand(text, parts, used, expected):
    """What a unit bucket covers costs no money, and money pulses begin anew behind it."""
    assert price(plan(text), at_us(NOON), used, parts) == parse_money(expected)


GRANTS = [
    ("FEATURES S1", flat("0.60", "60/60"), NOON, "1.00", 3_600, 60, "the second minute would cost 1.20"),
    ("S6", flat("0.001", "1/1", unit="1s"), NOON, "0.018", 3_600, 18, "S6: balance for 18 s"),
    ("fee short", FEE, NOON, "0.0619", 3_600, 0, "S15: below fee + one pulse: denied"),
    ("fee just", FEE, NOON, "0.062", 3_600, 60, "0.05 + 0.012"),
    ("minimum short", MINIMUM, NOON, "0.0999", 3_600, 0, "the minimum must fit"),
    ("minimum reaches", MINIMUM, NOON, "0.10", 3_600, 480, "8 x 0.012 = 0.096 within 0.10"),
    ("by the second", flat("0.012", "1/1"), NOON, "1.00", 9_999, 5_000, "1.00 / 0.0002"),
    ("rounded up", CENT_BY_SECOND, NOON, "0.0001", 3_600, 0, "one second costs 0.0002"),
    ("rounded down", flat("0.01", "1/1", mode="down"), NOON, "0.0001", 3_600, 1, "2 s cost 0.00033, down 0.0003"),
    ("1.5 s pulses, one", flat("0.012", "1.5"), NOON, "0.0003", 3_600, 1, "S15: 1.5 s told as 1 s"),
    ("1.5 s pulses, three", flat("0.012", "1.5"), NOON, "0.0009", 3_600, 4, "4.5 s told as 4 s"),
    ("half second pulses", flat("0.012", "0.5"), NOON, "0.0001", 3_600, 0, "0.5 s does not make a second"),
    ("into peak, just", PEAK, "2026-11-23 07:59:30", "0.11", 3_600, 120, "0.01 + 0.10"),
    ("into peak, short", PEAK, "2026-11-23 07:59:30", "0.1099", 3_600, 60, "the peak pulse does not fit"),
    ("stop at the maximum", STOP_AT, NOON, "100", 3_600, 240, "0.05 + 4 x 0.10 = 0.45; a fifth passes 0.50"),
    ("free after the maximum", FREE_AFTER, NOON, "0.50", 3_600, 3_600, "0.50 pays for any length"),
    ("below the maximum", FREE_AFTER, NOON, "0.4999", 3_600, 240, "0.45 fits, 0.50 does not"),
    ("steps to the free one", STEPS, NOON, "0.41", 9_999, 9_999, "0.41 pays for everything"),
    ("steps short of it", STEPS, NOON, "0.4099", 9_999, 540, "the pulse at 540 costs the last 0.02"),
    ("cap", MINUTE, NOON, "100", 90, 90, "S15: min(cap, ...)"),
    ("empty account, free", flat("0", "60/60"), NOON, "0", 14_400, 14_400, "toll-free is granted to an empty account"),
    ("empty account", MINUTE, NOON, "0", 14_400, 0, "nothing for nothing"),
    ("below zero", MINUTE, NOON, "-5", 14_400, 0, "nothing for less"),
    ("within grace only", GRACE, NOON, "0.0119", 3_600, 0, "a call that outlives its grace could not be paid"),
    ("grace and a pulse", GRACE, NOON, "0.012", 3_600, 60, "the pulse fits"),
    ("inside grace", GRACE_BY_SECOND, NOON, "0.0009", 3_600, 0, "4 s would fit, but the 5th ends the grace at 0.0010"),
    ("past grace", GRACE_BY_SECOND, NOON, "0.0010", 3_600, 5, "5 x 0.0002"),
    ("a cap inside grace", GRACE_BY_SECOND, NOON, "0.0010", 3, 3, "3 s cost nothing, and 5 could be paid"),
    ("near 2^53", flat("0.000001", "1/1", unit="1s", decimals=6), NOON, "9007199254.740993", 2**60, 2**53 + 1, "exact"),
]


@pytest.mark.parametrize(
    ("text", "when", "funds", "cap", "expected"), [g[1:6] for g in GRANTS], ids=[g[0] for g in GRANTS]
)
def test_grants_are_what_was_computed_by_hand(text, when, funds, cap, expected):
    """Funds buy exactly what pencil and paper say, to the last unit."""
    anchor_us = at_us(when)

    assert grant(plan(text), anchor_us, anchor_us, parse_money(funds), cap) == expected


def test_a_bundle_is_granted_first_and_money_after():
    """90 s of bundle and 0.10 at 0.10 a minute reach 150 s."""
    assert grant(plan(MINUTE), 0, 0, parse_money("0.10"), 3_600, (("7", 90), ("", 3_510))) == 150


def test_the_table_is_long_enough():
    """At least 80 charges are computed by hand, each with its source."""
    table = [*CALLS, *SERVICES, *BUNDLED]

    assert len(table) >= 80
    assert all(row[-1] for row in table)
