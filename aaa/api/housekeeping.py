"""
What has to be done now and then and by nobody in particular: on a thread of its own, beside the API.

Every job may be done by several nodes at once, be cut off anywhere and be done again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update

from aaa.api import exports, transfers
from aaa.api.context import ApiContext
from aaa.ops.log_events import housekeeping_failed
from aaa.store import tables as db
from aaa.store.prune import delete_cdrs, old_cdrs

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
FIRST_AFTER_S = 1.0
STEP_S = 1.0
CARDS_AT_ONCE = 500


@dataclass
class Job:
    """Something to do every so many seconds; 0: once, at the start."""

    name: str
    every_s: float
    work: Callable[[ApiContext], Any]
    due_s: float = 0.0


class Housekeeper:
    """
    Does the jobs, one after the other; one that fails is logged and tried again when it is due next.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, context: ApiContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._stopping = threading.Event()
        self._cards_looked_us = 0
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._jobs = [
            Job("transfers", 60.0, transfers.complete),
            Job("first_use", 5.0, date_cards),
            Job("cards", 3_600.0, self._find_cards),  # used in other processes, or forgotten by a crash
            Job("prune", 60.0, prune),
        ]
        if context.config.export.directory is not None and context.config.export.interval:
            self._jobs.append(Job("export", context.config.export.interval, exports.export))

    def start(self) -> None:
        """Begin, a moment after the start of the server."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the job that runs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def turn(self) -> None:
        """Do what is due."""
        for job in list(self._jobs):
            if self._stopping.is_set() or self._clock() < job.due_s:
                continue
            try:
                job.work(self._context)
            except Exception as error:
                housekeeping_failed(job=job.name, error=f"{type(error).__name__}: {error}")
            else:
                if not job.every_s:
                    self._jobs.remove(job)
            job.due_s = self._clock() + (job.every_s or 60.0)

    def _find_cards(self, context: ApiContext) -> None:
        """Look at all CDRs at the start, and then at what ended since the last look; some are told of a day late."""
        now_us = context.clock()
        find_cards(context, self._cards_looked_us - DAY_US)
        self._cards_looked_us = now_us

    def _run(self) -> None:
        self._stopping.wait(FIRST_AFTER_S)
        while not self._stopping.is_set():
            self.turn()
            self._stopping.wait(STEP_S)


def date_cards(context: ApiContext) -> int:
    """Give accounts that expire some time after their first use their last day; returns how many."""
    used = context.wait(context.control.ask("first_uses"))
    return _date(context, {each["account_id"]: each["at_us"] for each in used})


def find_cards(context: ApiContext, since_us: int = 0) -> int:
    """
    The same for those that were used and then forgotten by a crash; read from the sessions and CDRs.

    Args:
        since_us: Only CDRs of sessions that ended since; those that ended before the oldest of the accounts are none of
            theirs.
    """
    account, session, cdr = db.account, db.session, db.cdr
    undated = account.c.limits.like("%valid_after_use_s%") & account.c.valid_until.is_(None)
    used: dict[int, int] = {}
    with context.read() as connection:
        oldest_us = connection.execute(select(func.min(account.c.created_at)).where(undated)).scalar()
        if oldest_us is None:
            return 0
        heads = select(session.c.account_id, session.c.head).join(account, account.c.id == session.c.account_id)
        for row in connection.execute(heads.where(undated)):
            begun_us = json.loads(row.head)[4]
            used[row.account_id] = min(begun_us, used.get(row.account_id, begun_us))
        begun = select(cdr.c.account_id, cdr.c.begun_at).join(account, account.c.id == cdr.c.account_id)
        for row in connection.execute(begun.where(cdr.c.ended_at >= max(since_us, oldest_us), undated)):
            used[row.account_id] = min(row.begun_at, used.get(row.account_id, row.begun_at))
    return _date(context, used)


def _date(context: ApiContext, used: dict[int, int]) -> int:
    """Write the last day of accounts by the instant of their first use; those that have one keep it."""
    numbers = sorted(used)
    dated = 0
    for start in range(0, len(numbers), CARDS_AT_ONCE):
        part = numbers[start : start + CARDS_AT_ONCE]

        def work(connection: Connection, part: list[int] = part) -> int:
            table = db.account
            rows = connection.execute(
                select(table.c.id, table.c.limits).where(table.c.id.in_(part), table.c.valid_until.is_(None))
            ).all()
            for row in rows:
                until = used[row.id] + json.loads(row.limits).get("valid_after_use_s", 0) * SECOND_US
                values = {"valid_until": until, "version": table.c.version + 1}
                connection.execute(update(table).where(table.c.id == row.id).values(values))
            return len(rows)

        dated += context.provision(work)
    return dated


def prune(context: ApiContext) -> int:
    """
    Delete CDRs that are older than their retention, a bounded number at once; returns how many.

    What a scheduled export has not written yet stays.
    """
    before_us = context.clock() - context.config.retention.cdr * SECOND_US
    with context.read() as connection:
        numbers = old_cdrs(connection, before_us, only_exported=context.config.export.directory is not None)
    if numbers:
        context.provision(lambda connection: delete_cdrs(connection, numbers), forgets=False)
    return len(numbers)
