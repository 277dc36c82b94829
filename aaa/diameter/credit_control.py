"""
From a CCR to an engine command: which service, which lines, who pays, which session (RFC 8506, S2, S7, S23).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec.structs import replace

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.cca import ACTIONS, Asked, Line
from aaa.diameter.ccr import EVENT, INITIAL, TERMINATION, UPDATE, Ask, Ccr
from aaa.diameter.codec import Invalid
from aaa.diameter.peers import Peer
from aaa.diameter.units import CURRENCIES, UNIT_OF, USUAL_AVP, total
from aaa.engine.commands import Action, Begin, Delta, End, Event, Identity, LineRequest, Update
from aaa.engine.numbers import NumberPlan, looks_like_number, normalise
from aaa.engine.terms import ChargeKey

Command = Begin | Update | End | Event
CONTEXTS = {
    "32251": "data",
    "32260": "voice",
    "32275": "voice",
    "32276": "voice",
    "32274": "message",
    "32270": "message",
}
"""Services by the number of the 3GPP specification before the at sign."""
_USUAL_UNIT = {"voice": "seconds", "data": "octets", "message": "events", "event": "events"}
_CURRENCY_OF = {number: letters for letters, number in CURRENCIES.items()}
SESSION_ID_MAX = 512
EARLY_US = 300_000_000
AHEAD_US = 5_000_000


def service_of(context: str, contexts: Mapping[str, str] = CONTEXTS) -> str | None:
    """
    The service a Service-Context-Id stands for: the whole of it, or what stands before `@3gpp.org`
    without release and operator (TS 32.299 7.1.12).

    >>> service_of("ext.01.001.8.32260@3gpp.org")
    'voice'
    """
    found = contexts.get(context)
    if found is None:
        token, _, domain = context.rpartition("@")
        if domain == "3gpp.org":
            found = contexts.get(token.rpartition(".")[2])
    return found


def host_key(origin_host: str) -> str:
    """What the names of all sessions of a client begin with, before a bar."""
    return f"d|{origin_host}"


def session_key(ccr: Ccr) -> str:
    """
    The name of a session: whose it is, and how its client calls it (S7, S23).

    Sub-sessions are sessions of their own: each has its request numbers and its end (RFC 8506 5.1).
    """
    part = "" if ccr.sub_session is None else f"|~s{ccr.sub_session}"
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


def identities(ccr: Ccr, numbers: NumberPlan) -> list[tuple[str, str]]:
    """The ways the payer may be listed, in the order of the request, each as the store spells it."""
    found: dict[tuple[str, str], None] = {}
    for kind, value in ccr.identities:
        if kind == "e164":
            found["e164", normalise(value, numbers)] = None
        elif kind == "imsi":
            found["imsi", value] = None
        else:
            for spelling in _spellings(value, numbers):
                found[spelling] = None
    return list(found)


def _spellings(value: str, numbers: NumberPlan) -> list[tuple[str, str]]:
    """A SIP URI, a network access identifier or a private name."""
    bare = value.partition(";")[0]
    user = bare.partition(":")[2] if bare.startswith(("sip:", "sips:", "tel:")) else bare
    found = [("username", value), ("username", user)]
    if "@" in user:
        found.append(("sip_uri", bare if bare.startswith(("sip:", "sips:")) else f"sip:{bare}"))
    name = user.partition("@")[0]
    if looks_like_number(name):
        found.append(("e164", normalise(name, numbers)))
    return found


def asked(ccr: Ccr, peer: Peer, service: str) -> Asked:
    """How the parts of a request will be answered."""
    wanting = [ask for ask in ccr.asks if ask.requested is not None]
    asks: tuple[Ask, ...] = ccr.asks
    if ccr.kind in (INITIAL, EVENT):
        asks = tuple(wanting) or ccr.asks
    takes_all = ccr.kind in (INITIAL, EVENT)
    lines = tuple(
        Line(ask, _code(ask, service), ccr.kind != TERMINATION and (takes_all or ask.requested is not None))
        for ask in asks
    )
    is_single = not ccr.is_multiple or (service != "data" and len(ccr.asks) == 1)
    debit = ccr.kind == EVENT and ACTIONS[ccr.action] is Action.DEBIT
    return Asked(ccr, lines, peer.policy.validity_s, peer.terms, _event_key(ccr).encode() if debit else b"", is_single)


def _code(ask: Ask, service: str) -> int:
    """The AVP one thing is counted in: the service's own unit where it is there, else the first one."""
    usual = _USUAL_UNIT[service]
    amounts = (*(ask.requested or ()), *ask.used)
    for amount in amounts:
        if UNIT_OF[amount.code] == usual:
            return amount.code if ask.requested else USUAL_AVP[usual]
    if not amounts:
        return USUAL_AVP[usual]
    return amounts[0].code


