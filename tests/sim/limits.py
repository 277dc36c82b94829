"""
The laws of accounts that may spend only so much in an hour or a day, or begin only so many sessions in a second.

What was spent in a window and what was begun in a second are counted here from ledger entries and CDRs, and compared
with what the account row claims and with what its limits allow.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from aaa.engine.terms import SECOND_US
from tests.sim.errors import LawBroken
from tests.sim.pools import LIMITS as POOLED
from tests.sim.pools import POOLS

LENGTH_US = {"hour": 3600 * SECOND_US, "day": 86_400 * SECOND_US}
LIMITS: dict[int, dict[str, int]] = {
    10: {"spend_per_hour_micro": 2_000_000},
    11: {"spend_per_hour_micro": 3_000_000, "spend_per_day_micro": 9_000_000},
    12: {"calls_per_second": 1},
    **POOLED,
}
STEP_BACK_US = 2 * SECOND_US  # the furthest the clock is ever set back
VAIN_MAX = 10  # refusals whose holds were given back in the same moment
REPLAYED_US = 7200 * SECOND_US  # more than what a journal brings later is older than the entries around it
OF_SESSIONS = ("charge", "assumed", "correction", "debit", "refund")


class _Entry(NamedTuple):
    number: int
    amount: int
    cause: str
    ref: str
    at: int


class LimitLaws:
    """
    Args:
        reader: On the database of the simulation.
    """

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader
        self._exempt: set[int] = set()
        self._doubtful: set[int] = set()
        self._vain = 0

    def exempt(self, account: int) -> None:
        """An account that was granted something while the store was down: that stands, whatever its limits (S11)."""
        self._exempt.add(account)

    def stepped_back(self, before: int, after: int) -> None:
        """The clock was set back: what begins in these seconds is counted in the latest there was."""
        self._doubtful.update(range(after // SECOND_US, before // SECOND_US + 1))

    def refused(self, number: int, now: int) -> None:
        """A window refused something; it may not go on doing so in an hour in which nothing was spent yet."""
        row = self._reader.execute("SELECT windows, reserved FROM account WHERE id=?", (number,)).fetchone()
        windows = json.loads(row[0])
        if any(start >= now - now % LENGTH_US[kind] for kind, start, _ in windows if kind in LENGTH_US):
            return
        if 2 * row[1] < LIMITS[number]["spend_per_hour_micro"]:
            self._vain += 1
            if self._vain > VAIN_MAX:
                raise LawBroken(f"windows: account {number} is refused in an hour in which it spent nothing")

    def check(self, now: int) -> None:
        """Every limited account, at one instant."""
        for number, limits in LIMITS.items():
            for kind, length_us in LENGTH_US.items():
                most = limits.get(f"spend_per_{kind}_micro")
                if most is not None:
                    self._window(number, kind, length_us, most, now)
            if "calls_per_second" in limits and number not in self._exempt:
                self._rate(number, limits["calls_per_second"], now)
            if "max_sessions" in limits and number not in self._exempt:
                self._sessions(number, limits["max_sessions"])

    def _window(self, number: int, kind: str, length_us: int, most: int, now: int) -> None:
        """What the row says was spent is what was posted; with what running sessions hold it is within the limit."""
        row = self._reader.execute("SELECT windows, reserved FROM account WHERE id=?", (number,)).fetchone()
        windows, reserved = row
        found = {name: (start, amount) for name, start, amount in json.loads(windows)}
        start_us, amount = found.get(kind, (0, 0))
        entries = list(self._entries(number, start_us))
        if start_us and any(entry.at >= start_us + length_us for entry in entries if entry.amount < 0):
            raise LawBroken(f"windows: account {number}: its {kind} goes on when it is over")
        charged = sum(-entry.amount for entry in entries if entry.amount < 0)
        first = entries[0].number if entries else 0
        back = sum(entry.amount for entry in entries if entry.amount > 0 and self._was_charged(number, entry, first))
        if not max(0, charged - back) <= amount <= charged:
            raise LawBroken(
                f"windows: account {number}: its {kind} says {amount}, posted were {charged}, {back} of it given back"
            )
        spent = amount if start_us >= now - now % length_us else 0
        late = sum(-entry.amount for entry in entries if entry.amount < 0 and self._is_late(number, entry))
        if number not in self._exempt and spent + reserved > most + late + self._reopened(number):
            raise LawBroken(
                f"windows: account {number} spent {spent} in its {kind} and holds {reserved}: {most} were allowed, "
                f"{late} came late"
            )

    def _entries(self, number: int, start_us: int) -> Iterator[_Entry]:
        """The entries of sessions that count in a window: all behind the first one that was posted inside it."""
        sql = "SELECT entry_no, amount, cause, ref, at FROM ledger_entry WHERE account_id=? ORDER BY entry_no DESC"
        if number in POOLS:  # the entries of its sessions stand under its pool
            sql = sql.replace(
                "ORDER", f"AND CAST(ref AS INTEGER) IN (SELECT id FROM cdr WHERE account_id={number}) ORDER"
            )
        found = []
        for row in self._reader.execute(sql, (POOLS.get(number, number),)):
            entry = _Entry(*row)
            if entry.at < start_us - REPLAYED_US:
                break
            if entry.cause in OF_SESSIONS:
                found.append(entry)
        is_inside = False
        for entry in reversed(found):
            is_inside = is_inside or entry.at >= start_us
            if is_inside:
                yield entry

    def _was_charged(self, number: int, entry: _Entry, first: int) -> bool:
        """Whether what is given back had been charged in the same window."""
        sql = "SELECT 1 FROM ledger_entry WHERE account_id=? AND ref=? AND amount<0 AND entry_no BETWEEN ? AND ?"
        payer = POOLS.get(number, number)
        return self._reader.execute(sql, (payer, entry.ref, first, entry.number)).fetchone() is not None

    def _is_late(self, number: int, entry: _Entry) -> bool:
        """Whether a charge came when its session had been settled before, and its hold was gone (S8)."""
        sql = "SELECT 1 FROM ledger_entry WHERE account_id=? AND ref=? AND entry_no<?"
        before = self._reader.execute(sql, (POOLS.get(number, number), entry.ref, entry.number)).fetchone()
        return entry.cause == "correction" or before is not None

    def _reopened(self, number: int) -> int:
        """What sessions hold that were settled by their deadline and heard of again: usage nobody had granted."""
        sql = (
            "SELECT coalesce(sum(s.accrued), 0) FROM session s JOIN cdr c ON c.id = s.id "
            "WHERE s.account_id=? AND s.state < 2"
        )
        return int(self._reader.execute(sql, (number,)).fetchone()[0])

    def _sessions(self, number: int, most: int) -> None:
        """No more run at once than may, those left out that were settled by their deadline and heard of again."""
        sql = "SELECT count(*) FROM session WHERE account_id=? AND state < 2 AND id NOT IN (SELECT id FROM cdr)"
        live = self._reader.execute(sql, (number,)).fetchone()[0]
        if live > most:
            raise LawBroken(f"limits: account {number} has {live} sessions, {most} were allowed")

    def _rate(self, number: int, most: int, now: int) -> None:
        """No second began more sessions and debits than it may."""
        sql = (
            "SELECT begun_at FROM cdr WHERE account_id=?1 AND begun_at>?2 UNION ALL "
            "SELECT json_extract(head, '$[4]') FROM session WHERE account_id=?1 AND state < 2 "
            "AND id NOT IN (SELECT id FROM cdr) AND json_extract(head, '$[4]')>?2"
        )
        begun = Counter(at // SECOND_US for (at,) in self._reader.execute(sql, (number, now - LENGTH_US["day"])))
        for second, count in begun.items():
            if count > most and second not in self._doubtful:
                raise LawBroken(f"limits: account {number} began {count} sessions in one second, {most} were allowed")
