"""
Bad tariffs are refused whole, each mistake with its own message, place and hint.
"""

import tomllib

import pytest

from rating import TariffDocument, load, parse_toml_tariff

HEAD = 'name = "retail"\ncurrency = "EUR"\ntimezone = "Europe/Berlin"\n'
CALENDARS = """
[[calendar]]
name = "peak"
from = "08:00"
until = "18:00"
[[calendar]]
name = "lunch"
from = "12:00"
until = "13:00"
"""


def rate(**cells):
    cells = {"prefix": "44", "price": "0.10", **cells}
    return "[[rate]]\n" + "".join(
        f"{key} = {value if isinstance(value, int) else repr(value)}\n" for key, value in cells.items()
    )


def findings(text, rates_csv=None):
    parsed = parse_toml_tariff(tomllib.loads(text), rates_csv, "world.toml: tariff retail")
    return [] if isinstance(parsed, TariffDocument) else [str(finding) for finding in parsed]


CSV_HEAD = HEAD + 'rates_file = "retail.csv"\n'

MISTAKES = [
    # the tariff itself
    ("unknown key", HEAD + 'curency = "EUR"\n' + rate(), ["curency: unknown key", "did you mean currency?"]),
    ("no name", 'currency = "EUR"\n' + rate(), ["name: missing"]),
    ("bad name", HEAD.replace("retail", "re tail") + rate(), ["name: 're tail' cannot be used", "letters, digits"]),
    ("no currency", 'name = "x"\n' + rate(), ["currency: missing", "three capital letters"]),
    ("bad currency", HEAD.replace("EUR", "Euro") + rate(), ["currency: 'Euro' cannot be used"]),
    ("bad zone", HEAD.replace("Berlin", "Bärlin") + rate(), ["timezone:", "is not a time zone", "IANA"]),
    ("zone outside", HEAD.replace("Europe/Berlin", "../etc/passwd") + rate(), ["timezone:", "is not a time zone"]),
    ("bad mode", HEAD + 'rounding = { mode = "ceil" }\n' + rate(), ["rounding.mode: unknown mode 'ceil'", "half-even"]),
    ("bad decimals", HEAD + "rounding = { decimals = 7 }\n" + rate(), ["rounding.decimals: 7", "from 0 to 6"]),
    ("bad rounding", HEAD + "rounding = 4\n" + rate(), ["rounding: expected mode and decimals"]),
    ("fallback to itself", HEAD + 'fallback = "retail"\n' + rate(), ["fallback: names the tariff itself"]),
    ("no rates", HEAD, ["rate: no rates"]),
    ("rates not tables", HEAD + "rate = 1\n", ["expected [[tariff.rate]] tables"]),
    # one row
    ("float price", HEAD + '[[rate]]\nprefix = ""\nprice = 0.1\n', ["rate 1: price: 0.1", "in quotes"]),
    ("no price", HEAD + '[[rate]]\nprefix = ""\n', ["rate 1: price: missing", '"0" when it is free']),
    ("price of words", HEAD + rate(price="cheap"), ["price: 'cheap'", "digits with at most one decimal point"]),
    ("thousands", HEAD + rate(price="1,000.5"), ["price: '1,000.5'", "digits with at most one decimal point"]),
    ("too exact", HEAD + rate(price="0.0000000001"), ["10 digits behind the point, at most 9"]),
    ("negative price", HEAD + rate(price="-0.10"), ["price: '-0.10': negative", "never pays"]),
    ("huge price", HEAD + rate(price="1000000000001"), ["larger than a price can be"]),
    ("true price", HEAD + "[[rate]]\nprefix = ''\nprice = true\n", ["price: True"]),
    ("list price", HEAD + "[[rate]]\nprefix = ''\nprice = ['1']\n", ["price:", "a list or table"]),
    ("negative fee", HEAD + rate(connect_fee="-1"), ["connect_fee: '-1': negative"]),
    ("fee too exact", HEAD + rate(connect_fee="0.0000001"), ["connect_fee:", "at most 6"]),
    ("no prefix", HEAD + '[[rate]]\nprice = "1"\n', ["prefix: missing", 'prefix = ""']),
    ("number prefix", HEAD + '[[rate]]\nprefix = 44\nprice = "1"\n', ["prefix: 44: expected text in quotes"]),
    ("plus prefix", HEAD + rate(prefix="+44"), ["prefix: '+44' is not a prefix for voice", "without + or 00"]),
    ("letter prefix", HEAD + rate(prefix="44a"), ["prefix: '44a' is not a prefix"]),
    ("long prefix", HEAD + rate(prefix="4" * 16), ["is not a prefix for voice", "at most 15"]),
    ("unknown service", HEAD + rate(service="fax"), ["service: unknown service 'fax'", "voice"]),
    ("unknown rate key", HEAD + rate(conect_fee="1"), ["conect_fee: unknown key", "did you mean connect_fee?"]),
    ("bad unit", HEAD + rate(price_unit="60x"), ["price_unit: '60x': unknown unit 'x'", "MiB"]),
    ("zero unit", HEAD + rate(price_unit="0s"), ["price_unit: '0s': expected more than 0"]),
    ("no unit", HEAD + rate(price_unit="per minute"), ["price_unit:", "expected a quantity"]),
    ("zero pulse", HEAD + rate(pulse="60/0"), ["pulse: '0': expected more than 0"]),
    ("three pulses", HEAD + rate(pulse="60/6/1"), ["pulse: '60/6/1': expected initial/next"]),
    ("pulse of octets", HEAD + rate(pulse="1kB"), ["pulse: '1kB': a pulse in octets, but the price is per seconds"]),
    ("step in octets", HEAD + rate(step_from="1kB"), ["step_from: '1kB': in octets, but the price is per seconds"]),
    ("pulse too fine", HEAD + rate(pulse="0.0001"), ["pulse: '0.0001': expected a quantity"]),
    ("bad grace", HEAD + rate(grace_s="long"), ["grace_s: 'long': expected a whole number"]),
    ("grace of data", HEAD + rate(service="data", grace_s=5), ["grace_s: given for a price per octets"]),
    ("bad at_max", HEAD + rate(max_charge="1", at_max="hang-up"), ["at_max: 'hang-up': expected free or stop"]),
    ("at_max alone", HEAD + rate(at_max="stop"), ["at_max: given without max_charge"]),
    ("low maximum", HEAD + rate(connect_fee="1", min_charge="1", max_charge="1.5"), ["max_charge: less than"]),
    ("odd maximum", HEAD + rate(max_charge="1.00001"), ["max_charge: has more decimals than the tariff's rounding"]),
    ("bad date", HEAD + rate(valid_from="soon"), ["valid_from: 'soon': expected a date or an instant", "2027-01-01"]),
    ("time only", HEAD + "[[rate]]\nprefix = ''\nprice = '1'\nvalid_from = 08:00:00\n", ["valid_from:", "a date"]),
    (
        "backwards",
        HEAD + rate(valid_from="2027-01-02", valid_until="2027-01-01"),
        ["valid_until: not after valid_from"],
    ),
    ("empty interval", HEAD + rate(valid_from="2027-01-01", valid_until="2027-01-01"), ["valid_until: not after"]),
    ("bad group", HEAD + rate(rating_group=-1), ["rating_group: -1: expected a whole number"]),
    ("bad direction", HEAD + rate(direction="In!"), ["direction: 'In!': expected lower-case letters"]),
    ("control character", HEAD + '[[rate]]\nprefix = ""\nprice = "1"\ndestination = "a\\u0007"\n', ["destination:"]),
    ("priced and blocked", HEAD + rate() + rate(blocked="yes"), ["blocked: prefix '44' is blocked and priced"]),
    ("blocked for a while", HEAD + rate(blocked="yes", valid_from="2027-01-01"), ["valid_from: given for a blocked"]),
    ("blocked twice", HEAD + rate(blocked="yes") * 2, ["duplicate of world.toml: tariff retail: rate 1", "blocked"]),
    ("perhaps blocked", HEAD + rate(blocked="perhaps"), ["blocked: 'perhaps': expected yes or no"]),
    # rows together
    ("duplicate", HEAD + rate() + rate(price="0.20"), ["rate 2: prefix: duplicate of", "rate 1: prefix '44'"]),
    ("duplicate step", HEAD + rate() + rate(step_from=60) * 2, ["rate 3", "duplicate of", "the step from 60"]),
    ("no first step", HEAD + rate(step_from=60), ["step_from: prefix '44' has no step from 0", "begins at 0"]),
    ("fee of a step", HEAD + rate() + rate(step_from=60, connect_fee="1"), ["connect_fee: differs from", "whole call"]),
    ("two names", HEAD + rate(destination="A") + rate(destination="B", step_from=60), ["destination: differs from"]),
    ("two classes", HEAD + rate(destination_class="a") + rate(destination_class="b", step_from=9), ["differs from"]),
    ("unknown calendar", HEAD + CALENDARS + rate() + rate(calendar="paek"), ["unknown calendar 'paek'", "mean peak?"]),
    ("no calendars", HEAD + rate() + rate(calendar="peak"), ["unknown calendar 'peak'", "has no calendars"]),
    ("gap", HEAD + CALENDARS + rate(calendar="peak"), ["gap: prefix '44' has no rate in force", "rest of the time"]),
    (
        "overlap of calendars",
        HEAD + CALENDARS + rate() + rate(calendar="peak") + rate(calendar="lunch"),
        ["overlap with", "equal weight", "12:00"],
    ),
    (
        "overlap of dates",
        HEAD + rate() + rate(valid_from="2027-01-01"),
        ["overlap with", "2027-01-01", "end the older"],
    ),
    # calendars
    (
        "calendar key",
        HEAD + '[[calendar]]\nname = "p"\nfrm = "08:00"\n' + rate(),
        ["calendar p: frm: unknown key", "from"],
    ),
    ("calendar name", HEAD + '[[calendar]]\nfrom = "08:00"\n' + rate(), ["calendar 1: name: missing"]),
    ("calendar twice", HEAD + CALENDARS + CALENDARS + rate(), ["calendar peak: name: given twice"]),
    (
        "weekday",
        HEAD + '[[calendar]]\nname = "p"\nweekdays = ["montag"]\n' + rate(),
        ["weekdays: 'montag'", "mon, tue"],
    ),
    ("no weekday", HEAD + '[[calendar]]\nname = "p"\nweekdays = []\n' + rate(), ["weekdays: expected a list"]),
    ("month", HEAD + '[[calendar]]\nname = "p"\nmonths = [13]\n' + rate(), ["months: 13", "from 1 to 12"]),
    ("day", HEAD + '[[calendar]]\nname = "p"\ndays = [0]\n' + rate(), ["days: 0", "from 1 to 31"]),
    ("no such date", HEAD + '[[calendar]]\nname = "p"\ndates = ["02-30"]\n' + rate(), ["dates: '02-30': no such day"]),
    ("date", HEAD + '[[calendar]]\nname = "p"\ndates = ["easter"]\n' + rate(), ["dates: 'easter': expected a date"]),
    ("far date", HEAD + '[[calendar]]\nname = "p"\ndates = ["2150-01-01"]\n' + rate(), ["a year from 2000 to 2099"]),
    ("clock", HEAD + '[[calendar]]\nname = "p"\nfrom = "8 am"\n' + rate(), ["from: '8 am': expected a time of day"]),
    ("late clock", HEAD + '[[calendar]]\nname = "p"\nuntil = "24:01"\n' + rate(), ["until: '24:01': no such time"]),
    (
        "empty hours",
        HEAD + '[[calendar]]\nname = "p"\nfrom = "08:00"\nuntil = "08:00"\n' + rate(),
        ["interval is empty"],
    ),
    ("weight", HEAD + '[[calendar]]\nname = "p"\nweight = 0\n' + rate(), ["weight: 0: expected 1 to 1000"]),
]

