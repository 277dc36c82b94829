"""
Write a Credit-Control-Answer: what the engine decided, in the units and the order that were asked for.

Result codes (RFC 8506 9, DIGEST section 3): the command level says success as long as the session goes
on; a refusal of everything stands in each MSCC and at the command level, because a client that looks at
the command level alone would let the call run (DIAMETER.md, item 4).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.capabilities import Identity
from aaa.diameter.ccr import EVENT, INITIAL, TERMINATION, UPDATE, Ask
from aaa.diameter.codec import ERROR, HEADER, HEADER_SIZE, MANDATORY, PROXIABLE, VENDOR_FLAG, Invalid, Message
from aaa.diameter.dictionary import VENDOR_3GPP
from aaa.diameter.plan import Asked, Line
from aaa.diameter.terms import Terms
from aaa.diameter.units import MONEY_SIZE, UNIT_OF, USUAL_AVP, granted, money, ntp_time
from aaa.engine.answers import Ack, Answer, Denial, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.terms import Reason

CODE_OF = {
    Reason.NO_CREDIT: codec.CREDIT_LIMIT_REACHED,
    Reason.UNKNOWN_ACCOUNT: codec.USER_UNKNOWN,
    Reason.ACCOUNT_SUSPENDED: codec.END_USER_SERVICE_DENIED,
    Reason.ACCOUNT_EXPIRED: codec.END_USER_SERVICE_DENIED,
    Reason.UNKNOWN_DESTINATION: codec.RATING_FAILED,
    Reason.DESTINATION_BLOCKED: codec.END_USER_SERVICE_DENIED,
    Reason.NO_TARIFF: codec.RATING_FAILED,
    Reason.LIMIT_SESSIONS: codec.END_USER_SERVICE_DENIED,
    Reason.LIMIT_CALL: codec.CREDIT_LIMIT_REACHED,
    Reason.LIMIT_WINDOW: codec.CREDIT_LIMIT_REACHED,
    Reason.LIMIT_RATE: codec.END_USER_SERVICE_DENIED,
    Reason.UNKNOWN_SESSION: codec.UNKNOWN_SESSION_ID,
    Reason.SESSION_CLOSED: codec.UNKNOWN_SESSION_ID,
    Reason.SESSION_REUSED: codec.UNKNOWN_SESSION_ID,
    Reason.SESSION_REPLACED: codec.UNKNOWN_SESSION_ID,
    Reason.FOREIGN_SESSION: codec.UNKNOWN_SESSION_ID,
    Reason.CONFLICT: codec.UNABLE_TO_COMPLY,
    Reason.NOT_ALLOWED: codec.END_USER_SERVICE_DENIED,
    Reason.INVALID: codec.RATING_FAILED,
    Reason.STORE_DOWN: codec.TOO_BUSY,
    Reason.DRAINING: codec.TOO_BUSY,
}
_OF_SERVICES = frozenset((codec.END_USER_SERVICE_DENIED, codec.CREDIT_LIMIT_REACHED, codec.RATING_FAILED))
_APPLICATION = codec.u32(n.AUTH_APPLICATION_ID, n.APPLICATION_CREDIT_CONTROL)
_FAILOVER = codec.u32(n.CC_SESSION_FAILOVER, 1)  # state is in the store, which other nodes share
_CODES = {code: codec.u32(n.RESULT_CODE, code) for code in (2001, 4010, 4011, 4012, 5030, 5031)}
_M = MANDATORY << 24  # beside the length of an AVP
_HEAD = struct.Struct(">II")
_TRIPLE = struct.Struct(">III")
_SESSION_ID = n.SESSION_ID.to_bytes(4, "big")
_TEXTS = {code.to_bytes(4, "big"): str(code) for code in (codec.SUCCESS, *CODE_OF.values())}
_REMAINING_BALANCE = n.REMAINING_BALANCE & 0xFFFFFFFF
_COST_HEAD = _HEAD.pack(n.COST_INFORMATION, _M | MONEY_SIZE + 8)
_REMAINING_HEAD = _TRIPLE.pack(_REMAINING_BALANCE, VENDOR_FLAG << 24 | MONEY_SIZE + 12, VENDOR_3GPP)
_REFUND_INFORMATION = n.REFUND_INFORMATION & 0xFFFFFFFF


def refusal(message: Message, identity: Identity, code: int, failed: bytes = b"") -> bytes:
    """
    The answer to a request that was not understood or not taken (RFC 6733 7.2).

    Holds what could be read of the request: Session-Id, request type and number, Proxy-Info.
    """
    body = [codec.avp(n.SESSION_ID, one.payload) for one in message.every(n.SESSION_ID)[:1]]
    body += [codec.u32(n.RESULT_CODE, code), identity.avps()]
    is_error = 3000 <= code < 4000
    if message.command == n.CREDIT_CONTROL and not is_error:
        body.append(_APPLICATION)
        for key in (n.CC_REQUEST_TYPE, n.CC_REQUEST_NUMBER):
            body += [codec.avp(key, one.payload) for one in message.every(key)[:1]]
    if failed:
        body.append(codec.avp(n.FAILED_AVP, failed))
    body.append(codec.copied(message, n.PROXY_INFO))
    flags = message.flags & PROXIABLE | (ERROR if is_error else 0)
    return codec.message(flags, message.command, message.application, message.hop_by_hop, message.end_to_end, body)


def of_invalid(message: Message, identity: Identity, error: Invalid) -> bytes:
    """The answer to a request that breaks a rule."""
    return refusal(message, identity, error.code, error.failed)


def answer(asked: Asked, identity: Identity, decided: Answer) -> bytes:
    """The answer to a request the engine decided."""
    ccr = asked.ccr
    form = ccr.form
    if isinstance(decided, Denial):
        code = CODE_OF[decided.reason]
        if 3000 <= code < 4000 or code == codec.UNKNOWN_SESSION_ID:
            return refusal(ccr.message, identity, code)
        if form.action == 2 and decided.reason is Reason.NO_CREDIT:
            return _written(asked, identity, codec.SUCCESS, [codec.u32(n.CHECK_BALANCE_RESULT, 1)])
        extra = []
        if form.is_multiple and code in _OF_SERVICES:
            extra = [_mscc(line.ask, b"", code) for line in asked.plan.lines]
        if code == codec.RATING_FAILED:
            extra.append(codec.avp(n.FAILED_AVP, _unrated(asked, decided.reason)))
        return _written(asked, identity, code, extra)
    if isinstance(decided, Ack):
        return _of_ack(asked, identity, decided)
    if form.kind == EVENT:
        return _of_event(asked, identity, decided)
    return _of_grant(asked, identity, decided)


def _of_ack(asked: Asked, identity: Identity, decided: Ack) -> bytes:
    ccr, plan, outcome = asked.ccr, asked.plan, decided.outcome
    form = ccr.form
    kind = form.kind
    is_gone = outcome in (Outcome.UNKNOWN, Outcome.UNRATED) or (outcome is Outcome.IGNORED and kind == UPDATE)
    if is_gone:
        return refusal(ccr.message, identity, codec.UNKNOWN_SESSION_ID)
    if outcome is Outcome.CONFLICT:
        return refusal(ccr.message, identity, codec.UNABLE_TO_COMPLY)
    extra = []
    if kind == UPDATE:
        validity = codec.u32(n.VALIDITY_TIME, plan.peer.policy.validity_s)
        if form.is_multiple:
            # What goes on without quota asks again when this time is over (RFC 8506 5.6.2).
            inner = validity if plan.terms.outlasts_credit else b""
            extra += [_mscc(line.ask, inner, codec.SUCCESS) for line in plan.lines]
        else:
            extra.append(validity)
    if kind == EVENT and form.action == 2:
        extra.append(codec.u32(n.CHECK_BALANCE_RESULT, 0))
    elif decided.currency:
        extra.append(_cost(decided.cost_micro, decided.currency))
    if kind in (UPDATE, TERMINATION) and decided.currency:
        extra.append(plan.terms.of_balance(decided.balance_micro))
        extra.append(_remaining(decided.balance_micro, decided.currency))
    return _written(asked, identity, codec.SUCCESS, extra)


def _of_event(asked: Asked, identity: Identity, decided: Grant) -> bytes:
    """A debit or a refund: what was charged or given back."""
    told = [line for line in decided.lines if isinstance(line, LineGrant)]
    cost = sum(line.cost_micro for line in told)
    if told and all(line.is_free for line in told):
        return _written(asked, identity, codec.CREDIT_CONTROL_NOT_APPLICABLE, [])
    extra = []
    for line, given in zip(asked.plan.lines, told, strict=False):
        units = granted(line.code, given.told, decided.currency)
        extra.append(_mscc(line.ask, units, codec.SUCCESS) if asked.ccr.form.is_multiple else units)
    extra.append(_cost(cost, decided.currency))
    extra.append(asked.plan.terms.of_balance(decided.shown_micro))
    extra.append(_remaining(decided.shown_micro, decided.currency))
    if asked.refund_information:
        extra.append(codec.avp(_REFUND_INFORMATION, asked.refund_information, 0, VENDOR_3GPP))
    return _written(asked, identity, codec.SUCCESS, extra)


def _of_grant(asked: Asked, identity: Identity, decided: Grant) -> bytes:
    """Quota, line by line; the engine's lines come in the order of those that wanted some."""
    form, terms = asked.ccr.form, asked.plan.peer.terms
    extra: list[bytes] = []
    codes: list[int] = []
    told = iter(decided.lines)
    for line in asked.plan.lines:
        given = next(told, None) if line.wants_quota else None
        code = _code_of(given, terms)
        if line.wants_quota:
            codes.append(code)
        if isinstance(given, LineGrant) and given.switch_us:
            extra += _around_change(asked, line, given, next(told), decided.currency)
            continue
        quota = _quota(asked, line, given, decided.currency)
        extra.append(_mscc(line.ask, quota, code) if form.is_multiple else quota)
    if form.kind == UPDATE:
        extra.append(_cost(sum([line.cost_micro for line in decided.lines]), decided.currency))
    extra.append(terms.of_balance(decided.shown_micro))
    extra.append(_remaining(decided.shown_micro, decided.currency))
    return _written(asked, identity, _overall(asked, codes), extra)


