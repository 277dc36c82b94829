"""
Service while the store is down, for clients whose policy allows it: `allow_capped` (SEMANTICS S11, S12).

Theory.  An answer needs something durable.  While the store is away that is a local journal: a grant of a
few seconds on an account as last known, bounded by a total of money per process; and the reports of the sessions
that were granted so.  When the store is back the journal is replayed in order, each record with its original instant,
one after the other; reports that arrive meanwhile are appended to it, so a session never has two histories.
Every record is known again by the keys and identities of its session, so a replay that a crash cut short is
done once more from the start and moves nothing twice.  Then the file is emptied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aaa.engine.answers import Ack, Answer, Denial, Grant, LineGrant, Outcome
from aaa.engine.commands import Begin, Capped, Command, End, Identity, Update
from aaa.engine.model import Account
from aaa.engine.outage import capped
from aaa.engine.pool import joined, parted
from aaa.engine.ports import Tariffs
from aaa.engine.terms import Reason
from aaa.errors import StoreUnavailable
from aaa.node.desk import Request, names_of
from aaa.node.journal import Journal, Record

if TYPE_CHECKING:
    from aaa.node.node import ChargingNode

RECORDS_MAX = 100_000

Submit = Callable[[Command, int, int, Callable[[Answer], None]], None]


class Taken:
    """A session that was granted while the store was down."""

    def __init__(self, session_id: int, account_id: int, identity: Identity, answer: Answer) -> None:
        self.session_id = session_id
        self.account_id = account_id
        self.answer = answer
        self.identity = identity
        self.reports: set[Identity] = set()


class Outage:
    """
    What one process answers for on its own.

    Args:
        numbers: New session ids.
        exposure_max_micro: Most money that may be granted so, per currency.
        submit: Takes a command with its payer and its original instant, as a request of its own.
        on_error: Told what the journal could not take, or the store refused.
    """

    def __init__(
        self,
        journal: Journal,
        tariffs: Tariffs,
        numbers: Iterator[int],
        exposure_max_micro: int,
        submit: Submit,
        on_error: Callable[[Exception], None],
    ) -> None:
        self.exposure_micro: Counter[str] = Counter()
        self._journal = journal
        self._tariffs = tariffs
        self._numbers = numbers
        self._exposure_max_micro = exposure_max_micro
        self._submit = submit
        self._on_error = on_error
        self._accounts: dict[int, Account] = {}  # as last known, with what was granted since
        self._sessions: dict[str, Taken] = {}
        self._replayed = 0
        self._is_replaying = False
        self._records = journal.read()
        for record in self._records:
            self._take(record, Ack(Outcome.DONE, record.session_id))

    def knows(self, names: Sequence[str]) -> bool:
        """Whether a session is journalled under one of these names: its commands belong here."""
        return bool(self._sessions) and self._find(names) is not None

    def remember(self, account: Account) -> None:
        """An account whose commit failed: what the cache forgets now is the last that is known of it."""
        self._accounts.setdefault(account.profile.id, account)

    def answer(
        self, command: Command, names: Sequence[str], account: Account | None, now: int, pool: Account | None = None
    ) -> Answer | None:
        """
        Answer a command the store cannot take, or None where only the outage policy speaks.

        Args:
            account: The payer as cached, None when it is not.
            pool: The pool it spends from, where it does.

        A journal that fails is told to `on_error`, and the command is refused.
        """
        taken = self._find(names)
        if isinstance(command, Begin):
            if taken is not None:
                return taken.answer if taken.identity == command.identity and isinstance(taken.answer, Grant) else None
            return self._begin(command, account, pool, now)
        if taken is None or not isinstance(command, Update | End):
            return None
        if command.identity not in taken.reports and not self._append(Record(now, taken.account_id, command)):
            return None
        return Ack(Outcome.DONE, taken.session_id)

    def payer(self, account_id: int | None) -> Account | None:
        """An account as this outage knows it."""
        return None if account_id is None else self._accounts.get(account_id)

    def replay(self) -> None:
        """The store is back: take up where the last replay stopped, until the journal is empty."""
        if self._is_replaying:
            return
        if self._replayed == len(self._records):
            self._forget()
            return
        record = self._records[self._replayed]
        command: Command = record.command
        if isinstance(command, Begin):
            command = Capped(command, record.session_id, record.granted)
        self._is_replaying = True
        self._submit(command, record.account_id, record.now_us, self._done)

    def close(self) -> None:
        """Give the journal back; what is in it waits for the next start."""
        self._journal.close()

    def _done(self, answer: Answer) -> None:
        self._is_replaying = False
        if isinstance(answer, Denial):
            if answer.reason is Reason.STORE_DOWN:
                return  # the next turn tries again
            self._on_error(StoreUnavailable(f"outage journal: a record was refused: {answer.reason.value}"))
        self._replayed += 1
        self.replay()

    def _forget(self) -> None:
        if self._records:
            self._journal.truncate()
        self._records.clear()
        self._replayed = 0
        self._sessions.clear()
        self._accounts.clear()
        self.exposure_micro.clear()

    def _begin(self, command: Begin, account: Account | None, pool: Account | None, now: int) -> Answer | None:
        """Grant a new session on its account as last known, within the exposure of this process."""
        if account is None or command.identity.number[:1] not in ("b", "d") or command.transfer:
            return None
        session_id = next(self._numbers)
        payer = account if pool is None else joined(account, pool)
        changes, answer = capped(payer, command, self._tariffs, session_id, now)
        if not isinstance(answer, Grant) or changes.session is None:
            return None  # what was last known is not enough to say no: another node may know better
        exposure, currency = changes.session.reserved_micro, payer.profile.currency
        if self.exposure_micro[currency] + exposure > self._exposure_max_micro:
            return None
        granted = max(line.total for line in answer.lines if isinstance(line, LineGrant))
        record = Record(now, account.profile.id, command, session_id, granted, exposure, currency)
        if not self._append(record, answer):
            return None
        after = changes.accounts[0]
        if pool is not None:
            after, self._accounts[pool.profile.id], _ = parted(account, pool, after, ())
        self._accounts[account.profile.id] = after
        return answer

    def _append(self, record: Record, answer: Answer | None = None) -> bool:
        if len(self._records) >= RECORDS_MAX:
            return False
        try:
            self._journal.append(record)
        except StoreUnavailable as error:
            self._on_error(error)
            return False
        self._records.append(record)
        self._take(record, answer)
        return True

    def _take(self, record: Record, answer: Answer | None) -> None:
        """Know a record: a session by all its names, a report by its identity."""
        command = record.command
        names = (command.key, *command.aliases)
        if isinstance(command, Begin):
            taken = Taken(record.session_id, record.account_id, command.identity, answer or Ack(Outcome.DONE))
            self._sessions.update(dict.fromkeys((*names, f"#{record.session_id}"), taken))
            self.exposure_micro[record.currency] += record.exposure_micro
            return
        found = self._find(names)
        if found is not None:
            found.reports.add(command.identity)
            self._sessions.update(dict.fromkeys(names, found))

    def _find(self, names: Sequence[str]) -> Taken | None:
        return next((self._sessions[name] for name in names if name in self._sessions), None)


def outside_the_store(node: ChargingNode, request: Request, outage: Outage) -> Answer | None:
    """What the journal answers for: sessions it holds, and while the store is down new ones on known accounts."""
    command = request.command
    names = names_of(command)
    account = pool = None
    if not outage.knows(names):
        if node.is_store_up or node.cache.find(names) is not None:
            return None
        if node.is_draining:
            return Denial(Reason.DRAINING)
        account = _last_known(node, request.account_id, outage)
        pool_id = None if account is None else account.profile.pool_id
        if pool_id is not None:
            pool = _last_known(node, pool_id, outage)
            account = None if pool is None else account
    return outage.answer(command, names, account, request.arrived_us, pool)


def _last_known(node: ChargingNode, number: int | None, outage: Outage) -> Account | None:
    cached = node.cache.accounts.get(number) if number is not None else None
    return outage.payer(number) or (None if cached is None else cached.account)
