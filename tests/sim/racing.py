"""
One database under several nodes, with every interleaving in the hands of the simulator.

Each node has a `RacingStore` over the one SQLite file.  What a node asks for happens in two steps, the work
on the rows and the news of it, and the simulator chooses whose step is next: so a node may have decided on
a row that another has moved, be thrown away with its work done and unheard, or wait for a lock.  Versions
are compared as PostgreSQL's statement does; the real database has its own tests (tests/contract).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from aaa.engine.ports import Tariffs
from aaa.store.batch import NOBODY, Batch
from aaa.store.port import Committed, Failed, Loaded, Wanted
from aaa.store.sqlite import SqliteStore
from aaa.value import replace

Steps = Iterator[bool]  # yields False as long as it has to wait for a lock, True after the work on the rows


class Database:
    """The one file, and who holds which account under lock."""

    def __init__(self, url: str) -> None:
        self.rows = SqliteStore(url)
        self.locks: dict[int, RacingStore] = {}

    def close(self) -> None:
        self.rows.close()

    def version(self, number: int) -> int | None:
        found = self.rows._all("SELECT version FROM account WHERE id=?", (number,))
        return found[0][0] if found else None


class RacingStore:
    """
    A node's view of the database.

    Args:
        refused: Called before each commit; True: the database refuses it.
        is_down: Whether the database is away.
    """

    is_single_writer = False
    names = None

    def __init__(self, database: Database, refused: Callable[[], bool], is_down: Callable[[], bool]) -> None:
        self.database = database
        self.consumers = ()
        self.is_gone = False
        self._refused = refused
        self._is_down = is_down
        self._running: list[Steps] = []

    def __getattr__(self, name: str) -> Any:
        """Start-up and reports go to the rows directly."""
        return getattr(self.database.rows, name)

    def close(self) -> None:
        """The process is gone, and with it what it waited for; the database gives its locks back."""
        self.is_gone = True
        self._running.clear()
        self._unlock()

    @property
    def is_busy(self) -> bool:
        return bool(self._running)

    def step(self, rng: random.Random) -> bool:
        """Take one step of one operation under way; False when all wait for locks."""
        for running in rng.sample(self._running, len(self._running)):
            try:
                if next(running):
                    return True
            except StopIteration:
                self._running.remove(running)
                return True
        return False

    def early_starts(self, now: int) -> dict[str, tuple[int, int]]:
        """Another node may have seen them: every load asks."""
        return {}

    def load(self, wanted: list[Wanted], tariffs: Tariffs, done: Callable[[list[Loaded] | Failed], None]) -> None:
        self._running.append(self._load(wanted, tariffs, done))

    def commit(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        self._running.append(self._commit(batch, now, done))

    def load_locked(
        self,
        account_ids: list[int],
        wanted: list[Wanted],
        tariffs: Tariffs,
        done: Callable[[list[Loaded] | Failed], None],
    ) -> None:
        self._running.append(self._load(wanted, tariffs, done, account_ids))

    def commit_locked(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        self._running.append(self._commit(batch, now, done, locked=True))

    # -- the steps --------------------------------------------------------------------------------

    def _load(
        self,
        wanted: list[Wanted],
        tariffs: Tariffs,
        done: Callable[[list[Loaded] | Failed], None],
        locking: list[int] | None = None,
    ) -> Steps:
        locks = self.database.locks
        while locking and any(locks.get(number) not in (None, self) for number in locking):
            yield False
        if self._is_down():
            yield True
            done(Failed("simulated: down"))
            return
        for number in locking or ():
            locks[number] = self
        loaded = [self._one(each, tariffs) for each in wanted]
        yield True
        done(loaded)

    def _one(self, wanted: Wanted, tariffs: Tariffs) -> Loaded:
        found = self.database.rows._loaded(replace(wanted, is_cached=False), tariffs)
        marks = ",".join("?" * len(wanted.names))
        sql = f"SELECT started_at FROM early_start WHERE key IN ({marks}) LIMIT 1"
        early = self.database.rows._all(sql, wanted.names) if wanted.names else []
        return replace(found, early_start_us=early[0][0] if early else 0)

    def _commit(
        self, batch: Batch, now: int, done: Callable[[Committed | Failed], None], locked: bool = False
    ) -> Steps:
        while any(self.database.locks.get(number) not in (None, self) for number in batch):
            yield False
        if self._is_down():
            outcome: Committed | Failed = Failed("simulated: down")
        elif self._refused():
            outcome = Failed("simulated: refused", is_conflict=locked)
        else:
            losers = {number for number, stage in batch.items() if number != NOBODY and self._lost(number, stage)}
            losers = set(batch) if locked and losers else losers
            self.database.rows._write({n: stage for n, stage in batch.items() if n not in losers}, now)
            outcome = Committed(frozenset(losers))
        if locked:
            self._unlock()
        yield True
        done(outcome)

    def _lost(self, number: int, stage: Any) -> bool:
        return self.database.version(number) != stage.version or any(map(self._is_taken, stage.absent))

    def _is_taken(self, name: str) -> bool:
        sql = (
            "SELECT 1 FROM session WHERE key=?1 UNION ALL SELECT 1 FROM session_alias WHERE alias=?1 "
            "UNION ALL SELECT 1 FROM early_start WHERE key=?1"
        )
        return bool(self.database.rows._all(sql, (name,)))

    def _unlock(self) -> None:
        for number in [number for number, holder in self.database.locks.items() if holder is self]:
            del self.database.locks[number]