def _overall(asked: Asked, codes: Sequence[int]) -> int:
    """
    The Result-Code of the command.

    A refusal of one rating group ends nothing else, so on a session of several services the command
    succeeds; a session that has but one, or gets nothing when it begins, is refused as a whole.
    """
    if not codes or codec.SUCCESS in codes:
        return codec.SUCCESS
    if asked.ccr.form.kind != INITIAL and not asked.plan.is_single:
        return codec.SUCCESS
    return codes[0]


def _code_of(given: LineGrant | LineDenial | None, terms: Terms) -> int:
    if isinstance(given, LineDenial):
        return codec.SUCCESS if _goes_on(given, terms) else CODE_OF[given.reason]
    if given is not None and given.is_free:
        return codec.CREDIT_CONTROL_NOT_APPLICABLE
    return codec.SUCCESS


def _goes_on(given: LineDenial, terms: Terms) -> bool:
    """Whether a line without money stays: its client redirects or restricts the user meanwhile (RFC 8506 5.6.4)."""
    return terms.outlasts_credit and given.reason is Reason.NO_CREDIT


def _quota(asked: Asked, line: Line, given: LineGrant | LineDenial | None, currency: str, change: bytes = b"") -> bytes:
    """
    Granted units with their validity and what else belongs to them.

    Without units the Final-Unit-Indication stands alone: the client starts its action at once.
    """
    terms = asked.plan.peer.terms
    if isinstance(given, LineDenial) and _goes_on(given, terms):
        return codec.u32(n.VALIDITY_TIME, asked.plan.peer.policy.validity_s) + terms.final
    if not isinstance(given, LineGrant) or given.is_free:
        return b""
    unit = given.key.unit  # another than was thought of when the client left it open
    code = line.code if UNIT_OF[line.code] == unit else USUAL_AVP[unit]
    written = granted(code, given.told, currency, change) + _TRIPLE.pack(n.VALIDITY_TIME, _M | 12, given.validity_s)
    written += terms.of_quota(unit, given.told, given.is_final)
    return written + terms.triggers if asked.ccr.form.is_multiple else written


