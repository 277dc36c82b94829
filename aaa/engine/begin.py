"""
Begin: open a session with what its lines can be granted (RFC 2865 Access-Request, CCR-I; S2, S5).

On a session that is known a RADIUS Access-Request asks for more (`update.ask_again`); a CCR-I with other
content settles the old session first, which the node does by expiring it and beginning anew (S7).
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Denial, Grant, LineDenial, LineGrant
from aaa.engine.changes import NOTHING, Accounts, Changes, Decision
from aaa.engine.commands import Begin, Event, LineRequest
from aaa.engine.limits import refused_account, refused_destination, refused_session
from aaa.engine.lines import opened, refill
from aaa.engine.memory import kept
from aaa.engine.model import Account, Line, LineHead, Session, SessionHead
from aaa.engine.money import AT_PAR, MONEY
from aaa.engine.periods import change_us, has_periods, joined, opened_in
from aaa.engine.ports import Tariffs
from aaa.engine.settle import line_of
from aaa.engine.sums import moved
from aaa.engine.terms import SECOND_US, Policy, Reason, State
from aaa.engine.windows import counted, spendable_micro


def begin(accounts: Accounts, command: Begin, tariffs: Tariffs, session_id: int, now: int) -> Decision:
    """
    Open a session, or say why not.

    Args:
        session_id: The number the session gets if it comes to be.

    Money: none posted; the holds of the granted lines are reserved (L1).
    """
    if not accounts:
        return NOTHING, Denial(Reason.UNKNOWN_ACCOUNT)
    account = accounts[0]
    refusal = None if command.emergency else refused_account(account, now) or refused_session(account, now)
    if refusal is not None:
        return NOTHING, denial(account, refusal)
    lines, told = open_lines(account, command, tariffs, now, sharers=account.live_sessions + 1)
    if not lines:
        return NOTHING, denial(account, first_reason(told))
    if command.protocol == "diameter" and not command.emergency and _is_all_free(told):
        return NOTHING, Grant(0, told, account.shown_micro, account.profile.currency, 1)  # no session is kept (S15)
    head = session_head(account, command, session_id, now)
    state = State.OPEN if command.protocol == "diameter" or command.early_start_us else State.HELD
    account = moved(account, (), lines, live=1)
    if not command.emergency:
        account = counted(account, now)
    answer = Grant(session_id, told, account.shown_micro, account.profile.currency, 1)
    identity = command.identity
    session = Session(
        head,
        state,
        deadline_of(lines, command.policy, state, now),
        lines,
        command.aliases,
        (kept(identity, answer, lines),),
        -1 if identity.order is None else identity.order,
        0,
        command.early_start_us,
        asked_us=now,
        grants=1,
    )
    return Changes((account, *accounts[1:]), session, is_new=True, new_aliases=command.aliases), answer


def _is_all_free(told: tuple[LineGrant | LineDenial, ...]) -> bool:
    return all(isinstance(line, LineGrant) and line.is_free for line in told)


def session_head(account: Account, command: Begin | Event, session_id: int, begun_us: int) -> SessionHead:
    """What never changes about the session a command brings into being."""
    return SessionHead(
        session_id,
        account.profile.id,
        command.key,
        command.origin,
        command.protocol,
        command.service_context,
        command.subscriber,
        command.caller,
        begun_us,
        command.policy,
    )


def open_lines(
    account: Account, command: Begin, tariffs: Tariffs, now: int, sharers: int
) -> tuple[tuple[Line, ...], tuple[LineGrant | LineDenial, ...]]:
    """
    Open and fill the lines a command asks for, each on what the ones before left (S2).

    A RADIUS client that gets everything at once for several lines (a hotspot under a tariff with prices for
    time and for volume) gets an equal part for each: all of it for the first would refuse the second.
    """
    policy = command.policy
    if len(command.lines) == 1:
        only = command.lines[0]
        found = line_head(account, only, tariffs, now, command.emergency)
        if isinstance(found, Reason):
            return (), (LineDenial(only.key, found),)
        if not has_periods(found):
            line, answer = refill(account, opened(found), only, policy, sharers, 0, now)
            is_opened = isinstance(answer, LineGrant) or (policy.outlasts_credit and is_broke(answer))
            return ((line,) if is_opened else ()), (answer,)
    lines: tuple[Line, ...] = ()
    told: list[LineGrant | LineDenial] = []
    heads = [line_head(account, request, tariffs, now, command.emergency) for request in command.lines]
    shares = len(heads) > 1 and policy.quantum == "whole" and command.protocol == "radius"
    priced = sum([_is_priced(head) for head in heads]) if shares else 1
    for request, head in zip(command.lines, heads, strict=True):
        if isinstance(head, Reason):
            told.append(LineDenial(request.key, head))
            continue
        left = moved(account, (), lines) if lines else account
        if priced > 1 and _is_priced(head):
            left = _with_share(left, priced, now)
            priced -= 1
        fresh = opened_in(head, now) if has_periods(head) else opened(head)
        line, line_told = refill(left, fresh, request, policy, sharers, 0, now)
        told.append(line_told)
        if isinstance(line_told, LineGrant):
            lines = (*lines, line)
            switch_us = change_us(line, policy, now) if policy.tells_validity else 0
            if switch_us:
                left = moved(account, (), lines)
                lines, after = beyond(left, lines, line, request, policy, switch_us, now)
                told[-1:] = joined(line_told, after, switch_us, now)
        elif policy.outlasts_credit and is_broke(line_told):
            lines = (*lines, line)
    return lines, tuple(told)


def _is_priced(head: LineHead | Reason) -> bool:
    return not isinstance(head, Reason) and head.plan is not None and not head.plan.is_free


def _with_share(account: Account, parts: int, now: int) -> Account:
    """The account as one of so many lines may see it: with an equal part of what may be spent."""
    available = spendable_micro(account, now)
    if available is None or available <= 0:
        return account
    return replace(account, reserved_micro=account.reserved_micro + available - available // parts)


def beyond(
    left: Account,
    lines: tuple[Line, ...],
    line: Line,
    request: LineRequest,
    policy: Policy,
    switch_us: int,
    now: int,
) -> tuple[tuple[Line, ...], LineGrant | LineDenial | None]:
    """
    Grant what may be used behind a price change, on a leg of its own (S4).

    Returns:
        The lines with that leg, and what to tell of it; None when the answer has no room for it.
    """
    if not request.splits:
        return lines, None
    leg = line_of(lines, replace(request, at_us=switch_us))
    fresh, told = refill(left, leg or opened_in(line.head, switch_us), request, policy, 1, 0, now)
    if isinstance(told, LineDenial):
        return lines, told
    if leg is None:
        return (*lines, fresh), told
    return tuple(fresh if one is leg else one for one in lines), told


def is_broke(told: LineGrant | LineDenial) -> bool:
    """Whether a line got nothing only for lack of money, which may come."""
    return isinstance(told, LineDenial) and told.reason is Reason.NO_CREDIT


def line_head(
    account: Account, request: LineRequest, tariffs: Tariffs, now: int, emergency: bool = False, offset: int = 0
) -> LineHead | Reason:
    """Find the rate for a line under the tariff version in force now (S17), or say why there is none."""
    if emergency:
        return LineHead(request.key, request.destination, request.received, 0, "", now, None, offset)
    if request.key.unit == MONEY:
        if request.destination not in ("", account.profile.currency):
            return Reason.INVALID  # the destination of money is the currency it is asked in
        return LineHead(request.key, request.destination, request.received, 0, "", now, AT_PAR, offset)
    tariff = tariffs.in_force(account.profile.tariff, now)
    if tariff is None:
        return Reason.NO_TARIFF
    key = request.key
    plan = tariff.find(key.service, request.destination, key.direction, key.rating_group, key.unit, now)
    if plan is None and request.is_open:
        plan = tariff.find(key.service, request.destination, key.direction, key.rating_group, "", now)
        if plan is not None:
            key = replace(key, unit=plan.unit)
    if plan is None:
        return Reason.UNKNOWN_DESTINATION
    refusal = refused_destination(account, plan)
    if refusal is not None:
        return refusal
    return LineHead(key, request.destination, request.received, plan.tariff_version, plan.prefix, now, plan, offset)


def deadline_of(lines: tuple[Line, ...], policy: Policy, state: State, now: int) -> int:
    """The instant at which a session expires unless it is heard of: the latest of its lines' (S5)."""
    if state is State.HELD:
        return now + policy.hold_s * SECOND_US
    longest_s = 0
    for line in lines:  # its unused time, ringing and grace; or twice the validity it was told
        used = line.used
        silent_s = line.granted - used + policy.grace_s
        if not used:
            silent_s += policy.setup_s
        is_time = line.head.key.unit == "seconds"
        if policy.tells_validity or not is_time:
            silent_s = max(silent_s if is_time else 0, 2 * policy.validity_s)
        longest_s = max(longest_s, silent_s)
    return now + longest_s * SECOND_US


def denial(account: Account, reason: Reason, session_id: int = 0) -> Denial:
    """A refusal that shows the balance, for profiles that tell it."""
    return Denial(reason, "", session_id, account.shown_micro, account.profile.currency)


def first_reason(told: tuple[LineGrant | LineDenial, ...]) -> Reason:
    """The reason of the first line that was refused."""
    for line in told:
        if isinstance(line, LineDenial):
            return line.reason
    return Reason.INVALID
