"""
Read a Credit-Control-Request: what it asks for, about whom, in which units (RFC 8506 3.1, TS 32.299).

Requests of real clients differ from the grammar; what cannot be misunderstood is taken (DIAMETER.md).
Everything else is refused with the AVP that is wrong.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid, Message
from aaa.diameter.dictionary import DEFINITIONS
from aaa.diameter.units import Amount, amounts, tariff_change_usage, time_of

INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4
_NEEDED = (
    n.SESSION_ID,
    n.ORIGIN_HOST,
    n.ORIGIN_REALM,
    n.DESTINATION_REALM,
    n.SERVICE_CONTEXT_ID,
    n.CC_REQUEST_TYPE,
    n.CC_REQUEST_NUMBER,
)
# Origin-Host and Origin-Realm are not among them: Kamailio sends both twice.
_ONCE = frozenset(
    (
        n.SESSION_ID,
        n.DESTINATION_REALM,
        n.DESTINATION_HOST,
        n.SERVICE_CONTEXT_ID,
        n.CC_REQUEST_TYPE,
        n.CC_REQUEST_NUMBER,
        n.REQUESTED_ACTION,
        n.REQUESTED_SERVICE_UNIT,
        n.MULTIPLE_SERVICES_INDICATOR,
        n.EVENT_TIMESTAMP,
        n.CC_SUB_SESSION_ID,
    )
)
_NEVER = frozenset(
    (
        n.RESULT_CODE,
        n.FAILED_AVP,
        n.GRANTED_SERVICE_UNIT,
        n.COST_INFORMATION,
        n.VALIDITY_TIME,
        n.FINAL_UNIT_INDICATION,
        n.CC_SESSION_FAILOVER,
        n.CREDIT_CONTROL_FAILURE_HANDLING,
        n.CHECK_BALANCE_RESULT,
    )
)
_RANGES = {n.CC_REQUEST_TYPE: range(1, 5), n.REQUESTED_ACTION: range(4), n.MULTIPLE_SERVICES_INDICATOR: range(2)}
_DIGESTED = frozenset(
    (
        n.CC_REQUEST_TYPE,
        n.REQUESTED_ACTION,
        n.SERVICE_CONTEXT_ID,
        n.SUBSCRIPTION_ID,
        n.SUBSCRIPTION_ID_EXTENSION,
        n.REQUESTED_SERVICE_UNIT,
        n.USED_SERVICE_UNIT,
        n.SERVICE_IDENTIFIER,
        n.RATING_GROUP,
        n.MULTIPLE_SERVICES_CREDIT_CONTROL,
        n.CC_SUB_SESSION_ID,
        n.REFUND_INFORMATION,
    )
)
_IDENTITY_TYPES = {0: "e164", 1: "imsi", 2: "sip_uri", 3: "nai", 4: "private"}
_EXTENSIONS = {660: "e164", 661: "imsi", 662: "sip_uri", 663: "nai", 664: "private"}
_PLACED = n.TARIFF_CHANGE_USAGE.to_bytes(4, "big")  # may stand for something else, too: then nothing is placed


class Ask(NamedTuple):
    """
    One service that is asked for or reported on: an MSCC, or the command level.

    `requested` is None when no quota is wanted, empty when the server is to choose; `echo` are the
    encoded Rating-Group and Service-Identifiers; `outer` the AVP to report when it cannot be rated;
    `before` and `after` what of the usage the client places on either side of a tariff change.
    """

    rating_group: int | None
    service_ids: tuple[int, ...]
    requested: tuple[Amount, ...] | None
    used: tuple[Amount, ...]
    echo: bytes
    outer: Avp | None = None
    before: tuple[Amount, ...] = ()
    after: tuple[Amount, ...] = ()


class Ccr(NamedTuple):
    """A request as it was understood; `identities` are (type, value) pairs as sent."""

    message: Message
    session_id: str
    origin_host: str
    origin_realm: str
    context: str
    kind: int
    number: int
    action: int
    asks: tuple[Ask, ...]
    is_multiple: bool
    identities: tuple[tuple[str, str], ...]
    calling: str
    called: str
    event_us: int
    refunds: bytes
    digest: str
    state_id: int  # Origin-State-Id; 0: not told

    @property
    def is_retransmitted(self) -> bool:
        return bool(self.message.flags & codec.RETRANSMITTED)


def read(message: Message) -> Ccr:
    """
    Read a CCR that is for us.

    Raises:
        Invalid: The first rule broken, with the AVP that breaks it.
    """
    first = _checked(message)
    kind = codec.read_i32(first[n.CC_REQUEST_TYPE])
    if kind == EVENT and n.REQUESTED_ACTION not in first:
        raise codec.missing(n.REQUESTED_ACTION)
    identities: list[tuple[str, str]] = []
    asks: list[Ask] = []
    level: list[Avp] = []
    digest = blake2b(digest_size=8)
    for one in message.avps:
        key = one.key
        if key in _DIGESTED:
            digest.update(b"%d:%d:" % (key, len(one.payload)) + one.payload)
        if key == n.MULTIPLE_SERVICES_CREDIT_CONTROL:
            asks.append(_ask(codec.group(one), one, kind))
        elif key in (n.SUBSCRIPTION_ID, n.SUBSCRIPTION_ID_EXTENSION):
            identities.append(_identity(one))
        else:
            level.append(one)
    is_multiple = bool(asks)
    _check_keys(asks)
    if not is_multiple:
        ask = _ask(tuple(level), None, kind)
        if kind in (INITIAL, EVENT) or ask.requested is not None or ask.used:
            asks.append(ask)
    party = _parties(first.get(n.SERVICE_INFORMATION))
    digest.update(party.called.encode())
    user_name = message.text(n.USER_NAME)
    if not identities:
        identities = party.identities or ([("nai", user_name)] if user_name else [])
    return Ccr(
        message,
        _text(first[n.SESSION_ID]),
        _text(first[n.ORIGIN_HOST]).lower(),
        _text(first[n.ORIGIN_REALM]),
        _text(first[n.SERVICE_CONTEXT_ID]),
        kind,
        codec.read_u32(first[n.CC_REQUEST_NUMBER]),
        codec.read_i32(first[n.REQUESTED_ACTION]) if n.REQUESTED_ACTION in first else -1,
        tuple(asks),
        is_multiple,
        tuple(identities),
        party.calling,
        party.called,
        _event_us(first.get(n.EVENT_TIMESTAMP)),
        first[n.REFUND_INFORMATION].payload if n.REFUND_INFORMATION in first else b"",
        digest.hexdigest(),
        codec.read_u32(first[n.ORIGIN_STATE_ID]) if n.ORIGIN_STATE_ID in first else 0,
    )


def _checked(message: Message) -> dict[int, Avp]:
    """The first AVP of each key, once the command's rules are kept."""
    first: dict[int, Avp] = {}
    for one in message.avps:
        key = one.key
        if key in first:
            if key in _ONCE:
                raise Invalid(codec.AVP_OCCURS_TOO_MANY_TIMES, one.encoded())
            continue
        first[key] = one
        if key in _NEVER:
            raise Invalid(codec.AVP_NOT_ALLOWED, one.encoded())
        if key not in DEFINITIONS and one.flags & codec.MANDATORY:
            raise Invalid(codec.AVP_UNSUPPORTED, one.encoded())
        allowed = _RANGES.get(key)
        if allowed is not None and codec.read_i32(one) not in allowed:
            raise Invalid(codec.INVALID_AVP_VALUE, one.encoded())
    for code in _NEEDED:
        if code not in first:
            raise codec.missing(code)
    for code in (n.SESSION_ID, n.ORIGIN_HOST):
        if not first[code].payload:
            raise Invalid(codec.INVALID_AVP_VALUE, first[code].encoded())
    application = first.get(n.AUTH_APPLICATION_ID)
    if application is None:
        if n.VENDOR_SPECIFIC_APPLICATION_ID not in first:
            raise codec.missing(n.AUTH_APPLICATION_ID)
    elif codec.read_u32(application) != n.APPLICATION_CREDIT_CONTROL:
        raise Invalid(codec.INVALID_AVP_VALUE, application.encoded())
    return first


