"""
The node: takes commands, decides them on cached sums, commits them in batches, and only then answers.

Theory.  A command is decided when it arrives, on the account as staged by the decisions before it; what
it moves goes into the batch that is being gathered, and its answer waits there (`desk`).  The pump has at
most one store operation under way: it loads what waiting requests need (`loading`), then commits what has gathered
meanwhile as one transaction, and so on.  After a commit:

* winners: the answers of their stages go out (L5), denials and repeats with them.
* losers, accounts that another node had moved or for which a session supposed to be new is not: dropped from
  the cache, and their requests, those already decided on top of them too, are loaded and decided again in the
  order of arrival (S10).  A request that lost twice takes its account to the lock lane.
* a failed commit: everything it touched is dropped.  If nothing was written, the requests get
  `STORE_DOWN` and the client's outage policy speaks; if nobody knows, or the database asks for another
  try, they are loaded and decided again, which their identities make exactly-once (S7).

What raises unexpectedly, in the store or in a decision, is told to `on_error` and costs the requests it
touched: they get `STORE_DOWN`, their accounts are read anew, and the pump goes on.

A request waits at most `loading.ANSWER_BUDGET_US`; then it is answered with `STORE_DOWN`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from aaa.engine.answers import Answer, Denial
from aaa.engine.commands import Command, Expire
from aaa.engine.terms import EMERGENCY_ACCOUNT
from aaa.errors import StoreUnavailable
from aaa.node.cache import Cache
from aaa.node.desk import Desk, Reply, Request, names_of
from aaa.node.epochs import Epochs
from aaa.node.lane import LockLane
from aaa.node.loading import Loading
from aaa.node.once import once
from aaa.node.outage import Outage, outside_the_store
from aaa.node.pace import WORTH_A_BATCH, Pace
from aaa.node.tally import Tally
from aaa.node.tariffs import TariffBook
from aaa.store.batch import NOBODY, Batch, Stage
from aaa.store.port import Committed, Failed, Store

SESSION_BITS = 40
VAIN_BEFORE_LOCK = 2


class ChargingNode:
    """
    The `Node` port over one store.

    Args:
        clock: Integer microseconds since the epoch.
        number: This start's number (`store.new_node`), the upper bits of the session ids it makes.
        on_error: Told about whatever raises; one broken face or row must not stop the others.
    """

    def __init__(
        self,
        store: Store,
        tariffs: TariffBook,
        clock: Callable[[], int],
        number: int,
        on_error: Callable[[Exception], None],
        cache: Cache | None = None,
    ) -> None:
        self.store = store
        self.tariffs = tariffs
        self.cache = cache or Cache()
        self.counters: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.tally = Tally()
        self.is_store_up = True
        self.store_ahead_us = 0  # how far the store's clock is ahead of ours
        self._clock = self.now_us = clock  # the same under its name in the port
        self.on_error = on_error
        self.numbers: Iterator[int] = count((number << SESSION_BITS) + 1)
        self._order: Iterator[int] = count()
        self.early = store.early_starts(clock())
        self.epochs = Epochs(self)
        self.desk = Desk(
            self.cache, tariffs, self.numbers, self.counters, self.early, store.names, store.is_single_writer
        )
        self.desk.emergency_id = store.account_id(EMERGENCY_ACCOUNT)
        self.lane = LockLane(self)
        if not store.is_single_writer:
            self.desk.defer = self.lane.take_member
        self.outage: Outage | None = None  # what it answers for while the store is down
        self.loading = Loading(self)
        self.is_busy = False  # a store operation is under way
        self._is_pumping = False
        self.pace = Pace()

    # -- the port ---------------------------------------------------------------------------------

    @property
    def is_draining(self) -> bool:
        """Whether new sessions are refused."""
        return self.desk.is_draining

    @is_draining.setter
    def is_draining(self, draining: bool) -> None:
        self.desk.is_draining = draining

    @property
    def waiting(self) -> int:
        """Requests that wait for the store: to be loaded, in the batch that gathers, or for a lock."""
        return len(self.loading.waiting) + self._gathered() + self.lane.waiting

    def _gathered(self) -> int:
        return sum([len(stage.requests) for stage in self.desk.batch.values()])

    def submit(self, command: Command, account_id: int | None, reply: Reply) -> None:
        """Take one command; `reply` is called after its effect is durable."""
        request = Request(command, account_id, reply, self._clock(), next(self._order))
        if self.outage is not None and self.outage.knows(names_of(command)):
            self.refuse(request)  # its session is in the journal, where its reports wait for their turn
            return
        try:
            if not self.desk.decide(request):
                self.loading.waiting.append(request)
        except Exception as error:
            self.broken(request, error)

    def submit_again(self, command: Command, account_id: int, now: int, reply: Reply) -> None:
        """Take a command of an outage, to be decided as of its original instant."""
        request = Request(command, account_id, reply, now, next(self._order))
        request.arrived_us = self._clock()
        request.is_replayed = True
        try:
            if not self.desk.decide(request):
                self.loading.waiting.append(request)
        except Exception as error:
            self.broken(request, error)
        self.flush()

    def survive(self, outage: Outage) -> None:
        """Answer by a journal what the store cannot take; from now on it is known what a lost batch began from."""
        self.outage = outage
        self.desk.keeps_before = True

    def replay(self) -> None:
        """Bring what was answered without the store into it, once it is back."""
        if self.outage is not None and self.is_store_up:
            self.outage.replay()

    def knows(self, names: Sequence[str]) -> bool:
        """Whether a session is cached under one of these names."""
        return self.cache.find(names) is not None or (self.outage is not None and self.outage.knows(names))

    def epoch(self, identity: str) -> int:
        """The current epoch of a NAS identity (S20)."""
        return self.epochs.of(identity)

    def restart_nas(self, identity: str, event_us: int, reply: Callable[[bool], None]) -> None:
        """Begin a new epoch of a NAS identity (Accounting-On/Off, S20); `reply(True)` once durable."""
        self.epochs.restart_nas(identity, reply)

    def restart_peer(self, identity: str, state_id: int, known: Callable[[], None]) -> None:
        """Note the state a Diameter client is in; a higher number ends its sessions, whose keys begin so."""
        self.epochs.restart_peer(identity, state_id, known)

    def flush(self) -> None:
        """Let the pump work: load what waits, commit what has gathered."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            loading = self.loading
            while not self.is_busy and (loading.waiting or self.desk.batch):
                if loading.waiting and not (loading.has_loaded and self.desk.batch):
                    loading.load()
                elif self.pace.is_resting and self._gathered() < WORTH_A_BATCH:
                    break
                else:
                    self._commit()
        finally:
            self._is_pumping = False

    def sweep(self, most: int = 500) -> None:
        """Expire sessions whose deadline has passed (L7)."""
        self.tidy()
        now = self._clock() + self.store_ahead_us  # every node sweeps by one clock (S18)
        self.store.due(now, most, lambda due: self._expire(due, now))

    def tidy(self) -> None:
        """Answer those who waited too long, and forget early starts nobody came for."""
        now = self._clock()
        self.loading.expire(now)
        for key in [key for key, (_, deadline) in self.early.items() if deadline <= now]:
            del self.early[key]
        self.flush()

    def _expire(self, due: list[int] | Failed, now: int) -> None:
        if not isinstance(due, Failed):
            for number in due:
                self.submit(Expire(f"#{number}", due_us=now), None, _ignore)
            self.flush()

    def forget(self) -> None:
        """
        Drop all caches and take up new tariffs: the store was changed by provisioning.

        Early starts and restarts rest on nothing that was cached.
        """
        for stage in list(self.desk.batch.values()):
            if stage.account_id != NOBODY and stage.account_id in self.desk.batch:
                self._again(stage)
        self.cache.clear()
        self.tariffs.reload()
        self.desk.emergency_id = self.store.account_id(EMERGENCY_ACCOUNT)
        self.flush()

    # -- deciding again ---------------------------------------------------------------------------

    def broken(self, request: Request, error: Exception) -> None:
        """A request whose decision raised is refused; what else is staged on its account is decided again."""
        self.on_error(error)
        session = self.cache.find(names_of(request.command))
        numbers = set() if request.account_id is None else {request.account_id}
        if session is not None:
            numbers.add(session.head.account_id)
        for stage in [stage for stage in self.desk.batch.values() if request in stage.requests]:
            stage.requests.remove(request)
            numbers.add(stage.account_id)
        for number in numbers.difference((NOBODY,)):
            self.stale(number)
        self.refuse(request)

    def stale(self, number: int) -> None:
        """Another node moved this account: what is staged on it will lose, so decide it again now."""
        stage = self.desk.batch.get(number)
        self.counters["stale", ""] += 1
        self.cache.doubt(number)
        if stage is not None:
            self._decide_again(stage)
        self.cache.drop_account(number)

    # -- committing -------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Send what has gathered as one transaction."""
        self.loading.has_loaded = False
        begun = self._clock()
        self.pace.sent(self._gathered(), begun)
        batch = self.desk.take()
        restarts = self.epochs.take_replies()
        self.is_busy = True

        def done(outcome: Committed | Failed) -> None:
            self.is_busy = False
            self.pace.rest(self.flush)
            self.tally.transactions["batch"].observe((self._clock() - begun) / 1e6)
            try:
                if isinstance(outcome, Failed):
                    self._batch_failed(batch, outcome, restarts)
                else:
                    self._batch_done(batch, outcome, restarts)
            except Exception as error:
                self.on_error(error)
                self._give_up([request for stage in batch.values() for request in self._again(stage)])
            self.flush()

        once(lambda answered: self.store.commit(batch, begun, answered), done, self.on_error)

    def _batch_done(self, batch: Batch, outcome: Committed, restarts: list[Callable[[bool], None]]) -> None:
        """Answer the winners; the losers are decided again."""
        self.is_store_up = True
        self.counters["batches", ""] += 1
        for number in outcome.losers:
            self._lost(batch.pop(number))
        if not self.desk.batch:
            self.cache.trim()
        self.flush()  # the next batch is on its way before the answers of this one are made
        answered: list[Request] = []
        for stage in batch.values():
            if stage.new_sessions or stage.entries or stage.settled:
                self.tally.stage(stage)
            answered += stage.requests
        self.answer(answered)
        for reply in restarts:
            self._call(reply, True)

    def _lost(self, stage: Stage) -> None:
        """Another node was faster on this account: load it and decide all of its requests again."""
        self.counters["conflicts", ""] += len(stage.requests)
        self.cache.doubt(stage.account_id)
        self._decide_again(stage)

    def _decide_again(self, stage: Stage) -> None:
        """Load a stage anew; if one of its requests was decided twice in vain, the next time is under the lock."""
        requests = self._again(stage)
        if any(request.again >= VAIN_BEFORE_LOCK for request in requests):
            self.loading.withdraw(requests)
            self.lane.begin(stage.account_id, requests)

    def _again(self, stage: Stage) -> list[Request]:
        """Take an account out of the batch that gathers, forget it, and queue its requests anew."""
        number = stage.account_id
        later = self.desk.batch.pop(number, None)
        requests: list[Request] = list(stage.requests)
        if later is not None and later is not stage:
            requests += later.requests
        self._forget_early(stage)
        self.cache.drop_account(number)
        if stage.family or (later is not None and later.family):
            requests += self._kin(stage.family or number)
        for request in requests:
            request.again += 1
            request.is_loaded = False
            self.desk.expect(names_of(request.command))
        self.loading.waiting.extend(requests)
        return requests

    def _kin(self, family: int) -> list[Request]:
        """Take out of the batch what was decided on the same pool; the requests, which are to be decided again."""
        requests: list[Request] = []
        for number in [number for number, other in self.desk.batch.items() if other.family == family]:
            other = self.desk.batch.pop(number)
            self._forget_early(other)
            self.cache.drop_account(number)
            requests += other.requests
        return requests

    def _batch_failed(self, batch: Batch, failure: Failed, restarts: list[Callable[[bool], None]]) -> None:
        """Nothing of the batch may be answered; forget all it touched."""
        self.epochs.undo(batch)
        if self.outage is not None and not failure.is_conflict:
            for number, stage in batch.items():
                cached = self.cache.accounts.get(number)
                if stage.before is not None and stage.before.account is not None:
                    self.outage.remember(stage.before.account)
                elif cached is not None:
                    self.outage.remember(cached.account)
        requests = [request for stage in batch.values() for request in self._again(stage)]
        if not failure.is_conflict:
            self.store_failed(failure)
        if not (failure.is_unknown or failure.is_conflict):
            self._give_up(requests)
        for reply in restarts:
            self._call(reply, False)

    def _give_up(self, requests: list[Request]) -> None:
        """Do not decide these again: refuse all that have no answer yet."""
        self.loading.withdraw(requests)
        for request in requests:
            if not request.is_answered:
                self.refuse(request)

    def _forget_early(self, stage: Stage) -> None:
        for start in stage.rare.early_starts if stage.rare is not None else ():
            for key in start.keys:
                self.early.pop(key, None)

    # -- answering --------------------------------------------------------------------------------

    def answer(self, requests: list[Request]) -> None:
        """Give the answers of requests whose effects are durable."""
        self.counters["requests", ""] += len(requests)
        self.tally.answers(requests, self._clock())
        for request in requests:
            if request.again:
                self.counters["decided_again", str(request.again)] += 1
            request.is_answered = True
            self._call(request.reply, request.answer)

    def refuse(self, request: Request) -> None:
        """
        Answer a request that the store could not take: by its own answer for that (S21), or by what the journal of
        the outage took (S11).
        """
        answer = request.without_store()
        if isinstance(answer, Denial) and self.outage is not None and not request.is_replayed:
            answer = outside_the_store(self, request, self.outage) or answer
        request.answer = answer
        request.is_answered = True
        self.tally.answers((request,), self._clock())
        self._call(request.reply, request.answer)

    def _call(self, reply: Callable[[Any], None], value: Any) -> None:
        try:
            reply(value)
        except Exception as error:
            self.on_error(error)

    def store_failed(self, failure: Failed) -> None:
        """The store did not take something: say so, here and in the status."""
        self.is_store_up = False
        self.counters["store_failed", ""] += 1
        self.on_error(StoreUnavailable(failure.reason))


def _ignore(_answer: Answer) -> None:
    """The sweeper asks for no answer."""
