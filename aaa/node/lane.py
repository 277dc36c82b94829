"""
The lock lane: accounts for which optimism keeps losing (SEMANTICS S10, PERFORMANCE "The store").

Theory.  On an account that several nodes hit at once, whoever reads first is not who writes first, and a
request could lose for ever.  So an account whose request lost twice leaves the optimistic lane: its
requests gather here, and one at a time a transaction locks the rows of all such accounts in id order, reads in
a second statement the sessions that the requests name (the first one's snapshot is older than the locks), decides
all that wait on exactly that state, writes and commits.  Nothing can move the account meanwhile, so nothing can lose.
After two such commits with nobody left waiting the account goes back.

An account that spends from a pool is always decided on here, with both rows locked: two rows cannot be compared and set
so that either both win or none.  What came of it is told to the cache, by which its sessions are known and reached.

Locked and optimistic accounts never share a transaction, and the lane has a connection of its own.  A request whose
decision raises is refused and the transaction ended with nothing written; the others are decided again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.node.cache import Cache
from aaa.node.desk import Desk, Request
from aaa.node.once import once
from aaa.store.batch import Batch
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
        self._pools: dict[int, int] = {}  # of the accounts here that spend from one
        self._is_busy = False

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return sum(len(waiting) for waiting in self._waiting.values())

    def holds(self, account_id: int) -> bool:
        """Whether requests of this account belong here now."""
        return account_id in self._waiting

    def begin(self, account_id: int, requests: list[Request]) -> None:
        """Take an account over from the optimistic lane, with its requests."""
        self._node.counters["locked", ""] += 1
        self._quiet[account_id] = 0
        self._waiting.setdefault(account_id, []).extend(requests)
        self._pump()

    def take_member(self, request: Request, account_id: int, pool_id: int) -> None:
        """Take a request of an account that spends from a pool."""
        self._quiet.setdefault(account_id, 0)
        self._pools[account_id] = pool_id
        self._waiting.setdefault(account_id, []).append(request)
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
        pools = {self._pools[number] for number in taken if number in self._pools}
        accounts, emergency_id = sorted(pools.union(taken)), self._node.desk.emergency_id
        wanted = [Wanted((), number) for number in accounts]
        wanted += [request.wanted(None, emergency_id) for request in requests]
        node = self._node
        once(
            lambda answered: node.store.load_locked(accounts, wanted, node.tariffs, answered),
            lambda loaded: self._decide(accounts, requests, loaded),
            node.on_error,
        )

    def _decide(self, accounts: list[int], requests: list[Request], loaded: list[Loaded] | Failed) -> None:
        """
        Decide all requests on the rows that are locked, and write what they move.

        A row that came along without being locked is written by its version like any other; if it moved, all is lost.
        """
        cache = Cache()
        if isinstance(loaded, Failed):
            self._ended(accounts, requests, {}, cache, loaded)
            return
        node = self._node
        desk = Desk(cache, node.tariffs, node.numbers, node.counters, node.early)
        desk.emergency_id = node.desk.emergency_id
        desk.is_draining = node.desk.is_draining
        desk.keeps_before = node.desk.keeps_before
        broken: list[Request] = []
        decided: list[tuple[Request, Loaded]] = []
        for request, found in zip(requests, loaded[len(accounts) :], strict=True):
            if found.problem:
                node.loading.unreadable(request, found.problem)
            else:
                decided.append((request, found))
        requests = [request for request, _ in decided]
        for found in loaded:
            for account, version in ((found.account, found.version), (found.pool, found.pool_version)):
                if account is not None and account.profile.id not in cache.accounts:
                    cache.put_account(account, version)
                    pool_id = account.profile.pool_id
                    if pool_id is not None and account.profile.id in self._waiting:
                        self._pools[account.profile.id] = pool_id
            if found.session is not None and found.session.head.id not in cache.sessions:
                cache.put_session(found.session)
        for request, found in decided:
            request.take(found)
            try:
                desk.decide(request)
            except Exception as error:
                node.on_error(error)
                broken.append(request)
        batch = {} if broken else desk.take()
        begun = node.now_us()

        def done(outcome: Committed | Failed) -> None:
            node.tally.transactions["locked"].observe((node.now_us() - begun) / 1e6)
            for request in broken:
                requests.remove(request)
                node.refuse(request)
            if broken and not isinstance(outcome, Failed):
                outcome = Failed("a decision raised", is_conflict=True)
            self._ended(accounts, requests, batch, cache, outcome)

        once(lambda answered: node.store.commit_locked(batch, begun, answered), done, node.on_error)

    def _ended(
        self, accounts: list[int], requests: list[Request], batch: Batch, cache: Cache, outcome: Committed | Failed
    ) -> None:
        self._is_busy = False
        node = self._node
        if isinstance(outcome, Failed) or outcome.losers:
            failure = outcome if isinstance(outcome, Failed) else Failed("lost under lock", is_conflict=True)
            if not failure.is_conflict:  # nobody waits for a store that is away
                for account_id, waiting in self._waiting.items():
                    requests = [*requests, *waiting]
                    self._waiting[account_id] = []
            for request in requests:
                request.is_loaded = False
            node.loading.retry(requests, failure)
            node.counters["lock_failed", ""] += 1
            node.flush()
        else:
            node.is_store_up = True
            node.counters["locked_batches", ""] += 1
            for account_id in accounts:
                if account_id in self._waiting:
                    self._quiet[account_id] = 0 if self._waiting[account_id] else self._quiet[account_id] + 1
            self._tell(accounts, batch, cache)
            node.answer(requests)
            for stage in batch.values():
                node.tally.stage(stage)
        self._release_quiet()
        self._pump()

    def _tell(self, accounts: list[int], batch: Batch, cache: Cache) -> None:
        """
        Let the node's cache know what accounts that spend from a pool have come to, with their sessions, and the pools.

        A pool may be decided on there, so sessions of its own that are cached go, and nothing that is staged changes.
        """
        known, staged = self._node.cache, self._node.desk.batch
        for number in accounts:
            cached = cache.accounts.get(number)
            if cached is None:
                continue
            if cached.account.profile.pool_id is not None:
                stage = batch.get(number)
                sessions = () if stage is None else (*stage.begun(), *stage.sessions.values())
                known.learn(cached.account, cached.version, sessions)
            elif number in known.accounts and number not in staged:
                known.drop_account(number)
                known.put_account(cached.account, cached.version)
        if not staged:
            known.trim()

    def _release_quiet(self) -> None:
        """
        Accounts that nobody waits for any more go back to the optimistic lane.

        Those that spend from a pool are forgotten at once: the desk sends them here again.
        """
        for account_id in [number for number, waiting in self._waiting.items() if not waiting]:
            if account_id in self._pools or self._quiet[account_id] >= QUIET_COMMITS:
                del self._waiting[account_id], self._quiet[account_id]
                self._pools.pop(account_id, None)
