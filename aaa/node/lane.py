"""
The lock lane: accounts for which optimism keeps losing (SEMANTICS S10, PERFORMANCE "The store").

Theory.  On an account that several nodes hit at once, whoever reads first is not who writes first, and a
request could lose for ever.  So an account whose request lost twice leaves the optimistic lane: its
requests gather here, and one at a time a transaction locks its row, reads in a second statement the
sessions that the requests name (the first one's snapshot is older than the lock), decides all that wait
on exactly that state, writes and commits.  Nothing can move the account meanwhile, so nothing can lose.
After two such commits with nobody left waiting the account goes back.

Locked and optimistic accounts never share a transaction, and the lane has a connection of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.node.cache import Cache
from aaa.node.desk import Desk, Request, names_of
from aaa.store.batch import Batch
from aaa.store.port import Committed, Failed, Loaded

if TYPE_CHECKING:
    from aaa.node.node import ChargingNode

QUIET_COMMITS = 2
BATCH_MOST = 256


class LockLane:
    """Accounts under lock, with their waiting requests."""

    def __init__(self, node: ChargingNode) -> None:
        self._node = node
        self._waiting: dict[int, list[Request]] = {}
        self._quiet: dict[int, int] = {}
        self._is_busy = False

    def holds(self, account_id: int) -> bool:
        """Whether requests of this account belong here now."""
        return account_id in self._waiting

    def begin(self, account_id: int, requests: list[Request]) -> None:
        """Take an account over from the optimistic lane, with its requests."""
        self._node.counters["locked", ""] += 1
        self._quiet[account_id] = 0
        self._waiting.setdefault(account_id, []).extend(requests)
        self._pump()

    def put(self, account_id: int, request: Request) -> None:
        """Queue a request of an account that is here."""
        self._waiting[account_id].append(request)
        self._pump()

    def _pump(self) -> None:
        """Work on the account with the longest queue, one transaction at a time."""
        if self._is_busy or not self._waiting:
            return
        account_id = max(self._waiting, key=lambda number: len(self._waiting[number]))
        waiting = self._waiting[account_id]
        waiting.sort(key=lambda request: request.order)
        requests, self._waiting[account_id] = waiting[:BATCH_MOST], waiting[BATCH_MOST:]
        if not requests:
            self._release_quiet()
            return
        self._is_busy = True
        names = [name for request in requests for name in names_of(request.command)]
        self._node.store.load_locked(
            [account_id], names, self._node.tariffs, lambda loaded: self._decide(account_id, requests, loaded)
        )

    def _decide(self, account_id: int, requests: list[Request], loaded: list[Loaded] | Failed) -> None:
        """Decide all requests on the rows that are locked, and write what they move."""
        if isinstance(loaded, Failed):
            self._ended(account_id, requests, {}, loaded)
            return
        node = self._node
        cache = Cache()
        desk = Desk(cache, node.tariffs, node.numbers, node.counters, node.early)
        desk.emergency_id = node.desk.emergency_id
        desk.is_draining = node.desk.is_draining
        desk.keeps_before = node.desk.keeps_before
        for found in loaded:
            if found.account is not None and found.account.profile.id not in cache.accounts:
                cache.put_account(found.account, found.version)
            if found.session is not None and found.session.head.id not in cache.sessions:
                cache.put_session(found.session)
        for request in requests:
            request.is_loaded = True
            desk.decide(request)
        batch = desk.take()
        begun = node.now_us()

        def done(outcome: Committed | Failed) -> None:
            node.tally.transactions["locked"].observe((node.now_us() - begun) / 1e6)
            self._ended(account_id, requests, batch, outcome)

        node.store.commit_locked(batch, begun, done)

    def _ended(self, account_id: int, requests: list[Request], batch: Batch, outcome: Committed | Failed) -> None:
        self._is_busy = False
        node = self._node
        if isinstance(outcome, Failed) or outcome.losers:
            for request in requests:
                request.is_loaded = False
            node.retry(
                requests, outcome if isinstance(outcome, Failed) else Failed("lost under lock", is_conflict=True)
            )
        else:
            node.counters["locked_batches", ""] += 1
            for stage in batch.values():
                node.tally.stage(stage)
            node.answer(requests)
            self._quiet[account_id] = 0 if self._waiting[account_id] else self._quiet[account_id] + 1
        self._release_quiet()
        self._pump()

    def _release_quiet(self) -> None:
        """Accounts that nobody waits for any more go back to the optimistic lane."""
        for account_id in [number for number, waiting in self._waiting.items() if not waiting]:
            if self._quiet[account_id] >= QUIET_COMMITS:
                del self._waiting[account_id], self._quiet[account_id]
