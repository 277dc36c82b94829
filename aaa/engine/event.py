"""
Event: charge, refund, check or price something in one request (RFC 8506 6.1-6.4, Requested-Action).

A debit leaves a session row that was born closed, so that its repeat is recognized from the row (S7) and
a refund can name it (S23).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Ack, Denial, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.begin import denial, line_head, session_head
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision
from aaa.engine.commands import Action, Delta, Event, LineRequest
from aaa.engine.identity import remembered
from aaa.engine.limits import refused_account
from aaa.engine.lines import opened, refill, reported
from aaa.engine.model import Account, Line, LineHead, Session
from aaa.engine.ports import Tariffs
from aaa.engine.settle import settled
from aaa.engine.sums import moved, posted
from aaa.engine.terms import Reason, State
from aaa.engine.windows import counted, is_too_fast, spendable_micro, spent, why_unaffordable
from rating.grant import grant
from rating.price import price


def event(accounts: Accounts, command: Event, tariffs: Tariffs, session_id: int, now: int) -> Decision:
    """
    Decide an event that was not seen before.

    Money: a debit and a refund that names no debit post one entry; the other actions none (`refund` does).
    """
    if not accounts:
        return NOTHING, Denial(Reason.UNKNOWN_ACCOUNT)
    account = accounts[0]
    refusal = refused_account(account, now)
    if refusal is not None:
        return NOTHING, denial(account, refusal)
    heads = [line_head(account, request, tariffs, now) for request in command.lines]
    for head in heads:
        if isinstance(head, Reason):
            return NOTHING, denial(account, head)
    known = [head for head in heads if isinstance(head, LineHead)]
    if command.action is Action.DEBIT:
        if is_too_fast(account, now):
            return NOTHING, denial(account, Reason.LIMIT_RATE)
        return _debit(accounts, command, known, session_id, now)
    if command.action is Action.REFUND:
        return _credit(accounts, command, known, session_id, now)
    costs = [_cost(head, request, now) for head, request in zip(known, command.lines, strict=True)]
    lines = tuple(LineGrant(head.key, 0, 0, cost_micro=cost) for head, cost in zip(known, costs, strict=True))
    total = sum(costs)
    available = account.available_micro
    if command.action is Action.CHECK_BALANCE and available is not None and total > available:
        return NOTHING, denial(account, Reason.NO_CREDIT)
    return NOTHING, Ack(Outcome.DONE, 0, total, account.shown_micro, account.profile.currency, lines)


def _units(request: LineRequest) -> int:
    """How many units an event is about: what it requests, else what it says was used, else one."""
    if request.requested:
        return request.requested
    return request.usage.units if request.usage is not None else 1


def _cost(head: LineHead, request: LineRequest, now: int) -> int:
    return 0 if head.plan is None else price(head.plan, now, _units(request))


def _debit(accounts: Accounts, command: Event, heads: list[LineHead], session_id: int, now: int) -> Decision:
    """Charge every line in full or nothing at all: an event that cannot be paid is refused (4012)."""
    account = accounts[0]
    lines: tuple[Line, ...] = ()
    told: list[LineGrant | LineDenial] = []
    for head, request in zip(heads, command.lines, strict=True):
        units = _units(request)
        left = moved(account, (), lines)
        if not _affordable(left, head, units, now):
            return NOTHING, denial(account, why_unaffordable(left, now))
        ask = LineRequest(request.key, requested=units)
        policy = replace(command.policy, quantum="whole")
        line, answer = refill(left, opened(head), ask, policy, 1, 0, now)
        if isinstance(answer, LineDenial):
            return NOTHING, denial(account, answer.reason)
        line = reported(line, Delta(units), now, now, now).line
        lines = (*lines, line)
        cost = line.accrued_micro
        told.append(LineGrant(head.key, units, units, 0, False, head.plan is None or head.plan.is_free, cost))
    head_of = session_head(account, command, session_id, now)
    born = Session(head_of, State.OPEN, now, lines, cause="debit", grants=1)
    result = settled(moved(account, (), lines, live=1), born, State.CLOSED, "debit", now)
    answer_ = Grant(session_id, tuple(told), result.account.shown_micro, account.profile.currency, 1)
    session = remembered(result.session, command.identity, answer_)
    after = counted(result.account, now)
    return Changes((after, *accounts[1:]), session, True, result.entries, result.units, True), answer_


def _affordable(account: Account, head: LineHead, units: int, now: int) -> bool:
    available = spendable_micro(account, now)
    if head.plan is None or head.plan.is_free or available is None:
        return True
    return grant(head.plan, now, now, available, units) >= units


def _credit(accounts: Accounts, command: Event, heads: list[LineHead], session_id: int, now: int) -> Decision:
    """
    Give money that no debit took, at the price of the units (RFC 8506 A.6); the peer must be allowed to (S23).

    Money: one positive entry, and a session born closed whose lines show it as a negative charge.
    """
    lines: list[Line] = []
    told: list[LineGrant | LineDenial] = []
    for head, request in zip(heads, command.lines, strict=True):
        units, cost = _units(request), _cost(head, request, now)
        lines.append(Line(head, now, units, units, posted_micro=-cost))
        told.append(LineGrant(head.key, units, units, is_free=not cost, cost_micro=cost))
    amount = -sum(line.posted_micro for line in lines)
    account, entries = posted(accounts[0], amount, "refund", str(session_id), now)
    head_of = session_head(account, command, session_id, now)
    answer = Grant(session_id, tuple(told), account.shown_micro, account.profile.currency, 1)
    born = Session(head_of, State.CLOSED, now, tuple(lines), ended_us=now, cause="credit", grants=1, revision=1)
    session = remembered(born, command.identity, answer)
    return Changes((account, *accounts[1:]), session, True, entries, settles=True), answer


def refund(accounts: Accounts, debit: Session | None, command: Event, now: int) -> Decision:
    """
    Give back what a debit took: at most what it charged, and once (S23).

    Money: one positive entry; the debit's lines show what is left of the charge.
    """
    if not accounts:
        return NOTHING, Denial(Reason.UNKNOWN_ACCOUNT)
    account = accounts[0]
    if debit is None or debit.head.account_id != account.profile.id or debit.state is not State.CLOSED:
        return NOTHING, denial(account, Reason.UNKNOWN_SESSION)
    if debit.cause == "refunded":
        return NOTHING, denial(account, Reason.CONFLICT, debit.head.id)
    charge = sum(line.posted_micro for line in debit.lines)
    lines = tuple(replace(line, posted_micro=0) for line in debit.lines)
    after, entries = posted(account, charge, "refund", str(debit.head.id), now)
    after = spent(after, -charge, now, debit.ended_us)
    session = replace(debit, lines=lines, cause="refunded", revision=debit.revision + 1)
    told = tuple(LineGrant(line.head.key, line.used, line.used, cost_micro=line.posted_micro) for line in debit.lines)
    answer = Grant(debit.head.id, told, after.shown_micro, account.profile.currency, 1)
    session = remembered(session, command.identity, answer)
    return Changes((after, *accounts[1:]), session, entries=entries, settles=True), answer
