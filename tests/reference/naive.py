"""
A pricer that goes pulse by pulse, with fractions and wall clocks, straight from the rows of a tariff.

It shares no code with `rating`: it reads the same tables an operator writes, asks the calendar of every
single pulse, and finds grants by trying.  It is slow and meant to be obviously right.
"""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

UTC = ZoneInfo("UTC")
SIZES = {"s": 1, "min": 60, "h": 3600, "B": 1, "kB": 1000, "MB": 10**6, "GB": 10**9, "": 1}
UNITS = {"voice": "seconds", "data": "octets", "message": "events", "event": "events"}
USUAL = {"voice": Fraction(60), "data": Fraction(10**6), "message": Fraction(1), "event": Fraction(1)}
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@lru_cache(1_000)
def quantity(text):
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return Fraction(number) * SIZES[text[len(number) :]]


@lru_cache(1_000)
def instant(text, zone):
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return Fraction((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 10**6)


@lru_cache(1_000)
def clock(text):
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


class NaivePricer:
    """Prices one service of a tariff given as the table of an apply file."""

    def __init__(self, table, service="voice"):
        self.zone = ZoneInfo(table.get("timezone", "UTC"))
        rounding = table.get("rounding", {})
        self.mode = rounding.get("mode", "up")
        self.grid = Fraction(1, 10 ** rounding.get("decimals", 4))
        self.calendars = {calendar["name"]: calendar for calendar in table.get("calendar", [])}
        self.service = service
        self.rows = [row for row in table["rate"] if row.get("service", "voice") == service]
        self.is_timed = UNITS[service] == "seconds"

    # -- which row is in force ------------------------------------------------------------------

    def is_valid(self, row, at):
        begin, end = instant(row.get("valid_from"), self.zone), instant(row.get("valid_until"), self.zone)
        return (begin is None or at >= begin) and (end is None or at < end)

    def day_fits(self, calendar, day):
        names = {day.isoformat(), day.isoformat()[5:]}
        if "weekdays" in calendar and WEEKDAYS[day.weekday()] not in calendar["weekdays"]:
            return False
        if "months" in calendar and day.month not in calendar["months"]:
            return False
        if "days" in calendar and day.day not in calendar["days"]:
            return False
        if "dates" in calendar and not names & set(calendar["dates"]):
            return False
        return not names & set(calendar.get("except_dates", []))

    def applies(self, row, at):
        if not row.get("calendar"):
            return True
        calendar = self.calendars[row["calendar"]]
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at * 10**6))).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today = date(local.year, local.month, local.day)
        begin, end = clock(calendar.get("from", "00:00")), clock(calendar.get("until", "24:00"))
        if begin < end:
            return begin <= minute < end and self.day_fits(calendar, today)
        if minute >= begin:
            return self.day_fits(calendar, today)
        return minute < end and self.day_fits(calendar, today - timedelta(days=1))

    def weight(self, row):
        return self.calendars[row["calendar"]].get("weight", 1) if row.get("calendar") else 0

    def steps_at(self, destination, at):
        """The rows (steps) of the rate in force for a destination at an instant."""
        prefixes = {row["prefix"] for row in self.rows if destination.startswith(row["prefix"])}
        for prefix in sorted(prefixes, key=len, reverse=True):
            valid = [row for row in self.rows if row["prefix"] == prefix and self.is_valid(row, at)]
            if not valid:
                continue
            best = max((row for row in valid if self.applies(row, at)), key=self.weight)
            same = [row for row in valid if row.get("calendar") == best.get("calendar")]
            return sorted(same, key=lambda row: quantity(str(row.get("step_from", "0"))))
        raise LookupError(f"no rate in force for {destination}")

    # -- one pulse --------------------------------------------------------------------------------

    def pulse(self, destination, anchor, position, is_first):
        """Length and price of the pulse that begins at a position."""
        steps = self.steps_at(destination, anchor + position if self.is_timed else anchor)
        step = [row for row in steps if quantity(str(row.get("step_from", "0"))) <= position][-1]
        sizes = [quantity(part) for part in str(step.get("pulse", "1")).split("/")]
        length = sizes[0] if is_first else sizes[-1]
        per = quantity(step["price_unit"]) if "price_unit" in step else USUAL[self.service]
        return length, length * Fraction(step["price"]) / per

    def round(self, amount):
        count = amount / self.grid
        whole = math.floor(count)
        rest = count - whole
        if self.mode == "up":
            up = rest > 0
        elif self.mode == "down":
            up = False
        elif self.mode == "half-up":
            up = rest >= Fraction(1, 2)
        else:
            up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1)
        return (whole + up) * self.grid

    # -- calls ---------------------------------------------------------------------------------

    def terms(self, destination, anchor_us):
        """The row whose fee, minimum, maximum and grace apply to the call as a whole."""
        return self.steps_at(destination, Fraction(anchor_us, 10**6))[0]

    def exact(self, destination, anchor_us, used, parts=()):
        """The charge before the maximum and before rounding, in units of the currency."""
        first = self.terms(destination, anchor_us)
        if used <= 0 or used < int(first.get("grace_s", 0)):
            return Fraction(0)
        anchor = Fraction(anchor_us, 10**6)
        total = Fraction(0)
        position = 0
        for source, end in self.ends(parts, used):
            at, is_first = Fraction(position), True
            while source == "" and at < end:
                length, cost = self.pulse(destination, anchor, at, is_first)
                total += cost
                at += length
                is_first = False
            position = end
        if not parts or parts[0][0] == "":
            total = max(total, Fraction(first.get("min_charge", "0"))) + Fraction(first.get("connect_fee", "0"))
        return total

    def price(self, destination, anchor_us, used, parts=()):
        """The charge in micro."""
        total = self.exact(destination, anchor_us, used, parts)
        first = self.terms(destination, anchor_us)
        if "max_charge" in first:
            total = min(total, Fraction(first["max_charge"]))
        micro = self.round(total) * 10**6
        assert micro.denominator == 1
        return int(micro)

    @staticmethod
    def ends(parts, used):
        """Sources with the position where each ends, neighbours of one source joined, cut at the usage."""
        found = []
        position = 0
        for source, units in (*parts, ("", 10**30)):
            if position >= used:
                break
            position += units
            if found and found[-1][0] == source:
                found.pop()
            found.append((source, min(position, used)))
        return found

    def grant(self, destination, anchor_us, funds, cap, parts=()):
        """The largest total whose price the funds cover, found by trying one total after the other."""
        if not self.outlives_grace(destination, anchor_us, funds, parts):
            return 0
        total = 0
        while total < cap and self.is_affordable(destination, anchor_us, funds, total + 1, parts):
            total += 1
        return total

    def is_grant(self, total, destination, anchor_us, funds, cap, parts=()):
        """Say whether a total is what `grant` would find, trying only it and the next one."""
        if not self.outlives_grace(destination, anchor_us, funds, parts):
            return total == 0
        fits = total == 0 or self.is_affordable(destination, anchor_us, funds, total, parts)
        return fits and (total == cap or not self.is_affordable(destination, anchor_us, funds, total + 1, parts))

    def outlives_grace(self, destination, anchor_us, funds, parts):
        """Units within grace are free, but granted only to funds that can pay for what follows them."""
        grace = int(self.terms(destination, anchor_us).get("grace_s", 0))
        return not grace or self.is_affordable(destination, anchor_us, funds, grace, parts)

    def is_affordable(self, destination, anchor_us, funds, total, parts):
        first = self.terms(destination, anchor_us)
        if first.get("at_max") == "stop":
            limit = Fraction(first["max_charge"])
            if self.exact(destination, anchor_us, total, parts) > limit:
                return False
        return self.price(destination, anchor_us, total, parts) <= funds

    # -- funding ---------------------------------------------------------------------------------

    def plan(self, destination, anchor_us, buckets, cap):
        """The funding plan of a call of `cap` units with money without end, pulse by pulse."""
        anchor = Fraction(anchor_us, 10**6)
        left = {bucket["id"]: bucket["amount"] for bucket in buckets}
        parts = []
        position, money_ends = 0, None
        while position < cap:
            if money_ends is not None and position < math.floor(money_ends):
                units, source = min(math.floor(money_ends), cap) - position, ""
            else:
                at = anchor + position if self.is_timed else anchor
                bucket = self.best(destination, buckets, left, at, parts)
                if bucket is None:
                    is_first = money_ends is None
                    begin = Fraction(position) if is_first else money_ends
                    length, _ = self.pulse(destination, anchor, begin, is_first)
                    money_ends = begin + length
                    continue
                source = str(bucket["id"])
                units = bucket["pulse"][1 if parts and parts[-1][0] == source else 0]
                left[bucket["id"]] -= units
                money_ends = None
            if parts and parts[-1][0] == source:
                units += parts.pop()[1]
                position = sum(size for _, size in parts)
            parts.append((source, units))
            position += units
        return tuple(parts)

    def best(self, destination, buckets, left, at, parts):
        """The bucket that pays for the pulse that begins now."""
        usable = []
        for bucket in buckets:
            scopes = [scope for scope in bucket["scope"] if destination.startswith(scope)]
            pulse = bucket["pulse"][1 if parts and parts[-1][0] == str(bucket["id"]) else 0]
            begin, end = bucket["valid_from"], bucket["valid_until"]
            if bucket["scope"] and not scopes:
                continue
            if left[bucket["id"]] < pulse or (begin is not None and at < begin) or (end is not None and at >= end):
                continue
            narrow = max(map(len, scopes), default=0)
            usable.append((-bucket["priority"], -narrow, end is None, end or 0, bucket["id"], bucket))
        return min(usable, key=lambda item: item[:-1])[-1] if usable else None
