"""
From a CCR to an engine command: which session, who pays, what is reported and asked for (RFC 8506, S2, S7, S23).
"""

from __future__ import annotations

from functools import lru_cache

from msgspec.structs import replace

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ccr import EVENT, TERMINATION, UPDATE, Ccr
from aaa.diameter.codec import Invalid
from aaa.diameter.plan import ACTIONS, Asked, Line, Plan, refunded
from aaa.diameter.units import MONEY_MAX_MICRO
from aaa.engine.commands import Action, Begin, Delta, End, Event, Identity, LineRequest, Update
from aaa.engine.numbers import Normaliser, looks_like_number

Command = Begin | Update | End | Event
SESSION_ID_MAX = 512
EARLY_US = 300_000_000
AHEAD_US = 5_000_000


def host_key(origin_host: str) -> str:
    """What the names of all sessions of a client begin with, before a bar."""
    return f"d|{origin_host}"


def session_key(ccr: Ccr) -> str:
    """
    The name of a session: whose it is, and how its client calls it (S7, S23).

    Sub-sessions are sessions of their own: each has its request numbers and its end (RFC 8506 5.1).
    """
    form = ccr.form
    part = "" if form.sub_session is None else f"|~s{form.sub_session}"
    return f"d|{ccr.origin_host}|{ccr.session_id}{part}"


def next_key(key: str, replaced_id: int) -> str:
    """The name of the session that begins under a Session-Id used before."""
    return f"{key}|~{replaced_id}"


def session_of(key: str) -> tuple[str, str, int | None]:
    """Origin-Host, Session-Id and CC-Sub-Session-Id of a session's name."""
    _, host, rest = key.split("|", 2)
    session_id, *marks = rest.split("|~")
    parts = [int(mark[1:]) for mark in marks if mark.startswith("s")]
    return host, session_id, parts[0] if parts else None


@lru_cache(maxsize=16_384)
def identities(named: tuple[tuple[str, str], ...], numbers: Normaliser) -> tuple[tuple[str, str], ...]:
    """The ways the payer may be listed, in the order of the request, each as the store spells it."""
    found: dict[tuple[str, str], None] = {}
    for kind, value in named:
        if kind == "e164":
            found["e164", numbers.of(value)] = None
        elif kind == "imsi":
            found["imsi", value] = None
        else:
            for spelling in _spellings(value, numbers):
                found[spelling] = None
    return tuple(found)


def _spellings(value: str, numbers: Normaliser) -> list[tuple[str, str]]:
    """A SIP URI, a network access identifier or a private name."""
    bare = value.partition(";")[0]
    user = bare.partition(":")[2] if bare.startswith(("sip:", "sips:", "tel:")) else bare
    found = [("username", value), ("username", user)]
    if "@" in user:
        found.append(("sip_uri", bare if bare.startswith(("sip:", "sips:")) else f"sip:{bare}"))
    name = user.partition("@")[0]
    if looks_like_number(name):
        found.append(("e164", numbers.of(name)))
    return found


def asked(ccr: Ccr, plan: Plan) -> Asked:
    """
    A request with how it will be answered.

    Raises:
        Invalid: The context is unknown, the peer may not ask for this (S23), or the session has no sane name.
    """
    form = ccr.form
    if plan.service is None:
        raise Invalid(codec.RATING_FAILED, codec.text(n.SERVICE_CONTEXT_ID, form.context))
    if not plan.is_allowed:
        raise Invalid(codec.END_USER_SERVICE_DENIED)
    if len(ccr.session_id) > SESSION_ID_MAX:
        raise Invalid(codec.INVALID_AVP_VALUE, codec.text(n.SESSION_ID, ccr.session_id))
    is_debit = form.kind == EVENT and ACTIONS[form.action] is Action.DEBIT
    return Asked(ccr, plan, _event_key(ccr).encode() if is_debit else b"")


def command(asked: Asked, key: str, now: int, has_payer: bool = False) -> Command:
    """
    The engine command of a request.

    Args:
        has_payer: An end whose session nobody knows is charged to the one it names (S19).
    """
    ccr, plan = asked.ccr, asked.plan
    form, kind = ccr.form, ccr.form.kind
    event_us = ccr.event_us if now - EARLY_US <= ccr.event_us <= now + AHEAD_US else 0
    if len(plan.lines) == 1:
        lines: tuple[LineRequest, ...] = (_request(plan.lines[0], ccr, plan),)
    else:
        lines = tuple([_request(line, ccr, plan) for line in plan.lines])
    identity = Identity(str(ccr.number), ccr.digest, ccr.number, bool(ccr.flags & codec.RETRANSMITTED))
    if kind == UPDATE:
        return Update(key, identity, lines, ccr.origin_host, (), event_us)
    if kind == TERMINATION and not has_payer:
        return End(key, identity, lines, ccr.origin_host, (), event_us)
    policy = plan.peer.policy
    caller = plan.numbers.of(ccr.calling)
    payer = ccr.identities[0][1] if ccr.identities else ""
    if kind == EVENT:
        action = ACTIONS[form.action]
        name = f"r{key}#{ccr.number}" if action is Action.REFUND else f"e{ccr.number}"
        return Event(
            _event_key(ccr),
            Identity(name, ccr.digest),
            action,
            lines,
            ccr.origin_host,
            policy,
            service_context=form.context,
            subscriber=payer,
            caller=caller,
            event_us=event_us,
            refunds=refunded(ccr) if action is Action.REFUND else "",
        )
    begin = Begin(
        key,
        replace(identity, digest=f"{ccr.digest}:{ccr.end_to_end:08x}"),
        policy,
        lines,
        ccr.origin_host,
        protocol="diameter",
        service_context=form.context,
        subscriber=payer,
        caller=caller,
        event_us=event_us,
        emergency=plan.service == "voice" and bool(lines) and lines[0].destination in plan.peer.emergency,
    )
    if kind == TERMINATION:
        return End(key, identity, lines, ccr.origin_host, event_us=event_us, orphan=begin)
    return begin


def _request(line: Line, ccr: Ccr, plan: Plan) -> LineRequest:
    """What a command asks of one line."""
    units, key, currency = ccr.units, line.key, line.currency
    if currency is None:
        received = ccr.called
        destination = plan.numbers.of(received)
    else:
        received = destination = currency
    wanted = (_total(units, line.requested) or None) if line.requested else None
    if wanted is None and line.wants_quota and key.unit == "events":
        wanted = 1
    return LineRequest(
        key,
        Delta(_total(units, line.used)) if line.used else None,
        line.wants_quota,
        wanted,
        destination,
        received,
        line.is_bare,
        _total(units, line.before) if line.before else 0,
        _total(units, line.after) if line.after else 0,
        line.is_open,
        ccr.form.is_multiple,
    )


def _total(units: tuple[int, ...], places: tuple[int, ...]) -> int:
    """The sum of what stands in some places."""
    if len(places) == 1:
        return units[places[0]]
    return min(sum([units[place] for place in places]), MONEY_MAX_MICRO)


def _event_key(ccr: Ccr) -> str:
    return f"{session_key(ccr)}|e{ccr.number}.{ccr.form.action}"
