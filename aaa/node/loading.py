"""
Requests that cannot be decided before the store was read: they wait, are loaded together, and are taken up.

They are loaded in the order of their arrival, so many at once, and decided on the cache that then holds what was
read.  Nobody waits longer than the answer budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.errors import RowUnreadable
from aaa.node.desk import Request
from aaa.node.once import once
from aaa.store.port import Failed, Loaded

if TYPE_CHECKING:
    from aaa.node.node import ChargingNode

ANSWER_BUDGET_US = 2_000_000
LOAD_MOST = 512


class Loading:
    """
    What waits to be loaded.

    `has_loaded` says that the last store operation was a load: what has gathered is committed before more is read, else
    what was just read would be stale again soon.
    """

    def __init__(self, node: ChargingNode) -> None:
        self.waiting: list[Request] = []
        self.has_loaded = False
        self._node = node

    def load(self) -> None:
        """Read what waiting requests need, then decide them in the order of their arrival."""
        node = self._node
        self.waiting.sort(key=_arrival)
        requests, self.waiting = self.waiting[:LOAD_MOST], self.waiting[LOAD_MOST:]
        cache, emergency_id = node.cache, node.desk.emergency_id
        wanted = [request.wanted(cache, emergency_id) for request in requests]
        node.is_busy = True

        def done(loaded: list[Loaded] | Failed) -> None:
            node.is_busy = False
            self.has_loaded = True
            if isinstance(loaded, Failed):
                self.retry(requests, loaded)
                if loaded.is_unknown:  # the connection is gone: the next try says so at once
                    node.flush()
                return
            for request, asked, found in zip(requests, wanted, loaded, strict=True):
                if found.problem:
                    self.unreadable(request, found.problem)
                elif asked.is_cached and found.account is None and not cache.has(asked.account_id):
                    self.waiting.append(request)  # dropped meanwhile: it has to be read after all
                else:
                    try:
                        self._take_up(request, found)
                    except Exception as error:
                        node.broken(request, error)
            node.flush()

        once(lambda answered: node.store.load(wanted, node.tariffs, answered), done, node.on_error)

    def _take_up(self, request: Request, found: Loaded) -> None:
        """Put what was read into the cache and decide the request; a stale cache is dropped first."""
        node = self._node
        cache, lane = node.cache, node.lane
        account, session = found.account, found.session
        number = account.profile.id if account is not None else request.account_id
        if number is not None and lane.holds(number):
            lane.put(number, request)
            return
        if found.pool is not None and found.pool.profile.id not in cache.accounts:
            cache.put_account(found.pool, found.pool_version)
        if account is not None and account.profile.pool_id is not None and node.desk.defer is not None:
            cache.learn(account, found.version, () if session is None else (session,))
        elif account is not None:
            cached = cache.accounts.get(account.profile.id)
            if cached is not None and cached.version != found.version:
                node.stale(account.profile.id)
                cached = None
                if lane.holds(account.profile.id):
                    lane.put(account.profile.id, request)
                    return
            if cached is None:
                cache.put_account(account, found.version)
            else:
                cache.confirm(account.profile.id)
        if session is not None and session.head.id not in cache.sessions:
            cache.put_session(session)
        request.take(found)
        node.desk.decide(request)

    def unreadable(self, request: Request, problem: str) -> None:
        """The session or account a request names has a row that cannot be read: nobody else suffers for it."""
        node = self._node
        node.counters["unreadable", ""] += 1
        node.on_error(RowUnreadable(problem))
        node.refuse(request)

    def retry(self, requests: list[Request], failure: Failed) -> None:
        """A load or a locked batch failed: try again where that makes sense, or say that the store is down."""
        node = self._node
        if not failure.is_conflict:
            node.store_failed(failure)
        now = node.now_us()
        for request in requests:
            if (failure.is_unknown or failure.is_conflict) and now - request.arrived_us < ANSWER_BUDGET_US:
                self.waiting.append(request)
            else:
                node.refuse(request)

    def withdraw(self, requests: list[Request]) -> None:
        """These are not to be loaded: somebody else sees to them."""
        withdrawn = set(requests)
        self.waiting = [request for request in self.waiting if request not in withdrawn]

    def expire(self, now: int) -> None:
        """Refuse those who waited too long."""
        late = [request for request in self.waiting if now - request.arrived_us >= ANSWER_BUDGET_US]
        if late and not self._node.is_busy:
            self.withdraw(late)
            for request in late:
                self._node.refuse(request)


def _arrival(request: Request) -> int:
    return request.order
