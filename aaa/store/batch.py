"""
A batch: what a group of decisions moved, by account, as rows ready to be written in one transaction.

The node fills it while an earlier one is being committed.  Its unit is the stage of one account, because
another node may have moved that account: then its stage is taken out whole, decisions, answers and all,
and decided again (SEMANTICS S10).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aaa.engine.changes import EarlyStart, Entry, UnitEntry, Unrated
from aaa.engine.model import Account, Session
from aaa.store.codec import STATE_NUMBER, body_text, dumps, head_text, line_row, parties_text
from rating.funding import Bucket

Row = tuple[Any, ...]
NOBODY = 0  # the stage of what concerns no account: early starts, restarts, unrated usage


class Rare:
    """What few decisions move: a stage has it when there is any of it."""

    __slots__ = ("aliases", "buckets", "early_starts", "movements", "restarts", "units", "unrated", "windows")

    def __init__(self) -> None:
        self.aliases: list[Row] = []
        self.units: list[UnitEntry] = []
        self.buckets: dict[int, Bucket] = {}  # those that moved
        self.movements: list[Row] = []
        self.early_starts: list[EarlyStart] = []
        self.unrated: list[tuple[int, Unrated]] = []
        self.windows: Account | None = None  # the account, when its windows moved
        self.restarts: list[Row] = []  # identity, epoch, event time, key prefix


class Before:
    """What a batch changes, as it was before the batch: kept only where an outbox tells the difference."""

    __slots__ = ("account", "sessions")

    def __init__(self) -> None:
        self.account: Account | None = None
        self.sessions: dict[int, Session | None] = {}


class Stage:
    """
    Everything a batch does to one account, and the requests that wait for it.

    `account` is None when nothing changes: its version takes part in the check all the same, so that a
    denial is never given on a stale balance.  `is_moved` says that its sums changed, not only a session.
    `family` is the pool whose stage and this one are decided on each other: they are taken out together.
    `absent` are the names under which a decision supposed that no session is stored: the account loses when
    one is.  Most stages are one report: what it does not move is not made.
    """

    version = 0
    account: Account | None = None
    is_moved = False
    family = 0
    absent: tuple[str, ...] = ()
    new_sessions: dict[int, Session] | None = None
    settled: dict[int, Session] | None = None
    entries: tuple[Entry, ...] = ()
    rare: Rare | None = None
    before: Before | None = None

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self.requests: list[Any] = []
        self.sessions: dict[int, Session] = {}  # those that are stored already

    def rarely(self) -> Rare:
        """What few decisions move, to be added to."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    def put_session(self, session: Session, is_new: bool) -> None:
        """Stage the latest value of a session."""
        number, made = session.head.id, self.new_sessions
        if made is None:
            if not is_new:
                self.sessions[number] = session
                return
            made = self.new_sessions = {}
        if is_new or number in made:
            made[number] = session
        else:
            self.sessions[number] = session

    def settle(self, session: Session) -> None:
        """Stage the CDR of a session."""
        if self.settled is None:
            self.settled = {}
        self.settled[session.head.id] = session

    def begun(self) -> Iterable[Session]:
        """The sessions that are stored for the first time."""
        return () if self.new_sessions is None else self.new_sessions.values()

    def charged(self) -> Iterable[Session]:
        """The sessions that have a CDR to be written."""
        return () if self.settled is None else self.settled.values()


Batch = dict[int, Stage]


def session_insert(session: Session) -> Row:
    """A session as the values of its INSERT."""
    head = session.head
    return (
        head.id,
        head.account_id,
        head.key,
        head.origin,
        STATE_NUMBER[session.state],
        session.deadline_us,
        session.accrued_micro,
        session.reserved_micro,
        head_text(head),
        body_text(session),
    )


def session_update(session: Session) -> Row:
    """A session as the values of its UPDATE."""
    return (
        STATE_NUMBER[session.state],
        session.deadline_us,
        session.accrued_micro,
        session.reserved_micro,
        body_text(session),
        session.head.id,
    )


def account_update(account: Account, version: int) -> Row:
    """An account as the values of its compare-and-set."""
    return (
        account.balance_micro,
        account.accrued_micro,
        account.reserved_micro,
        account.live_sessions,
        account.entry_no,
        account.profile.id,
        version,
    )


def windows_text(stage: Stage) -> str:
    """The windows of an account as its `windows` column, empty when they did not move."""
    moved = stage.rare.windows if stage.rare is not None else None
    return dumps(moved.windows) if moved is not None else ""


def cdr_row(session: Session, account: Account | None) -> Row:
    """The CDR of a settled session of an account: what it used and what was charged, with the lines that explain it."""
    head = session.head
    currency, pool_id = ("", None) if account is None else (account.profile.currency, account.profile.pool_id)
    last = session.lines[-1]
    assume = session.assumed and head.policy.assume_granted
    return (
        head.id,
        head.account_id,
        head.key,
        head.origin,
        session.revision,
        head.begun_us,
        session.ended_us,
        last.head.offset + (last.granted if assume else last.used),
        sum(line.posted_micro for line in session.lines),
        currency,
        session.cause,
        int(session.assumed),
        int(session.implausible),
        session.reported,
        parties_text(head),
        dumps([line_row(line) for line in session.lines]),
        pool_id,
    )


def unrated_row(number: int, record: Unrated) -> Row:
    """The CDR of usage that nobody is known to pay for (S19)."""
    begun_us = max(0, record.at_us - record.used * 1_000_000)
    fixed = (number, None, record.key, record.origin, 0, begun_us, record.at_us, record.used, 0, "", record.cause)
    named = (record.protocol, "", record.subscriber, record.caller, record.called)  # as a session's head begins
    return (*fixed, 0, 0, record.used, dumps(named) if record.protocol else "[]", "[]", None)
