"""
The node: takes commands, decides them on cached sums, commits them in batches, and only then answers.

Theory.  A command is decided when it arrives, on the account as staged by the decisions before it; what
it moves goes into the batch that is being gathered, and its answer waits there.  `flush` makes one
transaction of the batch; after it is durable every answer goes out (L5).  When it cannot be made durable
everything it touched is dropped from the cache and every request of it, denials and repeats too, gets
`STORE_DOWN`: an answer decided on staged state never leaves alone.

A command whose session or account is not cached waits for the load that `flush` does first, and is
decided in arrival order with the others that wait; commands of one session cannot overtake each other,
because the first that needed the load makes the others need it too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from aaa.engine.decide import decide
from aaa.engine.model import (
    EMERGENCY_ACCOUNT,
    NOTHING,
    Account,
    Ack,
    Action,
    Adjust,
    Answer,
    Begin,
    Changes,
    Command,
    Decision,
    Denial,
    End,
    Event,
    Expire,
    Grant,
    LineGrant,
    Outcome,
    Reason,
    Update,
)
from aaa.errors import StoreUnavailable
from aaa.node.cache import Cache
from aaa.node.tariffs import TariffBook
from aaa.store.batch import Batch
from aaa.store.sqlite import SqliteStore

SESSION_BITS = 40
EARLY_STARTS_MAX = 100_000
RESTART_REPEAT_US = 60_000_000

Reply = Callable[[Answer], None]


class Request:
    """One command on its way: who asked, when, and where the answer goes."""

    __slots__ = ("account_id", "answer", "command", "is_loaded", "now", "reply")

    def __init__(self, command: Command, account_id: int | None, reply: Reply, now: int) -> None:
        self.command = command
        self.account_id = account_id
        self.reply = reply
        self.now = now
        self.is_loaded = False
        self.answer: Answer = Denial(Reason.STORE_DOWN)


class ChargingNode:
    """
    The `Node` port over one store.

    Args:
        clock: Integer microseconds since the epoch.
        number: This start's number (`store.new_node`), the upper bits of the session ids it makes.
        on_error: Told about replies that raise; one broken face must not stop the others.
    """

    def __init__(
        self,
        store: SqliteStore,
        tariffs: TariffBook,
        clock: Callable[[], int],
        number: int,
        on_error: Callable[[Exception], None],
        cache: Cache | None = None,
    ) -> None:
        self.store = store
        self.tariffs = tariffs
        self.cache = cache or Cache()
        self.counters: Counter[tuple[str, str]] = Counter()
        self.is_draining = False
        self.is_store_up = True
        self._clock = clock
        self._on_error = on_error
        self._next_session = (number << SESSION_BITS) + 1
        self._batch = Batch()
        self._staged: list[Request] = []
        self._waiting: list[Request] = []
        self._restart_replies: list[Callable[[bool], None]] = []
        self._movements: dict[str, tuple[str, str]] = {}
        self._epochs = store.epochs()
        self._early = store.early_starts(clock())
        self._emergency_id = store.account_id(EMERGENCY_ACCOUNT)

    # -- the port ---------------------------------------------------------------------------------

    def now_us(self) -> int:
        """The node's clock."""
        return self._clock()

    def submit(self, command: Command, account_id: int | None, reply: Reply) -> None:
        """Take one command; `reply` is called after its effect is durable."""
        request = Request(command, account_id, reply, self._clock())
        if not self._decide(request):
            self._waiting.append(request)

    def epoch(self, identity: str) -> int:
        """The current epoch of a NAS identity (S20)."""
        known = self._epochs.get(identity)
        return known[0] if known else 0

    def restart_nas(self, identity: str, event_us: int, reply: Callable[[bool], None]) -> None:
        """Begin a new epoch: sessions of the older one are due at once; a repeat within 60 s does nothing (S20)."""
        epoch, at_us = self._epochs.get(identity, (0, 0))
        now = self._clock()
        self._restart_replies.append(reply)
        if at_us and abs(now - at_us) < RESTART_REPEAT_US:
            return
        self._epochs[identity] = (epoch + 1, now)
        self._batch.restarts.append((identity, epoch + 1, now, f"{identity}|{epoch}|"))
        for session in list(self.cache.sessions.values()):
            if session.head.key.startswith(f"{identity}|{epoch}|") and session.deadline_us > now:
                self.cache.put_session(session._replace(deadline_us=now))
        self.counters["nas_restart", ""] += 1

    def flush(self) -> None:
        """Load what waiting requests need, decide them, and commit what has gathered as one batch."""
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._load_and_decide(request)
        if self._staged or self._restart_replies:
            self._commit()

    def sweep(self, most: int = 500) -> int:
        """Expire sessions whose deadline has passed; returns how many were due (L7)."""
        self.flush()
        try:
            due = self.store.due(self._clock(), most)
        except StoreUnavailable:
            return 0
        for number in due:
            self.submit(Expire(f"#{number}"), None, _ignore)
        self.flush()
        return len(due)

    def forget(self) -> None:
        """Drop all caches and take up new tariffs: the store was changed by provisioning."""
        self.flush()
        self.cache.clear()
        self.tariffs.reload()
        self._emergency_id = self.store.account_id(EMERGENCY_ACCOUNT)

    # -- deciding ---------------------------------------------------------------------------------

    def _decide(self, request: Request) -> bool:
        """Decide a request on cached state and stage it; False when something must be loaded first."""
        command = request.command
        cache = self.cache
        session = cache.find(_names(command))
        if session is None and not request.is_loaded:
            return False
        account_id = session.head.account_id if session is not None else request.account_id
        if isinstance(command, Begin):
            if command.emergency and account_id is None:
                account_id = self._emergency_id
            if session is None:
                if self.is_draining and not command.emergency:
                    self._stage(request, NOTHING, Denial(Reason.DRAINING))
                    return True
                command = self._with_early_start(command)
        cached = cache.accounts.get(account_id) if account_id is not None else None
        if cached is None and account_id is not None and not request.is_loaded:
            return False
        if isinstance(command, Adjust) and self._is_moved(request, command, account_id):
            return True
        accounts = () if cached is None else (cached.account,)
        if session is not None and request.account_id not in (None, session.head.account_id):
            decision: Decision = (NOTHING, Denial(Reason.FOREIGN_SESSION))
        else:
            decision = decide(accounts, session, command, self.tariffs, request.now, self._next_session)
        self._stage(request, *decision)
        return True

    def _stage(self, request: Request, changes: Changes, answer: Answer) -> None:
        """Apply what a decision moves to the cache and to the batch that is being gathered."""
        batch = self._batch
        request.answer = answer
        self._staged.append(request)
        for account in changes.accounts:
            cached = self.cache.accounts[account.profile.id]
            cached.account = account
            batch.accounts[account.profile.id] = (account, cached.version)
        session = changes.session
        if session is not None:
            self.cache.put_session(session)
            batch.put_session(session, changes.is_new)
            if changes.is_new:
                self._next_session += 1
            if changes.settles:
                batch.settled[session.head.id] = session
            if changes.new_aliases:
                batch.aliases.extend((alias, session.head.id) for alias in changes.new_aliases)
        if changes.entries:
            batch.entries.extend(changes.entries)
        if changes.early_start is not None:
            start = changes.early_start
            batch.early_starts.append(start)
            if len(self._early) < EARLY_STARTS_MAX:
                self._early.update((key, (start.started_us, start.deadline_us)) for key in start.keys)
        if changes.unrated is not None:
            batch.unrated.append((self._next_session, changes.unrated))
            self._next_session += 1
        for notice in changes.notices:
            self.counters[notice.kind, notice.cause] += notice.amount

    def _with_early_start(self, command: Begin) -> Begin:
        """A Begin whose Start came first opens at once (S5)."""
        if not self._early:
            return command
        names = (command.key, *command.aliases)
        used = {name: self._early.pop(name) for name in names if name in self._early}
        self._batch.early_used.update(used)
        live = [started for started, deadline in used.values() if deadline > self._clock()]
        return command._replace(early_start_us=live[0]) if live else command

    def _is_moved(self, request: Request, command: Adjust, account_id: int | None) -> bool:
        """Whether a movement of money with this key was made or is staged: then the answer says so (S13)."""
        digest = f"{account_id}:{command.amount_micro}:{command.cause}"
        before = self._movements.get(command.idempotency_key) or self.store.movement(command.idempotency_key)
        if before is None:
            result = json.dumps({"account": account_id, "amount": command.amount_micro})
            self._movements[command.idempotency_key] = (digest, result)
            self._batch.idempotency.append((command.idempotency_key, digest, result, request.now))
            return False
        if before[0] != digest:
            self._stage(request, NOTHING, Denial(Reason.CONFLICT, "the idempotency key was used for something else"))
            return True
        cached = self.cache.accounts.get(account_id) if account_id is not None else None
        balance = cached.account.shown_micro if cached else 0
        currency = cached.account.profile.currency if cached else ""
        self._stage(request, NOTHING, Ack(Outcome.REPEAT, 0, 0, balance, currency))
        return True

    # -- loading ----------------------------------------------------------------------------------

    def _load_and_decide(self, request: Request) -> None:
        """Bring in the account and the session a request names, then decide it."""
        command = request.command
        try:
            names = _names(command)
            session = self.cache.find(names) or self.store.session(names, self.tariffs)
            account_id = session.head.account_id if session is not None else request.account_id
            if isinstance(command, Begin) and command.emergency and account_id is None:
                account_id = self._emergency_id
            if account_id is not None and account_id not in self.cache.accounts:
                self._load_account(account_id)
            if session is not None and session.head.id not in self.cache.sessions:
                self.cache.put_session(session)
            request.is_loaded = True
            self._decide(request)
        except StoreUnavailable as error:
            self._store_failed(error)
            self._staged.append(request)

    def _load_account(self, account_id: int) -> None:
        loaded = self.store.account(account_id)
        if loaded is not None:
            self.cache.put_account(*loaded)

    # -- committing -------------------------------------------------------------------------------

    def _commit(self) -> None:
        """One transaction for everything staged; then the answers."""
        batch, self._batch = self._batch, Batch()
        staged, self._staged = self._staged, []
        restarts, self._restart_replies = self._restart_replies, []
        self._movements.clear()
        is_durable = True
        if not batch.is_empty:
            try:
                self.store.commit(batch, self._clock())
            except StoreUnavailable as error:
                is_durable = False
                self._store_failed(error)
                self._drop(batch)
            else:
                self.is_store_up = True
                self._versions_moved(batch.accounts)
                self.cache.trim()
        self.counters["batches", ""] += 1
        self.counters["requests", ""] += len(staged)
        for request in staged:
            self._reply(request, is_durable)
        for reply in restarts:
            self._call(reply, is_durable)

    def _reply(self, request: Request, is_durable: bool) -> None:
        answer = request.answer
        if not is_durable:
            answer = self._without_store(request)
        elif isinstance(answer, Denial):
            self.counters["denied", answer.reason] += 1
        elif isinstance(answer, Grant):
            self.counters["granted", ""] += 1
        self._call(request.reply, answer)

    def _without_store(self, request: Request) -> Answer:
        """What a request gets that could not be made durable: only an emergency call goes through (S21)."""
        command = request.command
        if isinstance(command, Begin) and command.emergency:
            line = command.lines[0]
            cap = command.policy.session_cap_s
            return Grant(0, (LineGrant(line.key, cap, cap, 0, False, True),), 0, "", 1)
        return Denial(Reason.STORE_DOWN)

    def _call(self, reply: Callable[[Any], None], value: Any) -> None:
        try:
            reply(value)
        except Exception as error:
            self._on_error(error)

    def _versions_moved(self, accounts: dict[int, tuple[Account, int]]) -> None:
        for number, (_, version) in accounts.items():
            cached = self.cache.accounts.get(number)
            if cached is not None:
                cached.version = version + 1

    def _drop(self, batch: Batch) -> None:
        """Forget everything a failed batch touched."""
        for number in batch.accounts:
            self.cache.drop_account(number)
        for session in (*batch.sessions.values(), *batch.new_sessions.values()):
            self.cache.drop_account(session.head.account_id)
        for start in batch.early_starts:
            for key in start.keys:
                self._early.pop(key, None)
        self._early.update(batch.early_used)
        for identity, epoch, _, _ in batch.restarts:
            self._epochs[identity] = (epoch - 1, 0)

    def _store_failed(self, error: Exception) -> None:
        self.is_store_up = False
        self.counters["store_failed", ""] += 1
        self._on_error(error)


def _ignore(_answer: Answer) -> None:
    """The sweeper asks for no answer."""


def _names(command: Command) -> tuple[str, ...]:
    """The names under which the session of a command may be known, the first known one decides."""
    if isinstance(command, Begin | Update | End):
        return (command.key, *command.aliases)
    if isinstance(command, Event):
        return (command.refunds,) if command.action is Action.REFUND else (command.key,)
    return () if isinstance(command, Adjust) else (command.key,)