def command(asked: Asked, peer: Peer, service: str, key: str, now: int, has_payer: bool = False) -> Command:
    """
    The engine command of a request.

    Args:
        has_payer: An end whose session nobody knows is charged to the one it names (S19).

    Raises:
        Invalid: The peer may not ask for this (S23).
    """
    ccr = asked.ccr
    event_us = ccr.event_us if now - EARLY_US <= ccr.event_us <= now + AHEAD_US else 0
    lines = tuple(_request(line, ccr, peer, service) for line in asked.lines)
    _check_allowed(ccr, lines, peer)
    identity = Identity(str(ccr.number), ccr.digest, ccr.number, ccr.is_retransmitted)
    if ccr.kind == UPDATE or (ccr.kind == TERMINATION and not has_payer):
        make = Update if ccr.kind == UPDATE else End
        return make(key, identity, lines, ccr.origin_host, event_us=event_us)
    caller = normalise(ccr.calling, peer.numbers) if ccr.calling else ""
    payer = ccr.identities[0][1] if ccr.identities else ""
    if ccr.kind == EVENT:
        action = ACTIONS[ccr.action]
        name = f"r{key}#{ccr.number}" if action is Action.REFUND else f"e{ccr.number}"
        return Event(
            _event_key(ccr),
            Identity(name, ccr.digest),
            action,
            lines,
            ccr.origin_host,
            peer.policy,
            service_context=ccr.context,
            subscriber=payer,
            caller=caller,
            event_us=event_us,
            refunds=_refunded(ccr) if action is Action.REFUND else "",
        )
    begin = Begin(
        key,
        replace(identity, digest=f"{ccr.digest}:{ccr.message.end_to_end:08x}"),
        peer.policy,
        lines,
        ccr.origin_host,
        protocol="diameter",
        service_context=ccr.context,
        subscriber=payer,
        caller=caller,
        event_us=event_us,
        emergency=service == "voice" and bool(lines) and lines[0].destination in peer.emergency,
    )
    if ccr.kind == TERMINATION:
        return End(key, identity, lines, ccr.origin_host, event_us=event_us, orphan=begin)
    return begin


# A call names the same party in each of its requests.
_normalised = lru_cache(maxsize=16_384)(normalise)


def _request(line: Line, ccr: Ccr, peer: Peer, service: str) -> LineRequest:
    ask = line.ask
    unit = UNIT_OF[line.code]
    requested = total(ask.requested or (), unit) or None
    if unit == "events" and line.wants_quota and requested is None:
        requested = 1
    used = total(ask.used, unit)
    called = ccr.called
    if unit == "money":
        currency = next((amount.currency for amount in (ask.requested or ()) if amount.currency), 0)
        received = destination = _CURRENCY_OF.get(currency, str(currency)) if currency else ""
    else:
        received = called
        destination = _normalised(called, peer.numbers) if called else ""
    if unit == "events" and service == "voice":
        service = "message"  # what is counted, not timed, under an IMS context is a message (TS 32.260)
    key = ChargeKey(service, ask.rating_group, ask.service_ids, unit)
    usage = None if used is None else Delta(used)
    is_bare = ask.outer is None and not ask.echo
    before, after = total(ask.before, unit) or 0, total(ask.after, unit) or 0
    has_room = ask.outer is not None
    is_open = line.wants_quota and not ask.requested and not ask.used
    return LineRequest(
        key, usage, line.wants_quota, requested, destination, received, is_bare, before, after, is_open, has_room
    )


def _check_allowed(ccr: Ccr, lines: tuple[LineRequest, ...], peer: Peer) -> None:
    needed = "session"
    if ccr.kind == EVENT:
        needed = "event"
        if ACTIONS[ccr.action] is Action.REFUND:
            needed = "refund" if _refunded(ccr) else "credit"  # a refund names its debit (S23), else it is a gift
    if needed not in peer.allow:
        raise Invalid(codec.END_USER_SERVICE_DENIED)
    if "money" not in peer.allow and any(line.key.unit == "money" for line in lines):
        raise Invalid(codec.END_USER_SERVICE_DENIED)
    if ccr.refunds and needed == "credit":
        raise Invalid(codec.END_USER_SERVICE_DENIED)  # it names the debit of another client
    if len(ccr.session_id) > SESSION_ID_MAX:
        raise Invalid(codec.INVALID_AVP_VALUE, codec.text(n.SESSION_ID, ccr.session_id))


def _event_key(ccr: Ccr) -> str:
    return f"{session_key(ccr)}|e{ccr.number}.{ccr.action}"


def _refunded(ccr: Ccr) -> str:
    """The debit a refund names, if it is one of its own client."""
    name = ccr.refunds.decode("utf-8", "replace")
    return name if name.startswith(f"d|{ccr.origin_host}|") else ""
