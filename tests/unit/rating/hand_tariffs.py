"""
The tariffs of the hand-computed table, written as an operator writes them.
"""

import tomllib
from datetime import datetime
from zoneinfo import ZoneInfo

from rating import RatePlan, Tariff, TariffDocument, load, parse_toml_tariff


def tariff(text: str) -> Tariff:
    """Load a tariff from the inside of a [[tariff]] table; name and currency are added."""
    table = tomllib.loads(f'name = "hand"\ncurrency = "EUR"\n{text}')
    document = parse_toml_tariff(table, None, "hand")
    assert isinstance(document, TariffDocument), "\n".join(map(str, document))
    return load(document.to_json(), 1)


def plan(text: str, service: str = "voice", destination: str = "442079460000") -> RatePlan:
    found = tariff(text).find(service, destination)
    assert found is not None
    return found


def at_us(text: str, zone: str = "Europe/Berlin") -> int:
    """An instant in micro: local time of a zone, or with an offset of its own."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    delta = moment - datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def flat(price: str, pulse: str, *, unit: str = "60s", mode: str = "up", decimals: int = 4, more: str = "") -> str:
    """One rate for everything."""
    return (
        f'rounding = {{ mode = "{mode}", decimals = {decimals} }}\n[[rate]]\nprefix = ""\n'
        f'price = "{price}"\nprice_unit = "{unit}"\npulse = "{pulse}"\n{more}'
    )


BERLIN = 'timezone = "Europe/Berlin"\n'

PEAK = f"""{BERLIN}
[[calendar]]
name = "peak"
weekdays = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
until = "18:00"
except_dates = ["12-25"]
weight = 10
[[rate]]
prefix = ""
price = "0.10"
pulse = "60/60"
calendar = "peak"
[[rate]]
prefix = ""
price = "0.01"
pulse = "60/60"
"""

PEAK_BY_SECOND = PEAK.replace('"60/60"', '"1/1"').replace('"0.10"', '"0.60"').replace('"0.01"', '"0.06"')

PEAK_60_6 = PEAK.replace('pulse = "60/60"\ncalendar', 'pulse = "30/6"\ncalendar').replace('"60/60"', '"60/6"')
PEAK_60_6 = PEAK_60_6.replace('"0.10"', '"0.02"')

WEEKEND = f"""{BERLIN}
[[calendar]]
name = "weekend"
weekdays = ["sat", "sun"]
[[calendar]]
name = "holiday"
dates = ["02-29", "2027-01-01"]
weight = 5
[[rate]]
prefix = ""
price = "0.01"
pulse = "60/60"
[[rate]]
prefix = ""
price = "0.005"
pulse = "60/60"
calendar = "weekend"
[[rate]]
prefix = ""
price = "0.50"
pulse = "60/60"
calendar = "holiday"
"""

MONDAY_NIGHT = f"""{BERLIN}
[[calendar]]
name = "monday-night"
weekdays = ["mon"]
from = "22:00"
until = "06:00"
[[rate]]
prefix = ""
price = "0.10"
pulse = "60/60"
[[rate]]
prefix = ""
price = "0.01"
pulse = "60/60"
calendar = "monday-night"
"""


def hours(begin: str, end: str, zone: str = "Europe/Berlin") -> str:
    """0.01 a minute within these hours, 0.10 outside, by the minute."""
    return f"""timezone = "{zone}"
[[calendar]]
name = "cheap"
from = "{begin}"
until = "{end}"
[[rate]]
prefix = ""
price = "0.10"
pulse = "60/60"
[[rate]]
prefix = ""
price = "0.01"
pulse = "60/60"
calendar = "cheap"
"""


NEW_YEAR = f"""{BERLIN}
[[rate]]
prefix = ""
price = "0.01"
pulse = "60/60"
valid_until = "2027-01-01"
[[rate]]
prefix = ""
price = "0.02"
pulse = "60/60"
valid_from = "2027-01-01"
"""

STEPS = """
[[rate]]
prefix = ""
price = "0.10"
pulse = "60/60"
connect_fee = "0.05"
[[rate]]
prefix = ""
step_from = 90
price = "0.02"
pulse = "60/60"
[[rate]]
prefix = ""
step_from = 600
price = "0"
pulse = "60/60"
"""

STEP_BY_SECOND = """
[[rate]]
prefix = ""
price = "0.10"
pulse = "60/60"
[[rate]]
prefix = ""
step_from = 60
price = "0.02"
pulse = "1/1"
"""

LONG_PREFIXES = """
[[rate]]
prefix = "442079460123"
price = "0.50"
pulse = "60/60"
[[rate]]
prefix = "44207946012"
price = "0.40"
pulse = "60/60"
[[rate]]
prefix = "44"
price = "0.30"
pulse = "60/60"
[[rate]]
prefix = ""
price = "0.20"
pulse = "60/60"
"""


def service(name: str, price: str, unit: str, pulse: str = "1", decimals: int = 6) -> str:
    """One rate of a service that is not voice."""
    return (
        f'rounding = {{ mode = "up", decimals = {decimals} }}\n[[rate]]\nprefix = ""\nservice = "{name}"\n'
        f'price = "{price}"\nprice_unit = "{unit}"\npulse = "{pulse}"\n'
    )
