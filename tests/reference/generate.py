"""
Odd tariffs and calls, made from any source of choices: hypothesis for shrinking, a seeded random for bulk.
"""

from __future__ import annotations

import random
from datetime import datetime
from zoneinfo import ZoneInfo

from rating import Bucket, Tariff, TariffDocument, load, parse_toml_tariff

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
PREFIXES = ("4", "44", "4420", "442079", "49", "1", "123456789012")
DESTINATION = "442079460000"
PULSES = ("1", "60/60", "60/6", "30/6", "1/1", "6/6", "1.5", "0.5/2.5", "20/7", "180/60", "61/13")
VOICE_UNITS = ("60s", "1s", "1min", "7s", "0.5s")
PRICES = ("0", "0.0120", "0.01", "0.10", "1", "0.000000001", "0.0333", "12.5", "0.007")
EDGES = ("2026-03-28", "2026-03-29T01:00:00Z", "2026-10-25T00:30:00Z", "2026-11-01", "2027-01-01", "2028-02-29")
CLOCKS = ("00:00", "02:00", "02:30", "03:00", "08:00", "18:00", "23:59", "01:15")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DATES = ("12-25", "02-29", "2026-03-29", "2026-10-25", "2026-11-01", "01-01", "2027-01-01")
NIGHTS = ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-25", "2026-11-01", "2026-12-31", "2028-02-28")