def _around_change(
    asked: Asked, line: Line, before: LineGrant, after: LineGrant | LineDenial, currency: str
) -> Iterable[bytes]:
    """Two services of one key: what may be used until the price changes, and what from then on (RFC 8506 5.1.1)."""
    change = codec.u32(n.TARIFF_TIME_CHANGE, ntp_time(before.switch_us))
    for side, given in enumerate((before, after)):
        quota = _quota(asked, line, given, currency, b"" if side else change)
        yield _mscc(line.ask, codec.u32(n.TARIFF_CHANGE_USAGE, side) + quota, codec.SUCCESS)


def _mscc(ask: Ask, inner: bytes, code: int) -> bytes:
    payload = inner + ask.echo + (_CODES.get(code) or codec.u32(n.RESULT_CODE, code))
    return _HEAD.pack(n.MULTIPLE_SERVICES_CREDIT_CONTROL, _M | len(payload) + 8) + payload


def _cost(micro: int, currency: str) -> bytes:
    payload = money(micro, currency)
    if len(payload) == MONEY_SIZE:
        return _COST_HEAD + payload
    return codec.avp(n.COST_INFORMATION, payload)


def _remaining(micro: int, currency: str) -> bytes:
    payload = money(micro, currency)
    if len(payload) == MONEY_SIZE:
        return _REMAINING_HEAD + payload
    return codec.avp(_REMAINING_BALANCE, payload, 0, VENDOR_3GPP)