def _ask(inner: tuple[Avp, ...], outer: Avp | None, kind: int) -> Ask:
    """What one MSCC, or the command level, asks for."""
    rating_group: int | None = None
    service_ids: list[int] = []
    requested: tuple[Amount, ...] | None = None
    used: list[Amount] = []
    sides: tuple[list[Amount], ...] = ([], [], [])
    echo: list[bytes] = []
    for one in inner:
        key = one.key
        if key == n.RATING_GROUP:
            rating_group = codec.read_u32(one)
            echo.append(codec.u32(n.RATING_GROUP, rating_group))
        elif key == n.SERVICE_IDENTIFIER:
            service_ids.append(codec.read_u32(one))
            echo.append(codec.u32(n.SERVICE_IDENTIFIER, service_ids[-1]))
        elif key == n.REQUESTED_SERVICE_UNIT:
            requested = tuple(amounts(one))
        elif key == n.USED_SERVICE_UNIT:
            found = amounts(one)
            used += found
            if _PLACED in one.payload:
                sides[tariff_change_usage(one)].extend(found)
        elif outer is not None and key not in DEFINITIONS and one.flags & codec.MANDATORY:
            raise Invalid(codec.AVP_UNSUPPORTED, _wrapped(outer, one))
    if outer is None and kind in (INITIAL, EVENT) and requested is None:
        requested = ()  # at the command level a first request asks, whether it says so or not (RFC 8506 3.1)
    if kind == TERMINATION:
        requested = None
    before, after, _ = sides
    return Ask(
        rating_group, tuple(service_ids), requested, tuple(used), b"".join(echo), outer, tuple(before), tuple(after)
    )


