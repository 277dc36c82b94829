"""
A batch: what a group of decisions moved, as rows ready to be written in one transaction (DESIGN 5).

The node fills it while an earlier one is being committed.  Sessions and accounts are kept as the latest
value, so a session that was touched three times in a batch is written once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aaa.engine.model import Account, EarlyStart, Entry, Session, Unrated
from aaa.store.codec import STATE_NUMBER, body_text, dumps, head_text, line_row

Row = tuple[Any, ...]


@dataclass(slots=True)
class Batch:
    """Everything one transaction writes; empty parts are skipped."""

    accounts: dict[int, tuple[Account, int]] = field(default_factory=dict)  # id -> new sums, version seen
    new_sessions: dict[int, Session] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    aliases: list[Row] = field(default_factory=list)
    settled: dict[int, Session] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    early_starts: list[EarlyStart] = field(default_factory=list)
    early_used: dict[str, tuple[int, int]] = field(default_factory=dict)
    unrated: list[tuple[int, Unrated]] = field(default_factory=list)
    idempotency: list[Row] = field(default_factory=list)
    restarts: list[Row] = field(default_factory=list)  # identity, epoch, event time, key prefix, now

    def put_session(self, session: Session, is_new: bool) -> None:
        """Stage the latest value of a session."""
        number = session.head.id
        if is_new or number in self.new_sessions:
            self.new_sessions[number] = session
        else:
            self.sessions[number] = session

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.accounts
            or self.new_sessions
            or self.sessions
            or self.entries
            or self.early_starts
            or self.unrated
            or self.restarts
        )


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


def cdr_row(session: Session, currency: str) -> Row:
    """The CDR of a settled session: what it used and what was charged, with the lines that explain it."""
    head = session.head
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
        head_text(head),
        dumps([line_row(line) for line in session.lines]),
    )


def unrated_row(number: int, record: Unrated) -> Row:
    """The CDR of usage that nobody is known to pay for (S19)."""
    return (
        number,
        None,
        record.key,
        record.origin,
        0,
        record.at_us - record.used * 1_000_000,
        record.at_us,
        record.used,
        0,
        "",
        record.cause,
        0,
        0,
        record.used,
        "[]",
        "[]",
    )
