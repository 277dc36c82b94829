"""
Answers written by a profile: a grant, a refusal, a proof, as attributes the client can take.

Session-Timeout is never 0: many clients read it as unlimited (DIGEST R-RAD-80).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.engine.answers import Denial, Grant, LineDenial, LineGrant
from aaa.engine.terms import Reason
from aaa.radius import attributes as a
from aaa.radius.packet import attribute, integer

if TYPE_CHECKING:
    from aaa.radius.clients import Nas
    from aaa.radius.profiles.profile import Profile

TERMINATE_AND_ASK = 1  # Termination-Action RADIUS-Request, RFC 2865 5.29
_GIGA = 1 << 32

# h323-return-code, DIGEST 2.1
_RETURN_CODES = {
    Reason.NO_CREDIT: 12,
    Reason.UNKNOWN_ACCOUNT: 2,  # as a wrong password: who exists is not told
    Reason.NOT_ALLOWED: 2,
    Reason.ACCOUNT_SUSPENDED: 7,
    Reason.ACCOUNT_EXPIRED: 5,
    Reason.DESTINATION_BLOCKED: 9,
    Reason.UNKNOWN_DESTINATION: 9,
    Reason.LIMIT_SESSIONS: 3,
    Reason.LIMIT_CALL: 6,
    Reason.LIMIT_WINDOW: 6,
    Reason.INVALID: 11,
}
_SERVICE_UNAVAILABLE = 8
_NOT_PRICED = frozenset((Reason.NO_TARIFF, Reason.UNKNOWN_DESTINATION))  # of one line beside another: no limit
_MESSAGES = {
    Reason.NO_CREDIT: b"Insufficient credit",
    Reason.ACCOUNT_SUSPENDED: b"Account suspended",
    Reason.ACCOUNT_EXPIRED: b"Account expired",
    Reason.DESTINATION_BLOCKED: b"Destination not allowed",
    Reason.UNKNOWN_DESTINATION: b"Destination not available",
    Reason.NO_TARIFF: b"Destination not available",
    Reason.LIMIT_SESSIONS: b"Too many sessions",
    Reason.LIMIT_CALL: b"Limit reached",
    Reason.LIMIT_WINDOW: b"Limit reached",
    Reason.LIMIT_RATE: b"Too many requests",
}


def granted(nas: Nas, grant: Grant, handed: tuple[bytes, bytes] = (b"", b"")) -> bytes | None:
    """
    Write the attributes of an Accept that grants; None when no line got anything a client can be told.

    Args:
        handed: Class and State for the session; State goes out only where the client is to come back.
    """
    profile = nas.profile
    told = _told(grant.lines)
    if not told:
        return None
    takes = profile.takes
    body = b""
    for line in told:
        body += _limit(nas, line) if line.key.unit == "seconds" else _volume(profile, line)
    if profile.shows_balance:
        body += balance(profile, grant.shown_micro, grant.currency)
    returns = nas.refill == "reauth" and not profile.renews_by_interval
    if handed[1] and returns and not all([line.is_final for line in told]):
        body += integer(a.TERMINATION_ACTION, TERMINATE_AND_ASK) + attribute(a.STATE, handed[1])
    if handed[0] and (takes is None or a.CLASS in takes):
        body += attribute(a.CLASS, handed[0])
    if profile.interim_interval_s and nas.refill != "whole":
        body += integer(a.ACCT_INTERIM_INTERVAL, profile.interim_interval_s)
    return body


def _told(lines: tuple[LineGrant | LineDenial, ...]) -> list[LineGrant]:
    """The lines that got something; none when one that is priced was refused."""
    told = []
    for line in lines:
        if isinstance(line, LineGrant):
            if line.told > 0:
                told.append(line)
        elif line.reason not in _NOT_PRICED:
            return []
    return told


def changed(nas: Nas, grant: Grant) -> bytes | None:
    """
    Write the limits of a CoA-Request, counted from the session's start (RFC 5176 3.1); None when one
    of them is used up.
    """
    body = b""
    for line in grant.lines:
        if isinstance(line, LineDenial):
            if line.reason not in _NOT_PRICED:
                return None
        elif line.told <= 0:
            return None
        elif line.key.unit == "seconds":
            body += integer(a.SESSION_TIMEOUT, line.told)
        else:
            body += _volume(nas.profile, line)
    return body or None


def _limit(nas: Nas, line: LineGrant) -> bytes:
    """Write a grant of seconds in the ways the profile says."""
    profile = nas.profile
    body = b""
    for way in profile.grants_by:
        if way == "credit-time":
            body += _voice(profile, a.H323_CREDIT_TIME, "h323-credit-time", str(line.told))
            body += _voice(profile, a.H323_RETURN_CODE, "h323-return-code", "0")
        elif way == "session-timeout":
            body += integer(a.SESSION_TIMEOUT, line.told)
        elif way == "sip-avp":
            body += attribute(a.SIP_AVP, b"credit_time#%d" % line.told)
    if profile.renews_by_interval and nas.refill != "whole" and not line.is_final:
        interval = renewal_s(line.told)
        if interval:
            body += integer(a.ACCT_INTERIM_INTERVAL, interval)
    return body


def renewal_s(told: int) -> int:
    """
    Return when a client should ask again, safely before its grant ends; 0: too short to renew.

    A fifth of the grant is kept for the answer to be late, at least 3 s and at most 15.

    >>> [renewal_s(told) for told in (1, 2, 4, 8, 60, 300)]
    [0, 1, 1, 5, 48, 285]
    """
    margin = min(max(3, told // 5), 15)
    return told - margin if told > margin else told // 2


def _volume(profile: Profile, line: LineGrant) -> bytes:
    """Write a grant of octets; there is no standard attribute (DIGEST R-NAS-04)."""
    body = b""
    for way in profile.grants_by:
        if way == "total-octets-mikrotik":
            body += integer(a.MIKROTIK_TOTAL_LIMIT, line.told % _GIGA)
            body += integer(a.MIKROTIK_TOTAL_LIMIT_GIGAWORDS, line.told // _GIGA)
        elif way == "total-octets-chillispot":
            body += integer(a.CHILLISPOT_MAX_TOTAL_OCTETS, line.told)  # 32 bits only: clamped
    return body


def balance(profile: Profile, shown_micro: int, currency: str) -> bytes:
    """Write what a person would be shown of the account."""
    body = _voice(profile, a.H323_CREDIT_AMOUNT, "h323-credit-amount", money(shown_micro))
    return body + _voice(profile, a.H323_CURRENCY, "h323-currency", currency) if currency else body


def money(amount_micro: int) -> str:
    """
    Write an amount with at least two decimals and no needless ones.

    >>> money(10_000_000), money(-12_345_600), money(1)
    ('10.00', '-12.3456', '0.000001')
    """
    sign = "-" if amount_micro < 0 else ""
    whole, fraction = divmod(abs(amount_micro), 1_000_000)
    return f"{sign}{whole}.{f'{fraction:06}'.rstrip('0').ljust(2, '0')}"


def authenticated(profile: Profile, payer: str = "") -> bytes:
    """Write an Accept that grants nothing: who it is was checked, no more."""
    if payer and profile.names_payer:
        return attribute(a.CHARGEABLE_USER_IDENTITY, payer.encode()[:253])
    return b""


def shown(profile: Profile, shown_micro: int, currency: str) -> bytes:
    """Write an Accept that tells the balance and grants nothing."""
    code = _voice(profile, a.H323_RETURN_CODE, "h323-return-code", "0")
    return code + balance(profile, shown_micro, currency)


def refused(profile: Profile, denial: Denial) -> tuple[bool, bytes]:
    """
    Write a refusal.

    Returns:
        Whether it goes as an Accept (with credit 0 and a reason, for clients that show nothing of a
        Reject to their dialplan), and its attributes.
    """
    code = str(_RETURN_CODES.get(denial.reason, _SERVICE_UNAVAILABLE))
    if profile.rejects_by_accept:
        body = _voice(profile, a.H323_CREDIT_TIME, "h323-credit-time", "0")
        return True, body + _voice(profile, a.H323_RETURN_CODE, "h323-return-code", code)
    body = b""
    if profile.explains_rejects:
        body = _voice(profile, a.H323_RETURN_CODE, "h323-return-code", code)
    message = _MESSAGES.get(denial.reason)
    if message and (profile.takes is None or a.REPLY_MESSAGE in profile.takes):
        body += attribute(a.REPLY_MESSAGE, message)
    return False, body


def _voice(profile: Profile, code: int, name: str, value: str) -> bytes:
    return attribute(code, f"{name}={value}".encode() if profile.prefixes_values else value.encode())
