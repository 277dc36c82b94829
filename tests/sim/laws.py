"""
The laws, checked against the rows of the database by a connection of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Protocol

from aaa.engine.terms import ChargeKey
from rating import Tariff, price
from tests.sim.errors import LawBroken
from tests.sim.limits import LimitLaws

SUMS = (
    "SELECT a.id, a.balance, a.reserved, a.accrued, a.live_sessions, a.entry_no,"
    " (SELECT coalesce(sum(amount), 0) FROM ledger_entry e WHERE e.account_id = a.id),"
    " (SELECT count(*) FROM ledger_entry e WHERE e.account_id = a.id),"
    " coalesce(sum(s.reserved), 0), coalesce(sum(s.accrued), 0), count(s.id), a.pool_id FROM account a"
    " LEFT JOIN account m ON a.id IN (m.id, m.pool_id) LEFT JOIN session s ON s.account_id = m.id AND s.state < 2"
    " GROUP BY a.id"
)


class Client(Protocol):
    """What the laws ask of a client."""

    key: str
    is_lost: bool

    def charged(self) -> dict[ChargeKey, int] | None: ...


class Laws:
    """
    Args:
        path: The SQLite file.
    """

    def __init__(self, path: str) -> None:
        self._reader = sqlite3.connect(path, isolation_level=None)
        self._reader.execute("CREATE INDEX simulated_entries ON ledger_entry (ref)")  # so that a million can be checked
        self._reader.execute("CREATE INDEX simulated_cdrs ON cdr (key)")
        self.limits = LimitLaws(self._reader)
        self._below: dict[int, int] = {}  # how far accounts were below zero at the last look
        self._overspent_micro = 0  # and what was counted until then

    def close(self) -> None:
        self._reader.close()

    def live(self) -> int:
        """Sessions that are held or open."""
        return int(self._one("SELECT count(*) FROM session WHERE state < 2"))

    def live_keys(self) -> set[str]:
        """The keys of sessions that are held or open."""
        return {key for (key,) in self._reader.execute("SELECT key FROM session WHERE state < 2")}

    def sums(self, overspent_micro: int) -> None:
        """
        L6: every account is the sum of its entries and its live sessions, a pool of its members' too.

        L1: what went below zero was counted.

        Args:
            overspent_micro: All that was counted since the beginning.
        """
        gone_below = 0
        for row in self._reader.execute(SUMS).fetchall():
            number, balance, reserved, accrued, live, entry_no, entries, count, held, used, sessions, pool = row
            if (balance, reserved, accrued, live, entry_no) != (entries, held, used, sessions, count):
                raise LawBroken(
                    f"L6: account {number}: balance, reserved, accrued, live, entries are "
                    f"{balance, reserved, accrued, live, entry_no}, the rows say {entries, held, used, sessions, count}"
                )
            if min(held, used) < 0:
                raise LawBroken(f"L6: account {number} holds {held}, accrued {used}")
            if pool is not None:
                continue  # it holds, and its pool pays
            below = max(0, reserved - balance)
            gone_below += max(0, below - self._below.get(number, 0))
            self._below[number] = below
        counted = overspent_micro - self._overspent_micro
        if gone_below > counted:
            raise LawBroken(f"L1: available went {gone_below} below zero, {counted} of it counted as overspend")
        self._overspent_micro = overspent_micro

    def durable(self, granted: Iterable[str]) -> None:
        """L5: every session that a client was granted has its row."""
        for key in granted:
            if self._reader.execute("SELECT 1 FROM session WHERE key=?", (key,)).fetchone() is None:
                raise LawBroken(f"L5: {key} was granted and has no row")

    def settled(self, client: Client, tariff: Tariff) -> None:
        """L3, L4: charged once, at the price of what was used, and posted as the CDR says."""
        units = client.charged()
        row = self._reader.execute("SELECT id, amount FROM cdr WHERE key=?", (client.key,)).fetchone()
        if row is None:
            if units is not None:
                raise LawBroken(f"L5: {client.key}: its end was answered and there is no CDR")
            return
        number, amount = row
        posted = self._one("SELECT coalesce(sum(amount), 0) FROM ledger_entry WHERE ref=?", str(number))
        if posted != -amount:
            raise LawBroken(f"L6: {client.key}: the CDR says {amount}, the ledger {posted}")
        if units is None:
            return
        due = sum(self._price(tariff, key, used) for key, used in units.items())
        if amount != due:
            raise LawBroken(f"L3: {client.key}: {amount} charged for {units}, which costs {due}")

    def top_ups(self) -> None:
        """L4: every movement of money was posted once."""
        sql = "SELECT count(*), count(DISTINCT ref) FROM ledger_entry WHERE cause='topup'"
        posted, distinct = self._reader.execute(sql).fetchone()
        if posted != distinct:
            raise LawBroken(f"L4: {distinct} top-ups were posted {posted} times")

    def _price(self, tariff: Tariff, key: ChargeKey, used: int) -> int:
        plan = tariff.find(key.service, "441632", key.direction, key.rating_group, key.unit)
        if plan is None:
            raise LawBroken(f"no rate for {key}")
        return price(plan, 0, used)

    def _one(self, sql: str, *values: str) -> int:
        return int(self._reader.execute(sql, values).fetchone()[0])
