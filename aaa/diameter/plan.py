"""
How requests of one form are charged and answered: which service, which lines, in which units (RFC 8506, S2, S23).

Everything here follows from the form of a request and the entry of the peer it comes from, so it is decided once
for all requests that are written alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from aaa.diameter.ccr import EVENT, INITIAL, TERMINATION, Ask, Ccr, Form, Unit
from aaa.diameter.peers import Peer
from aaa.diameter.terms import Terms
from aaa.diameter.units import CURRENCIES, UNIT_OF, USUAL_AVP
from aaa.engine.commands import Action
from aaa.engine.numbers import Normaliser, NumberPlan
from aaa.engine.terms import ChargeKey
from aaa.value import Value

CONTEXTS = {
    "32251": "data",
    "32260": "voice",
    "32275": "voice",
    "32276": "voice",
    "32274": "message",
    "32270": "message",
}
"""Services by the number of the 3GPP specification before the at sign."""
ACTIONS = (Action.DEBIT, Action.REFUND, Action.CHECK_BALANCE, Action.PRICE_ENQUIRY)
"""By the number of Requested-Action (RFC 8506 8.41)."""
PEERS_MAX = 1_024  # whose plans a form keeps
_USUAL_UNIT = {"voice": "seconds", "data": "octets", "message": "events", "event": "events"}
_CURRENCY_OF = {number: letters for letters, number in CURRENCIES.items()}


class Line(Value, frozen=True):
    """
    How one thing that was asked for is charged and answered.

    `code` is the AVP it is counted in; `requested`, `used`, `before` and `after` are places in `Ccr.units`.
    """

    ask: Ask
    code: int
    wants_quota: bool
    key: ChargeKey
    requested: tuple[int, ...]
    used: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    is_bare: bool
    is_open: bool
    currency: str | None  # money is asked for by its currency, everything else by who is called


class Plan(Value, frozen=True):
    """
    How requests of one form are charged and answered for one peer.

    `service` is None for a context that nobody knows.  With `is_single` the whole session has no use without
    quota for its line.
    """

    peer: Peer
    numbers: Normaliser  # of the peer
    service: str | None
    lines: tuple[Line, ...]
    is_allowed: bool
    is_single: bool

    @property
    def terms(self) -> Terms:
        return self.peer.terms


class Asked(Value, frozen=True):
    """A request, and how its parts are to be answered."""

    ccr: Ccr
    plan: Plan
    refund_information: bytes = b""


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


def plan_of(ccr: Ccr, peer: Peer, contexts: Mapping[str, str]) -> Plan:
    """The plan for a request; its form keeps it for others that come by the same peer entry."""
    form, number = ccr.form, id(peer)
    plan: Plan | None = form.plans.get(number)
    if plan is None or plan.peer is not peer:
        if len(form.plans) >= PEERS_MAX:
            form.plans.clear()
        plan = form.plans[number] = _planned(ccr, peer, service_of(form.context, contexts))
    return plan


@lru_cache(maxsize=1_024)
def _normaliser(plan: NumberPlan) -> Normaliser:
    """One for all peers that dial alike."""
    return Normaliser(plan)


def _planned(ccr: Ccr, peer: Peer, service: str | None) -> Plan:
    form = ccr.form
    if service is None:
        return Plan(peer, _normaliser(peer.numbers), None, (), False, True)
    asks: tuple[Ask, ...] = form.asks
    takes_all = form.kind in (INITIAL, EVENT)
    if takes_all:
        asks = tuple(ask for ask in form.asks if ask.requested is not None) or form.asks
    lines = tuple(_line(form, ask, service, takes_all or ask.requested is not None) for ask in asks)
    is_single = not form.is_multiple or (service != "data" and len(form.asks) == 1)
    return Plan(peer, _normaliser(peer.numbers), service, lines, _is_allowed(ccr, lines, peer), is_single)


def _line(form: Form, ask: Ask, service: str, wants_quota: bool) -> Line:
    code = _code(ask, service)
    unit = UNIT_OF[code]
    wants_quota = wants_quota and form.kind != TERMINATION
    requested = ask.requested or ()
    currency = None
    if unit == "money":
        number = next((one.currency for one in requested if one.currency), 0)
        currency = _CURRENCY_OF.get(number, str(number)) if number else ""
    if unit == "events" and service == "voice":
        service = "message"  # what is counted, not timed, under an IMS context is a message (TS 32.260)
    return Line(
        ask,
        code,
        wants_quota,
        ChargeKey(service, ask.rating_group, ask.service_ids, unit, form.direction),
        _places(requested, unit),
        _places(ask.used, unit),
        _places(ask.before, unit),
        _places(ask.after, unit),
        is_bare=not form.is_multiple and not ask.echo,
        is_open=wants_quota and not requested and not ask.used,
        currency=currency,
    )


def _code(ask: Ask, service: str) -> int:
    """The AVP one thing is counted in: the service's own unit where it is there, else the first one."""
    usual = _USUAL_UNIT[service]
    found = (*(ask.requested or ()), *ask.used)
    for one in found:
        if UNIT_OF[one.code] == usual:
            return one.code if ask.requested else USUAL_AVP[usual]
    if not found:
        return USUAL_AVP[usual]
    return found[0].code


def _places(found: tuple[Unit, ...], unit: str) -> tuple[int, ...]:
    return tuple(one.place for one in found if UNIT_OF[one.code] == unit)


def _is_allowed(ccr: Ccr, lines: tuple[Line, ...], peer: Peer) -> bool:
    """Whether the peer may ask for this (S23)."""
    form, needed = ccr.form, "session"
    if form.kind == EVENT:
        needed = "event"
        if ACTIONS[form.action] is Action.REFUND:
            needed = "refund" if refunded(ccr) else "credit"  # a refund names its debit (S23), else it is a gift
    if needed not in peer.allow:
        return False
    if form.refunds and needed == "credit":
        return False  # it names the debit of another client
    return "money" in peer.allow or not any(line.key.unit == "money" for line in lines)


def refunded(ccr: Ccr) -> str:
    """The debit a refund names, if it is one of its own client; no other request has the form of one that names any."""
    name = ccr.form.refunds.decode("utf-8", "replace")
    return name if name.startswith(f"d|{ccr.origin_host}|") else ""
