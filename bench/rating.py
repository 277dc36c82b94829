"""
Speed of the rating core: one figure per line, against the targets it is built for.

Run as `python -m bench.rating`; `--quick` takes a tenth of the tariffs.  Figures are the best of several
rounds, as CPU time of this process; they are for comparing, not tests.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from aaa.cli.rate_files import rate_file
from rating import Tariff, TariffDocument, grant, load, parse_toml_tariff, price

PREFIXES = 100_000
TARIFFS = 50
ROUNDS = 5


def document(table: dict[str, object], rates_csv: str | None = None) -> TariffDocument:
    """The document of a table that is known to be good."""
    parsed = parse_toml_tariff(table, rates_csv, "bench")
    if isinstance(parsed, list):
        raise SystemExit("\n".join(map(str, parsed)))
    return parsed


def typical() -> Tariff:
    """A retail tariff with one always valid rate, connect fee and 60/6 pulses."""
    rate = {"prefix": "4420", "price": "0.0120", "pulse": "60/6", "connect_fee": "0.05"}
    table = {"name": "typical", "currency": "EUR", "timezone": "Europe/Berlin", "rate": [rate]}
    return load(document(table).to_json(), 1)


def striped() -> Tariff:
    """A tariff whose price changes ten times a day, charged by the second."""
    hours = (0, 2, 5, 7, 9, 12, 14, 17, 19, 22, 24)
    calendars, rates = [], []
    for number, (begin, end) in enumerate(pairwise(hours)):
        calendars.append({"name": f"h{number}", "from": f"{begin:02d}:00", "until": f"{end:02d}:00"})
        rates.append({"prefix": "", "price": f"0.0{number + 1}", "pulse": "1/1", "calendar": f"h{number}"})
    table = {"name": "striped", "currency": "EUR", "timezone": "Europe/Berlin", "calendar": calendars, "rate": rates}
    return load(document(table).to_json(), 1)


def world(number: int, prefixes: list[str]) -> str:
    """One wholesale tariff over these prefixes, as its stored document: some 2,000 prices, 5,000 names."""
    dice = random.Random(number)
    lines = ["prefix,destination,price,pulse"]
    for place, prefix in enumerate(prefixes):
        price_text = f"0.{dice.randrange(1, 2_000):05d}"
        lines.append(f"{prefix},Destination {place // 20},{price_text},{('60/60', '60/1', '1/1')[place % 3]}")
    table = {"name": f"world{number}", "currency": "EUR", "rates_file": "world.csv"}
    return document(table, "\n".join(lines)).to_json()


def some_prefixes(count: int) -> list[str]:
    """Distinct prefixes of the lengths a world tariff has."""
    dice = random.Random(7)
    found: set[str] = set()
    while len(found) < count:
        found.add(str(dice.randrange(10 ** (dice.randrange(2, 9)))))
    return sorted(found)


def best_us(work: Callable[[], object], times: int) -> float:
    """The least CPU time of one call, in microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - begun) / times * 1e6)
    return min(rounds)


def tell(what: str, figure: float, unit: str, target: str) -> None:
    print(f"{what:<58} {figure:>10.2f} {unit:<6} target {target}")


def memory_mib() -> float:
    """The resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def calls() -> None:
    plan = typical().find("voice", "442079460000")
    day = striped().find("voice", "442079460000")
    assert plan is not None and day is not None
    at_us = int(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()) * 1_000_000
    tell("price of a typical call, 200 s", best_us(lambda: price(plan, at_us, 200), 20_000), "us", "<= 10")
    tell(
        "grant of a typical call", best_us(lambda: grant(plan, at_us, at_us, 10_000_000, 3_600), 20_000), "us", "<= 10"
    )
    tell(
        "price of 24 h at 1 s pulses over 10 changes", best_us(lambda: price(day, at_us, 86_400), 2_000), "us", "<= 100"
    )
    unlimited = 10**12
    tell("grant of the same", best_us(lambda: grant(day, at_us, at_us, unlimited, 86_400), 2_000), "us", "<= 100")
    cold = day.pricing.timetable
    assert cold is not None
    tell("a day's price changes, not yet known", best_us(lambda: cold._make_day(20_000), 200), "us", "-")


def tables(tariffs: int) -> None:
    prefixes = some_prefixes(PREFIXES)
    stored = [world(number, prefixes) for number in range(min(tariffs, 5))]
    before_mib, begun = memory_mib(), time.process_time()
    loaded = [load(stored[number % len(stored)], number + 1) for number in range(tariffs)]
    tell(f"load {tariffs} tariffs of {PREFIXES} prefixes", time.process_time() - begun, "s", "<= 10")
    tell("memory they take", memory_mib() - before_mib, "MiB", "<= 300")
    dice = random.Random(3)
    numbers = [str(dice.randrange(10**11, 10**12)) for _ in range(10_000)]
    begun = time.process_time()
    for tariff in loaded:
        for number in numbers:
            tariff.find("voice", number)
    first_us = (time.process_time() - begun) / tariffs / len(numbers) * 1e6
    tell("first look-ups, plans still to be made", first_us, "us", "-")
    busy = numbers[:500]
    rounds = len(loaded) * len(busy)

    def look_up() -> None:
        for tariff in loaded:
            for number in busy:
                tariff.find("voice", number)

    tell("look-up in them", best_us(look_up, 1) / rounds, "us", "about 1")


def bulk(count: int) -> None:
    dice = random.Random(11)
    tariff = load(world(1, [*some_prefixes(PREFIXES), ""]), 1)
    begin_s = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.csv"
        with open(path, "w") as file:
            file.write("id,destination,answered_at,used\n")
            for number in range(count):
                at = datetime.fromtimestamp(begin_s + dice.randrange(2_592_000), UTC).isoformat()
                file.write(f"{number},{dice.randrange(10**11, 10**12)},{at},{dice.randrange(600)}\n")
        for processes in (1, 2):
            with open(Path(folder) / "rated.csv", "w") as out:
                begun, cpu_s = time.perf_counter(), sum(os.times()[:4])
                rate_file(path, tariff, out, processes)
                rate, cpu_us = count / (time.perf_counter() - begun), (sum(os.times()[:4]) - cpu_s) / count * 1e6
            what = f"bulk rating of {count} calls, {processes} processes"
            tell(what, rate, "call/s", ">= 50000 on two free cores")
            tell(f"{what}, CPU per call", cpu_us, "us", "<= 40")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the rating core")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tariffs")
    options = parser.parse_args()
    calls()
    tables(TARIFFS // 10 if options.quick else TARIFFS)
    bulk(100_000 if options.quick else 1_000_000)


if __name__ == "__main__":
    main()