def _check_keys(asks: list[Ask]) -> None:
    """Quota for one rating key may be asked for once in a request."""
    asking = set()
    for ask in asks:
        key = ask.rating_group, ask.service_ids
        if ask.requested is None:
            continue
        if key in asking and ask.outer is not None:
            raise Invalid(codec.AVP_OCCURS_TOO_MANY_TIMES, ask.outer.encoded())
        asking.add(key)


def _wrapped(outer: Avp, inner: Avp) -> bytes:
    return codec.avp(outer.key & 0xFFFFFFFF, inner.encoded(), outer.flags & 0x7F, outer.key >> 32)


def _identity(outer: Avp) -> tuple[str, str]:
    """A Subscription-Id or its extension as (type, value)."""
    kind = value = ""
    for one in codec.group(outer):
        if one.key == n.SUBSCRIPTION_ID_TYPE:
            kind = _IDENTITY_TYPES.get(codec.read_i32(one), "")
            if not kind:
                raise Invalid(codec.INVALID_AVP_VALUE, _wrapped(outer, one))
        elif one.key == n.SUBSCRIPTION_ID_DATA:
            value = _text(one)
        elif one.key in _EXTENSIONS:
            kind, value = _EXTENSIONS[one.key], _text(one)
    if not kind:
        raise codec.missing(n.SUBSCRIPTION_ID_TYPE)
    return kind, value


class _Parties(NamedTuple):
    identities: list[tuple[str, str]]
    calling: str
    called: str


_NOBODY = _Parties([], "", "")


def _parties(information: Avp | None) -> _Parties:
    """Who calls whom, from Service-Information; what is unknown or broken in it is passed over."""
    if information is None:
        return _NOBODY
    identities: list[tuple[str, str]] = []
    calling = called = ""
    for outer in codec.group(information):
        if outer.key in (n.SUBSCRIPTION_ID, n.SUBSCRIPTION_ID_EXTENSION):
            identities.append(_identity(outer))
        elif outer.key == n.IMS_INFORMATION:
            inner = {one.key: one for one in reversed(codec.group(outer))}
            calling = _text(inner[n.CALLING_PARTY_ADDRESS]) if n.CALLING_PARTY_ADDRESS in inner else ""
            wanted = inner.get(n.CALLED_PARTY_ADDRESS) or inner.get(n.REQUESTED_PARTY_ADDRESS)
            called = _text(wanted) if wanted is not None else ""
        elif outer.key == n.SMS_INFORMATION:
            called = _recipient(outer)
        elif outer.key == n.PS_INFORMATION:
            called = next((_text(one) for one in codec.group(outer) if one.key == n.CALLED_STATION_ID), "")
    return _Parties(identities, calling, called)


def _recipient(outer: Avp) -> str:
    """The first recipient's address of an SMS."""
    for info in codec.group(outer):
        if info.key != n.RECIPIENT_INFO:
            continue
        for address in codec.group(info):
            if address.key != n.RECIPIENT_ADDRESS:
                continue
            for one in codec.group(address):
                if one.key == n.ADDRESS_DATA:
                    return _text(one)
    return ""


def _text(one: Avp) -> str:
    try:
        return one.payload.decode()
    except UnicodeDecodeError as error:
        raise Invalid(codec.INVALID_AVP_VALUE, one.encoded(), "not UTF-8") from error


def _event_us(one: Avp | None) -> int:
    return 0 if one is None else time_of(codec.read_u32(one))