def _unrated(asked: Asked, reason: Reason) -> bytes:
    """What cannot be rated: the units (money of another currency), the first rating key, or the context."""
    units = asked.ccr.message.first(n.REQUESTED_SERVICE_UNIT)
    if reason is Reason.INVALID and units is not None:
        return units.encoded()
    for line in asked.plan.lines:
        if line.ask.echo:
            return line.ask.echo[:12]
    return codec.text(n.SERVICE_CONTEXT_ID, asked.ccr.form.context)


def _written(asked: Asked, identity: Identity, code: int, extra: Iterable[bytes]) -> bytes:
    ccr = asked.ccr
    form = ccr.form
    kind = form.kind
    body = [
        codec.avp(n.SESSION_ID, ccr.session_id.encode()),
        _head(identity, kind, code),
        _TRIPLE.pack(n.CC_REQUEST_NUMBER, _M | 12, ccr.number),
    ]
    if form.sub_session is not None:
        body.append(codec.u64(n.CC_SUB_SESSION_ID, form.sub_session))
    body += extra
    if kind == INITIAL and code == codec.SUCCESS:
        body += (_FAILOVER, asked.plan.peer.terms.failure)
    body.append(ccr.proxies)
    joined = b"".join(body)
    return (
        HEADER.pack(
            1 << 24 | len(joined) + HEADER_SIZE,
            (ccr.flags & PROXIABLE) << 24 | n.CREDIT_CONTROL,
            n.APPLICATION_CREDIT_CONTROL,
            ccr.hop_by_hop,
            ccr.end_to_end,
        )
        + joined
    )


@lru_cache(maxsize=256)
def _head(identity: Identity, kind: int, code: int) -> bytes:
    """What stands between Session-Id and CC-Request-Number."""
    result = codec.u32(n.RESULT_CODE, code)
    return result + identity.avps() + _APPLICATION + codec.u32(n.CC_REQUEST_TYPE, kind)


def result_in(message: Message) -> int:
    """The Result-Code of an answer that was received; 0 when it has none."""
    found = message.first(n.RESULT_CODE)
    return int.from_bytes(found.payload, "big") if found else 0


def result_of(data: bytes) -> str:
    """The Result-Code of an answer written here, as text: its first AVP, or the second behind Session-Id."""
    at = HEADER_SIZE
    if data[at : at + 4] == _SESSION_ID:
        at += int.from_bytes(data[at + 5 : at + 8], "big") + 3 & -4
    code = data[at + 8 : at + 12]
    return _TEXTS.get(code) or str(int.from_bytes(code, "big"))
