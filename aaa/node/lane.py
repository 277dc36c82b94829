"""
The lock lane: accounts for which optimism keeps losing (SEMANTICS S10, PERFORMANCE "The store").

Theory.  On an account that several nodes hit at once, whoever reads first is not who writes first, and a
request could lose for ever.  So an account whose request lost twice leaves the optimistic lane: its
requests gather here, and one at a time a transaction locks the rows of all such accounts in id order, reads in
a second statement the sessions that the requests name (the first one's snapshot is older than the locks), decides
all that wait on exactly that state, writes and commits.  Nothing can move the account meanwhile, so nothing can lose.
After two such commits with nobody left waiting the account goes back.

Locked and optimistic accounts never share a transaction, and the lane has a connection of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.node.cache import Cache
from aaa.node.desk import Desk, Request
from aaa.store.port import Committed, Failed, Loaded, Wanted

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
        """Work on all accounts somebody waits for, those with the longest queues first, one transaction at a time."""
        if self._is_busy or not self._waiting:
            return
        taken: dict[int, list[Request]] = {}
        room = BATCH_MOST
        for account_id in sorted(self._waiting, key=lambda number: -len(self._waiting[number])):
            waiting = self._waiting[account_id]
            if not waiting or not room:
                break
            waiting.sort(key=lambda request: request.order)
            taken[account_id], self._waiting[account_id] = waiting[:room], waiting[room:]
            room -= len(taken[account_id])
        if not taken:
            self._release_quiet()
            return
        self._is_busy = True
        requests = sorted((request for some in taken.values() for request in some), key=lambda request: request.order)
        accounts = sorted(taken)
        emergency_id = self._node.desk.emergency_id
        wanted = [Wanted((), account_id) for account_id in accounts]
        wanted += [request.wanted((), emergency_id) for request in requests]
        self._node.store.load_locked(
            accounts, wanted, self._node.tariffs, lambda loaded: self._decide(accounts, requests, loaded)
        )

    def _decide(self, accounts: list[int], requests: list[Request], loaded: list[Loaded] | Failed) -> None:
        """Decide all requests on the rows that are locked, and write what they move."""
        if isinstance(loaded, Failed):
            self._ended(accounts, requests, loaded)
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
        for request, found in zip(requests, loaded[len(accounts) :], strict=True):
            request.take(found)
            desk.decide(request)
        batch = desk.take()
        node.store.commit_locked(batch, node.now_us(), lambda outcome: self._ended(accounts, requests, outcome))

    def _ended(self, accounts: list[int], requests: list[Request], outcome: Committed | Failed) -> None:
        self._is_busy = False
        node = self._node
        if isinstance(outcome, Failed) or outcome.losers:
            for request in requests:
                request.is_loaded = False
            node.retry(
                requests, outcome if isinstance(outcome, Failed) else Failed("lost under lock", is_conflict=True)
            )
            node.counters["lock_failed", ""] += 1
            node.flush()
        else:
            node.counters["locked_batches", ""] += 1
            node.answer(requests)
            for account_id in accounts:
                self._quiet[account_id] = 0 if self._waiting[account_id] else self._quiet[account_id] + 1
        self._release_quiet()
        self._pump()

    def _release_quiet(self) -> None:
        """Accounts that nobody waits for any more go back to the optimistic lane."""
        for account_id in [number for number, waiting in self._waiting.items() if not waiting]:
            if self._quiet[account_id] >= QUIET_COMMITS:
                del self._waiting[account_id], self._quiet[account_id]
