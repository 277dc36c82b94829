"""
Bulk rating of files: finished calls in, the same calls with their charge out, in streaming fashion.

CSV (with a header) and JSON lines are read; `destination`, `answered_at` (ISO with a zone, or seconds since
1970) and `used` are required, `service`, `direction` and `rating_group` optional, and everything else in a
record is passed on untouched.  Several processes rate blocks of records while this one reads and writes,
a bounded number of blocks ahead, so the size of a file does not matter.  A record that cannot be rated
keeps its place, with the reason.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO

from aaa.errors import ConfigError
from rating.bulk import REQUIRED, RatedCall, parse_call, rate_call
from rating.money import format_money
from rating.tariff import Tariff

BLOCK_LENGTH = 1 << 17
BLOCK_LENGTH_MAX = 1 << 22
BLOCKS_AHEAD = 4
"""Blocks in flight per process: enough to keep it busy, few enough to keep memory small."""

RESULT_COLUMNS = ("charge", "currency", "tariff", "tariff_version", "prefix", "destination_name", "rating_error")


@dataclass
class Summary:
    """What became of a file: how many calls, what they cost, and why some could not be rated."""

    calls: int = 0
    rated: int = 0
    amount_micro: int = 0
    currency: str = ""
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Summary) -> None:
        """Take in the summary of one block."""
        self.calls += other.calls
        self.rated += other.rated
        self.amount_micro += other.amount_micro
        self.errors.update(other.errors)


def rate_file(
    path: str | Path,
    tariff: Tariff,
    out: TextIO,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """
    Rate every call of a file and write it with its charge.

    Args:
        path: A CSV file, or JSON lines when its name ends in `.jsonl` or `.ndjson`.
        out: Gets the same form and order of records, with `RESULT_COLUMNS` added.
        processes: How many processes rate; 1 rates in this one.
        progress: Called per block with the calls and the octets of input it covers.

    Raises:
        ConfigError: The file cannot be read or lacks a required column.
    """
    summary = Summary(currency=tariff.currency)
    try:
        with open(path, "rb") as raw:
            counted = _Counted(raw)
            text = io.TextIOWrapper(io.BufferedReader(counted, 1 << 20), "utf-8-sig", newline="")
            header = None if str(path).endswith((".jsonl", ".ndjson")) else _header(text, str(path))
            rater = _Rater(tariff, header)
            if header is not None:
                out.write(_csv_text([rater.columns]))
            seen = 0
            for block in _rated_blocks(rater, _blocks(text, header is not None), processes):
                out.write(block[0])
                summary.add(block[1])
                if progress is not None:
                    progress(block[1].calls, counted.octets - seen)
                    seen = counted.octets
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError([f"{path}: {error}"]) from error
    return summary


class _Counted(io.RawIOBase):
    """A file that knows how many octets were read from it."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self.octets = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer)
        self.octets += count
        return count


class _Rater:
    """Rates blocks; the same object serves this process and, pickled, the others."""

    def __init__(self, tariff: Tariff, header: list[str] | None) -> None:
        self._tariff = tariff
        self._header = header
        self._kept = [place for place, column in enumerate(header or []) if column not in RESULT_COLUMNS]
        self.columns = [*((header or [])[place] for place in self._kept), *RESULT_COLUMNS]

    def rate(self, block: str) -> tuple[str, Summary]:
        """Rate the records of a block: the text to write and what it sums to."""
        summary = Summary()
        text = self._rate_rows(block, summary) if self._header is not None else self._rate_lines(block, summary)
        return text, summary

    def _rate_rows(self, block: str, summary: Summary) -> str:
        header, kept, width = self._header or [], self._kept, len(self._header or [])
        rated = []
        for row in filter(None, csv.reader(io.StringIO(block, newline=""), strict=True)):
            result = self._results(dict(zip(header, row, strict=False)), len(row) == width, summary)
            padded = row if len(row) >= width else [*row, *[""] * (width - len(row))]
            rated.append([*(padded[place] for place in kept), *result])
        return _csv_text(rated)

    def _rate_lines(self, block: str, summary: Summary) -> str:
        written = []
        for line in filter(str.strip, block.splitlines()):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            is_record = isinstance(record, dict)
            result = self._results(record if is_record else {}, is_record, summary)
            fields = record if is_record else {"record": line}
            written.append(json.dumps({**fields, **dict(zip(RESULT_COLUMNS, result, strict=True))}, ensure_ascii=False))
        return "".join(f"{line}\n" for line in written)

    def _results(self, fields: dict[str, Any], is_whole: bool, summary: Summary) -> tuple[str, ...]:
        """The result columns of one record."""
        summary.calls += 1
        rated = self._rate(fields) if is_whole else RatedCall(None, error="not a record")
        tariff, plan = self._tariff, rated.plan
        if plan is None or rated.error:
            summary.errors[rated.error.partition(":")[0]] += 1
            return "", "", tariff.name, str(tariff.version), "", "", rated.error
        summary.rated += 1
        summary.amount_micro += rated.amount_micro
        charge = format_money(rated.amount_micro, plan.pricing.decimals)
        return charge, plan.currency, plan.tariff, str(plan.tariff_version), plan.prefix, plan.destination, ""

    def _rate(self, fields: dict[str, Any]) -> RatedCall:
        try:
            return rate_call(self._tariff, parse_call(fields))
        except ValueError as error:
            return RatedCall(None, error=str(error))


def _header(text: TextIO, path: str) -> list[str]:
    """The columns of a CSV file."""
    header = [column.strip() for column in next(csv.reader(text, strict=True), [])]
    missing = [column for column in REQUIRED if column not in header]
    if missing:
        raise ConfigError([f"{path}:1: missing column {column}" for column in missing])
    return header


def _blocks(text: TextIO, is_csv: bool) -> Iterator[str]:
    """
    Cut the text between records, without reading them: that is the other processes' work.

    A CSV record may span lines inside quotes, so a block goes on until its quotes are even.
    """
    while lines := text.readlines(BLOCK_LENGTH):
        length, quotes = sum(map(len, lines)), sum(line.count('"') for line in lines)
        while is_csv and quotes % 2 and length < BLOCK_LENGTH_MAX and (line := text.readline()):
            lines.append(line)
            length += len(line)
            quotes += line.count('"')
        yield "".join(lines)


def _rated_blocks(rater: _Rater, blocks: Iterator[str], processes: int) -> Iterator[tuple[str, Summary]]:
    """Rate blocks in order, with a bounded number of them under way."""
    if processes <= 1:
        yield from map(rater.rate, blocks)
        return
    pending: deque[Future[tuple[str, Summary]]] = deque()
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (rater,)) as pool:
        for block in blocks:
            pending.append(pool.submit(_rate_block, block))
            if len(pending) >= processes * BLOCKS_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


_rater: _Rater | None = None
"""The rater of a process of the pool, set when it begins."""


def _begin(rater: _Rater) -> None:
    global _rater  # noqa: PLW0603
    _rater = rater


def _rate_block(block: str) -> tuple[str, Summary]:
    if _rater is None:
        raise AssertionError("the process was not begun")
    return _rater.rate(block)


def _csv_text(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
