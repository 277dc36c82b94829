"""
Events: what a batch did that others want to know, as rows written in the same transaction.

An event is written exactly if what it tells was written.  Without a consumer there are no rows and no work.  Each
consumer has rows of its own, so that one that is away holds up nobody else.

Every body has an `id` that is the same whenever the same thing is told again: delivery is at least once, and
whoever must not count twice remembers it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert

from aaa.engine.changes import Entry
from aaa.engine.model import Account, Session
from aaa.engine.terms import State
from aaa.store import tables
from aaa.store.batch import Before, Row, Stage
from aaa.store.happenings import (
    ACCOUNT_CHANGED,
    BALANCE_EXHAUSTED,
    BALANCE_LOW,
    SESSION_SETTLED,
    SESSION_STARTED,
    AccountChanged,
    BalanceExhausted,
    BalanceLow,
    Body,
    SessionSettled,
    SessionStarted,
)

_CHANGING = frozenset({"opening", "topup", "adjust"})


class Consumer(NamedTuple):
    """
    One who wants events.

    Args:
        kinds: Which ones.
        low_micro: `balance.low` is told when what is left falls below this; None: never.
        exhausted_micro: `balance.exhausted` is told when what is left falls to this or below.
    """

    name: str
    kinds: frozenset[str]
    low_micro: int | None = None
    exhausted_micro: int = 0


def rows(stages: Iterable[Stage], consumers: Sequence[Consumer], now: int) -> list[Row]:
    """The rows of a batch: account, consumer, kind, instant, body; the account says whether they are written."""
    if not consumers:
        return []
    found: list[Row] = []
    for stage in stages:
        if stage.account_id:
            for kind, body, consumer in _events(stage, consumers):
                found.append((stage.account_id, consumer.name, kind, now, json.dumps(body)))
    return found


def write_changed(connection: Connection, consumers: Sequence[Consumer], names: Sequence[str], now: int) -> None:
    """Tell that accounts were provisioned, in the transaction that does it."""
    bodies = [AccountChanged(id=f"account:{name}:{now}", account=name, cause="provisioned") for name in names]
    written = [
        {"consumer": consumer.name, "kind": ACCOUNT_CHANGED, "at": now, "body": json.dumps(body)}
        for body in bodies
        for consumer in consumers
        if ACCOUNT_CHANGED in consumer.kinds
    ]
    if written:
        connection.execute(insert(tables.outbox), written)


def _events(stage: Stage, consumers: Sequence[Consumer]) -> Iterator[tuple[str, Body, Consumer]]:
    """Everything that happened to one account, for everyone who wants it."""
    before = stage.before or Before()
    account = stage.account or before.account
    name = "" if account is None else account.profile.name
    happened: list[tuple[str, Body]] = []
    for session in (*stage.begun(), *stage.sessions.values()):
        if _has_started(session) and not _has_started(before.sessions.get(session.head.id)):
            happened.append((SESSION_STARTED, _started(session, name)))
    for session in stage.charged():
        happened.append((SESSION_SETTLED, _settled(session, account, name)))
    for entry in stage.entries:
        if entry.cause in _CHANGING:
            happened.append((ACCOUNT_CHANGED, _changed(entry, account, name)))
    for consumer in consumers:
        for kind, body in happened:
            if kind in consumer.kinds:
                yield kind, body, consumer
        if account is not None and account.profile.pool_id is None:  # what is left is told of the pool
            for kind, body in _fallen(before.account, account, consumer):
                yield kind, body, consumer


def _has_started(session: Session | None) -> bool:
    return session is not None and (session.state is State.OPEN or session.started_us > 0)


def _started(session: Session, name: str) -> SessionStarted:
    head = session.head
    return {
        "id": f"started:{head.id}",
        "account": name,
        "session": str(head.id),
        "key": head.key,
        "origin": head.origin,
        "protocol": head.protocol,
        "subscriber": head.subscriber,
        "destination": session.lines[-1].head.destination,
        "begun_us": head.begun_us,
    }


def _settled(session: Session, account: Account | None, name: str) -> SessionSettled:
    return {
        **_started(session, name),
        "id": f"settled:{session.head.id}:{session.revision}",
        "ended_us": session.ended_us,
        "used": sum(line.used for line in session.lines),
        "amount_micro": sum(line.posted_micro for line in session.lines),
        "currency": "" if account is None else account.profile.currency,
        "cause": session.cause,
        "revision": session.revision,
        "assumed": session.assumed,
    }


def _changed(entry: Entry, account: Account | None, name: str) -> AccountChanged:
    return {
        "id": f"entry:{entry.account_id}:{entry.entry_no}",
        "account": name,
        "cause": entry.cause,
        "amount_micro": entry.amount_micro,
        "balance_micro": entry.balance_after_micro,
        "currency": "" if account is None else account.profile.currency,
        "ref": entry.ref,
    }


def _left_micro(account: Account) -> int | None:
    """What may still be spent, holds not counted; None when the credit is unlimited."""
    limit = account.profile.credit_limit_micro
    return None if limit is None else account.shown_micro + limit


def _fallen(before: Account | None, account: Account, consumer: Consumer) -> Iterator[tuple[str, Body]]:
    """The thresholds that this batch crossed, downwards."""
    left, had = _left_micro(account), None if before is None else _left_micro(before)
    if left is None or had is None or left >= had:
        return
    profile = account.profile
    about, name, currency = f"{profile.id}:{account.entry_no}:{left}", profile.name, profile.currency
    low = consumer.low_micro
    if low is not None and left < low <= had and BALANCE_LOW in consumer.kinds:
        yield BALANCE_LOW, BalanceLow(id=f"low:{about}", account=name, left_micro=left, currency=currency)
    if left <= consumer.exhausted_micro < had and BALANCE_EXHAUSTED in consumer.kinds:
        body = BalanceExhausted(id=f"exhausted:{about}", account=name, left_micro=left, currency=currency)
        yield BALANCE_EXHAUSTED, body