CSV_MISTAKES = [
    (
        "unknown column",
        "prefix,price,pulses\n44,1,1\n",
        ["retail.csv:1: pulses: unknown column", "did you mean pulse?"],
    ),
    ("missing column", "prefix,destination\n44,UK\n", ["retail.csv:1: price: missing column"]),
    ("column twice", "prefix,price,price\n44,1,1\n", ["retail.csv:1: price: column given twice"]),
    ("empty file", "", ["retail.csv:1: prefix: missing column"]),
    ("only a header", "prefix,price\n", ["no rates"]),
    ("too few values", "prefix,price\n44,1\n45\n", ["retail.csv:3: 1 values under 2 columns"]),
    ("too many values", "prefix,price\n44,0,10\n", ["retail.csv:2: 3 values under 2 columns", "quote"]),
    ("bad quotes", 'prefix,price\n"44"x,1\n', ["retail.csv:2: not CSV"]),
    ("line of a mistake", "prefix,price\n44,1\n\n45,x\n", ["retail.csv:4: price: 'x'"]),
    ("line of a duplicate", "prefix,price\n44,1\n45,1\n44,2\n", ["retail.csv:4: prefix: duplicate of retail.csv:2"]),
]


@pytest.mark.parametrize(("text", "expected"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_each_mistake_in_toml_has_its_own_message(text, expected):
    """The place, the key, what is wrong and what to do are said."""
    found = findings(text)

    assert any(all(part in message for part in expected) for message in found), found
    assert all("tariff retail" in message for message in found)


@pytest.mark.parametrize(("text", "expected"), [m[1:] for m in CSV_MISTAKES], ids=[m[0] for m in CSV_MISTAKES])
def test_each_mistake_in_csv_has_its_line(text, expected):
    """Findings in a rates file name the file and the line."""
    found = findings(CSV_HEAD, text)

    assert any(all(part in message for part in expected) for message in found), found


def test_every_mistake_is_reported_not_only_the_first():
    """An operator corrects a file once."""
    found = findings(CSV_HEAD.replace("EUR", "eur"), "prefix,price\n+44,1\n45,x\n46,1\n46,2\n")

    assert len(found) == 4


def test_a_tariff_with_one_mistake_is_refused_whole():
    """Good rows beside a bad one do not make a tariff."""
    assert findings(HEAD + rate() + rate(prefix="45", price="x"))


def test_rates_come_from_one_place():
    """Inline rates beside a rates file are refused."""
    assert "one of the two" in findings(CSV_HEAD + rate(), "prefix,price\n44,1\n")[0]


def test_findings_are_bounded():
    """A hopeless file does not make a hopeless report."""
    assert len(findings(CSV_HEAD, "prefix,price\n" + "44,x\n" * 10_000)) == 200


def test_doubts_do_not_refuse_a_tariff():
    """A price jump and an unused calendar are warnings."""
    text = HEAD + CALENDARS + rate(destination="UK") + rate(prefix="45", destination="UK", price="1.00")
    document = parse_toml_tariff(tomllib.loads(text), None, "t")

    assert isinstance(document, TariffDocument)
    assert [str(warning) for warning in document.warnings] == [
        "warning: t: rate 2: price: price jump for UK: 1, but 0.1 at t: rate 1",
        "warning: t: calendar lunch: no rate uses it",
        "warning: t: calendar peak: no rate uses it",
    ]


def test_toml_values_may_be_what_toml_has():
    """Dates, times and whole numbers need no quotes."""
    text = HEAD + (
        '[[calendar]]\nname = "c"\nfrom = 08:00:00\nuntil = "18:00"\ndates = [2027-01-01, "12-25"]\n'
        'months = ["dec", 1]\n'
        '[[rate]]\nprefix = ""\nprice = 1\n'
        '[[rate]]\nprefix = ""\nprice = 2\ncalendar = "c"\n'
        "valid_from = 2026-12-01\nvalid_until = 2028-01-01T00:00:00Z\n"
    )

    assert findings(text) == []


def test_a_date_begins_at_midnight_in_the_tariffs_zone():
    """valid_from without a time is local midnight; a time without offset is local."""
    text = HEAD + rate(valid_until="2027-01-01") + rate(valid_from="2027-01-01T00:00:00")
    plan = load(parse_toml_tariff(tomllib.loads(text), None, "t").to_json(), 1).find("voice", "44")

    assert plan.changes(1_798_700_000_000_000, 1_798_800_000_000_000) == [1_798_758_000_000_000]


def test_a_stored_document_of_another_format_is_refused():
    """Loading never guesses."""
    with pytest.raises(ValueError, match="format"):
        load('{"format": 99}', 1)
    with pytest.raises(ValueError, match="Expecting value"):
        load("nonsense", 1)
