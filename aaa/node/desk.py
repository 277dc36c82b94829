"""
The desk: decides requests on cached state and stages what they move (DESIGN 5).

The node has one desk over its cache; the lock lane makes one over the rows it holds locked.  A decision
sees the account as staged by those before it, and its answer waits in the stage of its account.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from aaa.engine.answers import Ack, Answer, Denial, Grant, LineGrant, Outcome
from aaa.engine.changes import NOTHING, Changes, Decision, EarlyStart
from aaa.engine.commands import Adjust, Begin, Capped, Command, End, Event, Update
from aaa.engine.decide import decide
from aaa.engine.identity import is_other_call
from aaa.engine.model import Account, Session
from aaa.engine.pool import joined, parted
from aaa.engine.ports import Tariffs
from aaa.engine.terms import Reason
from aaa.errors import InvariantBroken
from aaa.node.cache import Cache, Cached
from aaa.store.batch import NOBODY, Batch, Before, Stage
from aaa.store.names import NameFilter
from aaa.store.port import Loaded, Wanted

Reply = Callable[[Answer], None]
Defer = Callable[["Request", int, int], None]
_FOREIGN = Denial(Reason.FOREIGN_SESSION)
_NOT_THEIRS: Decision = (NOTHING, _FOREIGN)
_UNANSWERED = Denial(Reason.STORE_DOWN)
_NOT_ITS_OWN = Denial(Reason.INVALID, "the account spends from a pool: move the money there")


class Request:
    """One command on its way: who asked, when, and where the answer goes."""

    is_replayed = False  # from the journal of an outage, which must not answer it
    is_loaded = False
    is_answered = False
    early_start_us = 0  # as the store knows it
    again = 0  # how often it was decided in vain: its account had moved, or one before it lost
    movement: tuple[str, str] | None = None  # what was moved under an Adjust's key before
    answer: Answer = _UNANSWERED

    def __init__(self, command: Command, account_id: int | None, reply: Reply, now: int, order: int) -> None:
        self.command = command
        self.account_id = account_id
        self.reply = reply
        self.now = now
        self.arrived_us = now  # later than `now` for what is replayed
        self.order = order  # of arrival

    def wanted(self, cache: Cache | None, emergency_id: int | None) -> Wanted:
        """What the store must be asked for, beside what is cached."""
        command = self.command
        account_id = self.account_id
        if account_id is None and isinstance(command, Begin) and command.emergency:
            account_id = emergency_id
        movement = command.idempotency_key if isinstance(command, Adjust) else ""
        return Wanted(names_of(command), account_id, movement, cache is not None and cache.has(account_id))

    def take(self, found: Loaded) -> None:
        """Take what the store knows beside the account and the session; from now on it can be decided."""
        self.early_start_us = found.early_start_us
        self.movement = found.movement
        self.is_loaded = True

    def without_store(self) -> Answer:
        """What a request gets that could not be made durable: only an emergency call goes through (S21)."""
        command = self.command
        if isinstance(command, Begin) and command.emergency:
            cap = command.policy.session_cap_s
            return Grant(0, (LineGrant(command.lines[0].key, cap, cap, 0, False, True),), 0, "", 1)
        return Denial(Reason.STORE_DOWN)


def names_of(command: Command) -> tuple[str, ...]:
    """The names under which the session of a command may be known; the first known one decides."""
    if isinstance(command, (Update, Begin, End, Capped)):
        return (command.key, *command.aliases) if command.aliases else (command.key,)
    if isinstance(command, Event):
        return (command.refunds or command.key,)
    return () if isinstance(command, Adjust) else (command.key,)


class Desk:
    """
    Decisions over a cache.

    Args:
        numbers: New session ids.
        early: Early starts that this node has seen, by key: instant and deadline (S5).
        stored: The names sessions are stored under, where nobody else can store one.
        is_alone: No other node writes to the store: an account whose sums did not move needs no new version.

    `defer` takes the requests of accounts that spend from a pool, with account and pool, where two rows cannot be won
    together: decisions on them are made under lock.
    """

    def __init__(
        self,
        cache: Cache,
        tariffs: Tariffs,
        numbers: Iterator[int],
        counters: defaultdict[tuple[str, str], int],
        early: dict[str, tuple[int, int]],
        stored: NameFilter | None = None,
        is_alone: bool = False,
    ) -> None:
        self.cache = cache
        self.tariffs = tariffs
        self.batch: Batch = {}
        self.is_draining = False
        self.keeps_before = False  # for the outbox
        self.emergency_id: int | None = None
        self.defer: Defer | None = None
        self._numbers = numbers
        self._number = next(numbers)
        self._counters = counters
        self._early = early
        self._stored = stored
        self._is_alone = is_alone
        self._movements: dict[str, str] = {}

    def take(self) -> Batch:
        """The batch that was gathered, with the versions its accounts must still have; a new one begins."""
        batch, self.batch = self.batch, {}
        self._movements.clear()
        accounts = self.cache.accounts
        for number, stage in batch.items():
            cached = accounts.get(number)
            if cached is not None:
                stage.version = cached.version
                if stage.account is not None:
                    if self._is_alone and not stage.is_moved:
                        stage.account = None  # only a session changed, and nobody else could have
                    else:
                        stage.account = cached.account
                        cached.version += 1  # assumed to succeed; a loser is dropped and loaded anew
        return batch

    def decide(self, request: Request) -> bool:
        """Decide a request on cached state and stage it; False when something must be loaded first."""
        names = names_of(request.command)
        session = self.cache.find(names)
        if session is None:
            return self._decide_without(request, names)
        if session.aliases and is_other_call(session, names):
            return self._decide_without(request, names) if request.is_loaded else self._must_load(names)
        account_id = session.head.account_id
        cached = self.cache.accounts.get(account_id)
        if cached is None and not request.is_loaded:
            return self._must_load(names)
        if cached is not None and cached.account.profile.pool_id is not None:
            return self._decide_member(request, names, request.command, cached, session)
        if request.account_id is not None and request.account_id != account_id:
            changes, answer = _NOT_THEIRS
        else:
            accounts = () if cached is None else (cached.account,)
            changes, answer = decide(accounts, session, request.command, self.tariffs, request.now, self._number)
        self._stage(request, account_id if cached is not None else NOBODY, changes, answer)
        return True

    def _decide_without(self, request: Request, names: tuple[str, ...]) -> bool:
        """Decide a request whose session is not known here."""
        command, account_id = request.command, request.account_id
        is_supposed = False
        if not request.is_loaded and not self._is_new(names):
            is_supposed = self._may_be_new(request, names)
            if not is_supposed:
                return False
        if isinstance(command, Begin):
            if command.emergency and account_id is None:
                account_id = self.emergency_id
            elif self.is_draining and not command.emergency:
                self._stage(request, NOBODY if account_id is None else account_id, NOTHING, Denial(Reason.DRAINING))
                if is_supposed and account_id is not None:
                    self.batch[account_id].absent += names
                return True
            command = self._with_early_start(request, command)
        cached = None
        if account_id is not None:
            cached = self.cache.accounts.get(account_id)
            if cached is None and not request.is_loaded:
                return self._must_load(names)
        number = account_id if account_id is not None and cached is not None else NOBODY
        if isinstance(command, Adjust):
            moved = self._moved_before(request, command, account_id)
            if moved is not None:
                self._stage(request, NOBODY if account_id is None else account_id, NOTHING, moved)
                return True
        if cached is not None and cached.account.profile.pool_id is not None:
            return self._decide_member(request, names, command, cached, None)
        accounts = () if cached is None else (cached.account,)
        changes, answer = decide(accounts, None, command, self.tariffs, request.now, self._number)
        self._stage(request, number, changes, answer)
        if is_supposed and account_id is not None:
            self.batch[account_id].absent += names
        if isinstance(command, Adjust) and changes.entries:
            self._note_movement(request, command, changes.entries[0].account_id)
        return True

    def _decide_member(
        self, request: Request, names: tuple[str, ...], command: Command, cached: Cached, session: Session | None
    ) -> bool:
        """Decide a request on an account that spends from a pool: on the two as one, and stage what each got."""
        own = cached.account
        number, pool_id = own.profile.id, own.profile.pool_id or 0
        if self.defer is not None:
            self.defer(request, number, pool_id)
            return True
        pool = self.cache.accounts.get(pool_id)
        if pool is None:
            if request.is_loaded:
                raise InvariantBroken(f"account {number} was loaded without its pool {pool_id}")
            return self._must_load(names)
        changes = NOTHING
        answer: Answer = _FOREIGN
        if session is None or request.account_id is None or request.account_id == number:
            if isinstance(command, Adjust):
                answer = _NOT_ITS_OWN
            else:
                both = joined(own, pool.account)
                changes, answer = decide((both,), session, command, self.tariffs, request.now, self._number)
                if changes.accounts:
                    changes = self._parted(changes, cached, pool, changes.accounts[0] is both)
        self._stage(request, number, changes, answer)
        return True

    def _parted(self, changes: Changes, cached: Cached, pool: Cached, is_unmoved: bool) -> Changes:
        """What a decision moves of a member; what it moves of the pool is staged."""
        own, number = cached.account, pool.account.profile.id
        if is_unmoved:
            return replace(changes, accounts=(own,))
        member, payer, entries = parted(own, pool.account, changes.accounts[0], changes.entries)
        for each in (own.profile.id, number):
            stage = self.batch.get(each)
            if stage is None:
                stage = self.batch[each] = Stage(each)
            stage.family = number
        if self.keeps_before:
            self._keep_before(self.batch[number], NOTHING)
        self._move(self.batch[number], payer)
        return replace(changes, accounts=(member,), entries=entries)

    def _must_load(self, names: tuple[str, ...]) -> bool:
        self.expect(names)
        return False

    def expect(self, names: tuple[str, ...]) -> None:
        """A request waits to be loaded: what comes behind it under its names has to wait too."""
        if self._stored is not None:
            for name in names:
                self._stored.add(name)

    def _is_new(self, names: tuple[str, ...]) -> bool:
        """Whether no session can be stored, nor waited for, under these names."""
        return self._stored is not None and bool(names) and not self._stored.may_hold(names)

    def _may_be_new(self, request: Request, names: tuple[str, ...]) -> bool:
        """
        Whether to suppose that no session is stored under these names, and have the batch look.

        What begins a session rarely names one that exists, so it is cheaper to decide again when it did than to read
        every time; but not on an account that other nodes move, which would lose.  An early start of this node has to
        be read: the batch would find its row.
        """
        number, cache = request.account_id, self.cache
        if self._stored is not None or number not in cache.accounts or cache.is_doubted(number):
            return False
        command = request.command
        if not isinstance(command, Begin) and (not isinstance(command, Event) or command.refunds):
            return False
        return not any(name in self._early or name[0] == "#" for name in names)

    def _stage(self, request: Request, number: int, changes: Changes, answer: Answer) -> None:
        """Apply what a decision moves to the cache and to the stage of its account, `NOBODY` for none."""
        stage = self.batch.get(number)
        if stage is None:
            stage = self.batch[number] = Stage(number)
        request.answer = answer
        stage.requests.append(request)
        if changes is NOTHING:
            return
        if self.keeps_before:
            self._keep_before(stage, changes)
        for account in changes.accounts:
            self._move(stage, account)
        session = changes.session
        if session is not None:
            self.cache.put_session(session)
            stage.put_session(session, changes.is_new)
            if changes.is_new:
                self._number = next(self._numbers)
            if changes.settles:
                stage.settle(session)
            for alias in changes.new_aliases:
                stage.rarely().aliases.append((alias, session.head.id))
        if changes.entries:
            stage.entries += changes.entries
        if changes.units:
            stage.rarely().units.extend(changes.units)
        if changes.early_start is not None:
            self._note_start(stage, changes.early_start)
        if changes.unrated is not None:
            stage.rarely().unrated.append((self._number, changes.unrated))
            self._number = next(self._numbers)
        for notice in changes.notices:
            self._counters[notice.kind, notice.cause] += notice.amount

    def _move(self, stage: Stage, account: Account) -> None:
        """Stage the next value of an account."""
        cached = self.cache.accounts[account.profile.id]
        stage.account = account
        if account is not cached.account:
            stage.is_moved = True
            if account.buckets is not cached.account.buckets:
                stage.rarely().buckets.update((bucket.id, bucket) for bucket in account.buckets)
            if account.windows is not cached.account.windows:
                stage.rarely().windows = account
            cached.account = account

    def _keep_before(self, stage: Stage, changes: Changes) -> None:
        """Keep what this batch changes as it was before the batch."""
        if stage.before is None:
            stage.before = Before()
        before = stage.before
        if before.account is None and stage.account_id:
            before.account = self.cache.accounts[stage.account_id].account
        if changes.session is not None:
            number = changes.session.head.id
            before.sessions.setdefault(number, self.cache.sessions.get(number))

    def _note_start(self, stage: Stage, start: EarlyStart) -> None:
        """Remember a Start that came before its Begin."""
        stage.rarely().early_starts.append(start)
        self._early.update((key, (start.started_us, start.deadline_us)) for key in start.keys)

    def _with_early_start(self, request: Request, command: Begin) -> Begin:
        """A Begin whose Start came first opens at once (S5)."""
        started_us = request.early_start_us
        if self._early and not started_us:
            for name in (command.key, *command.aliases):
                known = self._early.get(name)
                if known is not None and known[1] > request.now:
                    started_us = known[0]
                    break
        return replace(command, early_start_us=started_us) if started_us else command

    def _moved_before(self, request: Request, command: Adjust, account_id: int | None) -> Answer | None:
        """The answer if money was moved with this key before, here or in the store (S13)."""
        before = self._movements.get(command.idempotency_key) or (request.movement and request.movement[0])
        if before is None:
            return None
        if before != _digest(command, account_id):
            return Denial(Reason.CONFLICT, "the idempotency key was used for something else")
        cached = self.cache.accounts.get(account_id) if account_id is not None else None
        balance = cached.account.shown_micro if cached else 0
        return Ack(Outcome.REPEAT, 0, 0, balance, cached.account.profile.currency if cached else "")

    def _note_movement(self, request: Request, command: Adjust, account_id: int) -> None:
        """Remember that money was moved under this key."""
        digest = _digest(command, account_id)
        self._movements[command.idempotency_key] = digest
        result = json.dumps({"account": account_id, "amount": command.amount_micro})
        self.batch[account_id].rarely().movements.append((command.idempotency_key, digest, result, request.now))


def _digest(command: Adjust, account_id: int | None) -> str:
    return f"{account_id}:{command.amount_micro}:{command.cause}"