class Choices:
    """Choices from a seeded random; hypothesis has its own with the same two methods."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self, lowest: int, highest: int) -> int:
        return self._random.randint(lowest, highest)

    def one_of(self, values):
        return values[self._random.randrange(len(values))]


def a_calendar(choose, number):
    calendar = {"name": f"c{number}", "weight": number + 1}
    if choose.number(0, 1):
        calendar["weekdays"] = sorted({choose.one_of(WEEKDAYS) for _ in range(3)})
    if not choose.number(0, 4):
        calendar["months"] = sorted({choose.number(1, 12) for _ in range(6)})
    if not choose.number(0, 4):
        calendar["days"] = sorted({choose.number(1, 31) for _ in range(15)})
    if not choose.number(0, 3):
        calendar["dates"] = sorted({choose.one_of(DATES) for _ in range(3)})
    if not choose.number(0, 3):
        calendar["except_dates"] = [choose.one_of(DATES)]
    if choose.number(0, 3):
        begin, end = choose.one_of(CLOCKS), choose.one_of(CLOCKS)
        if begin != end:
            calendar["from"], calendar["until"] = begin, "24:00" if end == "00:00" else end
    return calendar


def some_steps(choose, units, pulses):
    """The rows of the steps of one rate."""
    rows = []
    position = 0
    for _ in range(choose.one_of((1, 1, 1, 2, 3))):
        row = {"price": choose.one_of(PRICES), "pulse": choose.one_of(pulses)}
        if units and choose.number(0, 2):
            row["price_unit"] = choose.one_of(units)
        if position:
            row["step_from"] = str(position)
        rows.append(row)
        position += choose.one_of((1, 30, 60, 90, 123, 600))
    return rows


def some_terms(choose, service, decimals):
    terms = {}
    if not choose.number(0, 2):
        terms["connect_fee"] = choose.one_of(("0.05", "0.000001", "1", "0.0333"))
    if not choose.number(0, 3):
        terms["min_charge"] = choose.one_of(("0.10", "0.0251", "2"))
    if not choose.number(0, 3):
        terms["max_charge"] = choose.one_of(("4", "5", "30")) + (".5" if decimals else "")
        terms["at_max"] = choose.one_of(("free", "stop"))
    if service == "voice" and not choose.number(0, 4):
        terms["grace_s"] = choose.one_of((1, 3, 10))
    return terms


def a_rate(choose, service, base, decimals):
    units = VOICE_UNITS if service == "voice" else ()
    pulses = PULSES if service != "event" else ("1", "2/1", "5")
    first, *rest = some_steps(choose, units, pulses)
    return [{**base, **first, **some_terms(choose, service, decimals)}, *({**base, **row} for row in rest)]


def a_tariff_table(choose, service="voice"):
    """The table of an apply file: as odd as the loader accepts."""
    decimals = choose.number(0, 6)
    calendars = [a_calendar(choose, number) for number in range(choose.number(0, 3))]
    rates = []
    for prefix in ("", *sorted({choose.one_of(PREFIXES) for _ in range(choose.number(0, 3))})):
        base = {"prefix": prefix, "service": service}
        windows = [{}]
        if not choose.number(0, 2):
            begin, end = sorted((choose.one_of(EDGES), choose.one_of(EDGES)))
            windows = [{"valid_until": begin}, {"valid_from": begin}]
            if prefix and begin != end:
                windows = choose.one_of((windows, [{"valid_from": begin, "valid_until": end}], [{"valid_from": end}]))
        for window in windows:
            rates.extend(a_rate(choose, service, {**base, **window}, decimals))
            for calendar in calendars:
                if choose.number(0, 1):
                    rates.extend(a_rate(choose, service, {**base, **window, "calendar": calendar["name"]}, decimals))
    return {
        "name": "odd",
        "currency": "EUR",
        "timezone": choose.one_of(ZONES),
        "rounding": {"mode": choose.one_of(("up", "down", "half-up", "half-even")), "decimals": decimals},
        "calendar": calendars,
        "rate": rates,
    }


def an_anchor_us(choose):
    """An instant near something that happens: a DST night, an effective date, a midnight, a leap day."""
    zone = ZoneInfo(choose.one_of(ZONES))
    base = datetime.fromisoformat(choose.one_of(NIGHTS)).replace(tzinfo=zone).timestamp()
    return (int(base) + choose.number(-7_200, 6 * 3_600)) * 1_000_000 + choose.one_of((0, 0, 1, 499_999, 999_999))


def some_buckets(choose, service, anchor_us):
    """Up to three buckets of the service's unit, some scoped, some beginning or ending during the call."""
    unit = {"voice": "seconds", "data": "octets", "message": "events", "event": "events"}[service]
    buckets = []
    for number in range(1, choose.number(0, 3) + 1):
        near_us = [
            anchor_us + choose.number(-200, 600) * 1_000_000 + choose.one_of((0, 0, 1, 500_000)) for _ in range(2)
        ]
        buckets.append(
            Bucket(
                id=number,
                account_id=1,
                unit=unit,
                amount=choose.one_of((0, 1, 59, 60, 90, 300, 1_000)),
                priority=choose.number(0, 1),
                scope=choose.one_of(((), (), ("44",), ("4420", "49"), ("1",))),
                pulse=choose.one_of(((1, 1), (1, 1), (60, 60), (30, 6), (7, 3))),
                valid_from_us=near_us[0] if not choose.number(0, 3) else None,
                valid_until_us=near_us[1] if not choose.number(0, 3) else None,
            )
        )
    return buckets


def naive_bucket(bucket: Bucket):
    """The same bucket as the naive pricer reads it, instants in seconds."""
    from fractions import Fraction

    def seconds(at_us):
        return None if at_us is None else Fraction(at_us, 10**6)

    return {
        "id": bucket.id,
        "amount": bucket.amount - bucket.reserved,
        "priority": bucket.priority,
        "scope": bucket.scope,
        "pulse": bucket.pulse,
        "valid_from": seconds(bucket.valid_from_us),
        "valid_until": seconds(bucket.valid_until_us),
    }


def document_of(table, rates_csv=None) -> TariffDocument:
    """The document of a table that the loader must accept."""
    document = parse_toml_tariff(table, rates_csv, "generated")
    assert isinstance(document, TariffDocument), "\n".join(map(str, document))
    return document


def tariff_of(table, rates_csv=None) -> Tariff:
    return load(document_of(table, rates_csv).to_json(), 1)
