"""
What every Credit-Control-Request must have, may have once, and must not have (RFC 8506 3.1, DIGEST section 3).

Real clients differ from the grammar; what cannot be misunderstood is taken (DIAMETER.md, item 2).
"""

from __future__ import annotations

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid, Message
from aaa.diameter.dictionary import DEFINITIONS

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
_UNRULED = frozenset(DEFINITIONS) - _NEVER - frozenset(_RANGES)


def checked(message: Message) -> dict[int, Avp]:
    """
    The first AVP of each key, once the command's rules are kept.

    Raises:
        Invalid: The first rule broken, with the AVP that breaks it.
    """
    first: dict[int, Avp] = {}
    for one in message.avps:
        key = one[0]
        if key in first:
            if key in _ONCE:
                raise Invalid(codec.AVP_OCCURS_TOO_MANY_TIMES, one.encoded())
            continue
        first[key] = one
        if key in _UNRULED:
            continue
        if key in _NEVER:
            raise Invalid(codec.AVP_NOT_ALLOWED, one.encoded())
        if is_unknown(one):
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


def is_unknown(one: Avp) -> bool:
    """Whether an AVP must be understood and is not (RFC 6733 4.1)."""
    return bool(one.flags & codec.MANDATORY) and one.key not in DEFINITIONS
