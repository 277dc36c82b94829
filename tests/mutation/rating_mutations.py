"""
Break the rating core in many small ways and see that the tests notice each.

Run as `python -m tests.mutation.rating_mutations`; `--only TEXT` takes the mutations whose description
contains it.  Each mutation replaces one passage of one module in a copy of the project and runs the rating
tests there: the quick ones first, the properties only if those pass.  A passage that is not found exactly
once is an error, so the list cannot go stale unnoticed.  Exit 1 when a mutation survives.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.mutation.runner import ROOT, Mutation, ended, run

STAGES = (
    ("unit tests", 45, ("tests/unit/rating",)),
    ("properties", 300, ("tests/property/test_rating_reference.py", "tests/property")),
)
"""Stages, each with the seconds after which a run that hangs counts as noticed, and its tests."""

MUTATIONS = [
    # pulses
    Mutation(
        "plain rate: begun pulse not charged",
        "price",
        "num -= (initial_m - used * MILLI) // next_m * next_num",
        "num += (used * MILLI - initial_m) // next_m * next_num",
    ),
    Mutation("plain rate: fee forgotten", "price", "_rounded(pricing, num + fee_num)", "_rounded(pricing, num)"),
    Mutation("plain rate: minimum forgotten", "price", "num = max(num, minimum_num)", "num = max(num, 0)"),
    Mutation(
        "plain rate: fee not kept back",
        "grant",
        "pricing.grid_den, pricing.mode) - fee_num",
        "pricing.grid_den, pricing.mode)",
    ),
    Mutation(
        "plain rate: one pulse too many granted",
        "grant",
        "(limit - initial_num) // next_num * next_m",
        "((limit - initial_num) // next_num + 1) * next_m",
    ),
    Mutation(
        "plain rate: fee above the minimum forgotten",
        "grant",
        "if limit < minimum_num or limit < initial_num:",
        "if limit < initial_num:",
    ),
    Mutation(
        "plain rate: aligned to the pulse before",
        "grant",
        "(initial_m - (initial_m - units * MILLI) // next_m * next_m) // MILLI",
        "(initial_m + (units * MILLI - initial_m) // next_m * next_m) // MILLI",
    ),
    Mutation("plain rate: grace overlooked", "plan", "step is None or rate.grace or", "step is None or"),
    Mutation("plain rate: maximum overlooked", "plan", "rate.grace or rate.maximum_num is not None:", "rate.grace:"),
    Mutation("begun pulse not charged", "runs", "-((start_m - end_m) // next_m)", "((end_m - start_m) // next_m)"),
    Mutation("one pulse too many", "runs", "-((second_m - end_m) // next_m)", "((end_m - second_m) // next_m + 1)"),
    Mutation(
        "first pulse has the next size", "runs", "second_m = start_m + step.initial_m", "second_m = start_m + next_m"
    ),
    Mutation(
        "first pulse has the next price",
        "runs",
        "position_m, step.initial_m, 1, step.initial_num",
        "position_m, step.initial_m, 1, step.next_num",
    ),
    Mutation(
        "one pulse too many before a boundary",
        "runs",
        "count = -((position_m - limit_m) // step.next_m)",
        "count = (limit_m - position_m) // step.next_m + 1",
    ),
    Mutation(
        "sub-millisecond boundary early",
        "runs",
        "limit_m = -((anchor_us - until_us) // MICROS_PER_MILLI)",
        "limit_m = (until_us - anchor_us) // MICROS_PER_MILLI",
    ),
    Mutation("volume follows the clock", "runs", "if not pricing.is_timed:", "if False:"),
    Mutation("steps ignored", "runs", "rate.single or rate.step_at(position_m)", "rate.steps[0]"),
    Mutation("step limit ignored", "runs", "step.until_m < limit_m:", "step.until_m < 0:"),
    Mutation(
        "money after a bucket goes on with the old pulses", "runs", "            begun = None\n", "            pass\n"
    ),
    Mutation("step begins one pulse late", "plan", "position_m < step.until_m", "position_m <= step.until_m"),
    Mutation("price per pulse, not per unit", "plan", "step.next_m * step.price_nano", "step.unit_m * step.price_nano"),
    Mutation("denominator of one step only", "plan", "den = lcm(den, whole", "den = max(1, whole"),
    # the whole call
    Mutation(
        "grace inclusive",
        "price",
        "    if used < first.grace:\n        return 0",
        "    if used <= first.grace:\n        return 0",
    ),
    Mutation("fee charged on bundles", "price", "return not parts or parts[0][0] == MONEY", "return True"),
    Mutation("fee never charged on plans", "price", "return not parts or parts[0][0] == MONEY", "return not parts"),
    Mutation(
        "fee inside the minimum",
        "price",
        "num = max(num, first.minimum_num) + first.fee_num",
        "num = max(num + first.fee_num, first.minimum_num)",
    ),
    Mutation("minimum ignored", "price", "num = max(num, first.minimum_num) + first.fee_num", "num += first.fee_num"),
    Mutation(
        "fee ignored", "price", "num = max(num, first.minimum_num) + first.fee_num", "num = max(num, first.minimum_num)"
    ),
    Mutation(
        "fee per stretch",
        "price",
        "            num += run[4] * run[5]\n    return",
        "            num += run[4] * run[5]\n        num += first.fee_num\n    return",
    ),
    Mutation("maximum ignored", "price", "        num = first.maximum_num\n", "        pass\n"),
    Mutation("unused calls cost", "price", "if used <= 0 or plan.is_free:", "if used < 0 or plan.is_free:"),
    Mutation(
        "rounded to micro only",
        "price",
        "return round_ratio(num, pricing.grid_den, pricing.mode) * pricing.grid_micro",
        "return round_ratio(num, pricing.den, pricing.mode)",
    ),
    Mutation("cheapest anchor held", "price", "return max(price(plan, anchor_us", "return min(price(plan, anchor_us"),
    Mutation("boundaries in the window forgotten", "price", "*plan.changes(earliest_us, latest_us), ", ""),
    Mutation("end of the window forgotten", "price", "latest_us), latest_us]", "latest_us)]"),
    Mutation("explanation forgets the fee", "price", "        if first.fee_num:\n", "        if False:\n"),
    # rounding
    Mutation(
        "up rounds whole amounts up too",
        "money",
        "return -(-numerator // denominator)",
        "return numerator // denominator + 1",
    ),
    Mutation("half to odd", "money", "whole & 1)", "1 - (whole & 1))"),
    Mutation("half-up goes down", "money", '(1 if mode == "half-up"', '(0 if mode == "half-up"'),
    Mutation("nearest is down", "money", "return whole + (rest * 2 > denominator)", "return whole"),
    Mutation(
        "down grants one too much", "money", "return (whole + 1) * denominator - 1", "return (whole + 1) * denominator"
    ),
    Mutation("half grants one too much", "money", "return (twice - 1) // 2", "return twice // 2"),
    Mutation(
        "up grants too little",
        "money",
        "        return whole * denominator\n",
        "        return whole * denominator - 1\n",
    ),
    Mutation("digits dropped in print", "money", '.rstrip("0").ljust(decimals, "0")', "[:decimals]"),
    # grants
    Mutation(
        "minimum not needed", "grant", "if limit < first.fee_num + first.minimum_num:", "if limit < first.fee_num:"
    ),
    Mutation("fee not kept back", "grant", "        limit -= first.fee_num\n", ""),
    Mutation("last pulse that fits refused", "grant", "if cost > limit:", "if cost >= limit and num:"),
    Mutation("one pulse too many granted", "grant", "limit // num * length_m", "(limit // num + 1) * length_m"),
    Mutation(
        "fractions rounded up",
        "grant",
        "length_m) // MILLI\n            limit",
        "length_m + 999) // MILLI\n            limit",
    ),
    Mutation("grace granted without funds", "grant", "    if reach < first.grace:\n        return 0\n", ""),
    Mutation("stop does not stop", "grant", "return maximum if first.stops else None", "return None"),
    Mutation("free after needs a micro more", "grant", "maximum <= limit", "maximum < limit"),
    Mutation(
        "largest grant of the window", "grant", "return min(\n        _grant_at", "return max(\n        _grant_at"
    ),
    Mutation(
        "free calls not granted",
        "grant",
        "        return cap\n    if funds_micro",
        "        return 0\n    if funds_micro",
    ),
    Mutation(
        "align to the pulse before", "grant", "aligned = (position_m + count * length_m)", "aligned = (position_m)"
    ),
    # buckets
    Mutation("lower priority first", "funding", "((-bucket.priority,", "((bucket.priority,"),
    Mutation("wider scope first", "funding", "-max(widths, default=0)", "max(widths, default=0)"),
    Mutation("latest expiry first", "funding", "bucket.valid_until_us or 0)", "-(bucket.valid_until_us or 0))"),
    Mutation("scope ignored", "funding", "if bucket.scope and not widths:", "if False:"),
    Mutation("unit ignored", "funding", "bucket.unit != plan.unit or ", ""),
    Mutation("service ignored", "funding", ' or bucket.service not in ("", plan.service)', ""),
    Mutation("held units spent again", "funding", "bucket.amount - bucket.reserved", "bucket.amount"),
    Mutation("valid at its last instant", "funding", "at_us >= bucket.valid_until_us", "at_us > bucket.valid_until_us"),
    Mutation(
        "not valid at its first instant", "funding", "at_us < bucket.valid_from_us", "at_us <= bucket.valid_from_us"
    ),
    Mutation(
        "last pulse of a bucket refused", "funding", "if left[bucket.id] < first or", "if left[bucket.id] <= first or"
    ),
    Mutation("paid money pulse wasted", "funding", "if aligned > position:", "if False:"),
    Mutation(
        "bucket pulse cut",
        "funding",
        "units = min(units, initial + max(0, -((initial - used) // following)) * following)",
        "units = used",
    ),
    Mutation(
        "expiry found a second early",
        "funding",
        "return -((anchor_us - at_us) // SECOND_US)",
        "return (at_us - anchor_us) // SECOND_US",
    ),
    Mutation(
        "bucket begins anew in mid-use", "funding", "first = following if is_continued else initial", "first = initial"
    ),
    Mutation(
        "nothing returned",
        "funding",
        "return Settlement(price(plan, anchor_us, used, consumed), consumed, _differences(parts, consumed))",
        "return Settlement(price(plan, anchor_us, used, consumed), consumed)",
    ),
    Mutation("free calls spend buckets", "funding", "if plan.is_free or plan.blocked:", "if plan.blocked:"),
    # calendars and time
    Mutation(
        "calendar ends late",
        "calendars",
        "self.from_s <= clock_s < self.until_s and",
        "self.from_s <= clock_s <= self.until_s and",
    ),
    Mutation(
        "calendar begins late",
        "calendars",
        "self.from_s <= clock_s < self.until_s and",
        "self.from_s < clock_s < self.until_s and",
    ),
    Mutation(
        "small hours of the wrong day",
        "calendars",
        "self.applies_on(local.date() - timedelta(days=1))",
        "self.applies_on(local.date())",
    ),
    Mutation(
        "exceptions ignored",
        "calendars",
        "return not (self.except_dates and _includes(self.except_dates, day))",
        "return True",
    ),
    Mutation(
        "dates of every year",
        "calendars",
        "(day.year, day.month, day.day) in days or",
        "any(d[1:] == (day.month, day.day) for d in days) or",
    ),
    Mutation(
        "weekday off by one", "calendars", "day.weekday() not in self.weekdays", "day.isoweekday() not in self.weekdays"
    ),
    Mutation("zone ignored", "timetable", ").astimezone(zone)", ")"),
    Mutation("repeated hour once", "timetable", "for fold in (0, 1)]", "for fold in (0,)]"),
    Mutation("offset shifts missed", "timetable", "        shifts.append(high_us)\n", ""),
    Mutation(
        "lightest calendar wins", "timetable", "key=lambda pair: -pair[1].weight", "key=lambda pair: pair[1].weight"
    ),
    Mutation("valid at its end", "timetable", "at_us < self.valid_until_us", "at_us <= self.valid_until_us"),
    Mutation("not valid at its start", "timetable", "at_us < self.valid_from_us", "at_us <= self.valid_from_us"),
    Mutation(
        "change a moment late",
        "timetable",
        "place = bisect_right(starts, at_us)",
        "place = bisect_right(starts, at_us - 1) or 1",
    ),
    # look-up and loading
    Mutation("shortest prefix wins", "prefixes", "reverse=True))", "reverse=False))"),
    Mutation("index shared without being grown", "prefixes", "number[prefix] = len(known)\n", "number[prefix] = 0\n"),
    Mutation(
        "no shorter prefix stands in", "tariff", "            place = table.shorter(place)\n", "            break\n"
    ),
    Mutation(
        "any group before the group", "tariff", "for group in (rating_group, None)", "for group in (None, rating_group)"
    ),
    Mutation("fallbacks not asked", "tariff", "for tariff in self.fallbacks:", "for tariff in ():"),
    Mutation(
        "effective dates not asked", "tariff", "if at_us is None or plan.blocked or plan.in_force(at_us):", "if True:"
    ),
    Mutation("gaps accepted", "coverage", "        if window & ~covered:\n", "        if False:\n"),
    Mutation("overlaps accepted", "coverage", "            if both:\n", "            if False:\n"),
    Mutation(
        "duplicates accepted",
        "assemble",
        "if previous.step.from_m == row.step.from_m and not row.blocked:",
        "if False:",
    ),
    Mutation(
        "floats accepted",
        "money",
        "if isinstance(text, int) and not isinstance(text, bool):\n        return text * TEN[scale]",
        "if isinstance(text, (int, float)):\n        return int(text * TEN[scale])",
    ),
    Mutation(
        "maximum lost in storage",
        "document",
        '("maximum_micro", "valid_from_us", "valid_until_us")',
        '("valid_from_us", "valid_until_us")',
    ),
    Mutation("grace lost in export", "export", '        given["grace_s"] = rate.grace\n', "        pass\n"),
]


def copy_project(place: Path) -> None:
    """Copy what the rating tests need."""
    for name in ("rating", "tests/reference", "tests/unit/rating"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "tests/property").mkdir()
    for path in (ROOT / "tests/property").glob("test_rating_*.py"):
        shutil.copy(path, place / "tests/property")
    for name in ("pyproject.toml", "tests/__init__.py", "tests/unit/__init__.py"):
        shutil.copy(ROOT / name, place / name)


def noticed(place: Path) -> str:
    """Run the tests; the first stage that notices something, "" when all pass."""
    for name, timeout_s, paths in STAGES:
        options = ("-x", "-q", "-m", "not campaign", "-p", "no:cacheprovider", "--hypothesis-seed=1")
        done = ended(place, ("pytest", *options, *paths), timeout_s)
        if done is not None and done.returncode not in (0, 1, 2):
            raise SystemExit(done.stdout.decode() + done.stderr.decode())
        if done is None or done.returncode:
            return name
    return ""


if __name__ == "__main__":
    paths = [mutation._replace(module=f"rating/{mutation.module}.py") for mutation in MUTATIONS]
    run("Mutation check of the rating core", paths, copy_project, noticed)
