"""
Access-Requests read by a profile: what is asked, about which session, as which idempotency identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.engine.commands import Begin, Identity, LineRequest, Total
from aaa.engine.numbers import Number, normalise, parse
from aaa.radius import attributes as a
from aaa.radius import digest as sip_digest
from aaa.radius.profiles.profile import Profile
from aaa.radius.profiles.values import conference_id, pair, without_prefix
from aaa.value import Value

if TYPE_CHECKING:
    from aaa.radius.clients import Nas

_BY_ID = ("s",)
_NO_NUMBER = Number("", "", "")


class Ask(Value, frozen=True):
    """
    What an Access-Request asks.

    `names` are the session's names, preferred first, empty when it names none; `number` and `digest`
    are its identity within the session (S7), before a State has been looked at.
    """

    names: tuple[str, ...]
    only_authenticates: bool
    received: str
    called: Number
    caller: str
    used: int | None
    is_transfer: bool
    number: str
    digest: str


def read(nas: Nas, attributes: a.Attributes, authenticator: bytes) -> Ask:
    """
    Read an Access-Request.

    A request for service that names no called number is one for a data session; profiles of voice
    switches that ask with one (`asks_by_request_type`) mean authentication alone without it.
    """
    profile, plan = nas.profile, nas.numbers
    received = a.first_text(attributes, profile.called)
    method = b""
    if not received and a.STERMAN_RESPONSE in attributes:
        found = sip_digest.read(attributes)
        if found:
            method = found.method
            received = a.as_text(found.uri) if method == b"INVITE" else ""
    elif a.DIGEST_METHOD in attributes:
        method = a.first(attributes, a.DIGEST_METHOD)
    caller = a.first_text(attributes, profile.calling)
    phase = pair(attributes, "prepaid-phase")
    used = a.number(attributes, a.ACCT_SESSION_TIME)
    names = session_names(profile, attributes, is_access=True, phase=phase)
    if used is not None and phase == "transfer":
        number, digest = f"t{used}.transfer.{received}", ""
    else:
        number, digest = _identity(attributes, names, used, authenticator)
    if used == 0 and phase != "update":
        used = None  # nothing is known yet; a transfer of the shipped dialplan may say 0 in mid-call
    return Ask(
        names,
        _only_authenticates(profile, attributes, received, method),
        received,
        parse(received, plan) if received else _NO_NUMBER,
        normalise(caller, plan) if caller else "",
        used,
        phase == "transfer",
        number,
        digest,
    )


def _only_authenticates(profile: Profile, attributes: a.Attributes, received: str, method: bytes) -> bool:
    if method and method != b"INVITE":
        return True
    if profile.asks_by_request_type:
        return not received or pair(attributes, "request-type") == "user"
    if profile.asks_by_called and not received:
        return True
    return a.number(attributes, a.SERVICE_TYPE) == a.AUTHENTICATE_ONLY


def _identity(
    attributes: a.Attributes, names: tuple[str, ...], used: int | None, authenticator: bytes
) -> tuple[str, str]:
    """
    Name the request within its session (S7): `t` with the seconds used, else `b` with the authenticator.

    A digest that names its call by Call-ID alone is named by its response: another response under the
    same Call-ID is another call, not a refill.
    """
    if used is not None:
        return f"t{used}", ""
    if a.DIGEST_RESPONSE in attributes and names and names[0][0] == "m":
        return "d" + a.text(attributes, a.DIGEST_RESPONSE), ""
    return "b", authenticator.hex()


def session_names(profile: Profile, attributes: a.Attributes, is_access: bool, phase: str = "") -> tuple[str, ...]:
    """
    Return the names of the session a request belongs to, preferred first.

    A caller chooses its SIP Call-ID.  So an Access-Request that names its session properly does not
    bring the Call-ID along, except to find the session again in mid-call.
    """
    if profile.session_keys == _BY_ID and not profile.session_pair:
        value = a.text(attributes, a.ACCT_SESSION_ID)
        return ("s:" + value,) if value else ()
    names = []
    for kind in profile.session_keys:
        if kind == "s":
            value = a.text(attributes, a.ACCT_SESSION_ID)
            if not value and profile.session_pair:
                value = pair(attributes, profile.session_pair)
            if value:
                names.append("s:" + value)
        elif kind == "m":
            if is_access and names and phase in ("", "initial"):
                continue
            value = a.text(attributes, a.ACCT_MULTI_SESSION_ID)
            if value:
                names.append("m:" + value)
        elif a.H323_CONF_ID in attributes and not names:
            name = _conference_name(profile, attributes, is_access)
            if name:
                names.append(name)
    return tuple(names)


def _conference_name(profile: Profile, attributes: a.Attributes, is_access: bool) -> str:
    """
    Name a session by its conference id and the leg.

    FreeSWITCH's stock INVITE authorization sends its Core-UUID there, the same for every call: it is
    believed in an Access-Request only when h323-call-id says the same.
    """
    conference = conference_id(a.text(attributes, a.H323_CONF_ID))
    if not conference:
        return ""
    if is_access and profile.asks_by_request_type and pair(attributes, "h323-call-id") != conference:
        return ""
    return f"h:{conference}:{call_origin(attributes) or profile.charged_origin}"


def call_origin(attributes: a.Attributes) -> str:
    """Return h323-call-origin, `answer` or `originate`, "" when absent."""
    return without_prefix(a.text(attributes, a.H323_CALL_ORIGIN), "h323-call-origin")


def lines(profile: Profile, ask: Ask) -> tuple[LineRequest, ...]:
    """Return the lines a request asks for, with the usage it reports for the one in seconds."""
    destination = ask.called.normalised
    return tuple(
        [
            LineRequest(key, _usage(key.unit, ask.used), True, None, destination, ask.received)
            for key in profile.charge_keys
        ]
    )


def _usage(unit: str, used: int | None) -> Total | None:
    return Total(used) if used is not None and unit == "seconds" else None


def begin(ask: Ask, nas: Nas, keys: tuple[str, ...], identity: Identity, subscriber: str) -> Begin:
    """
    Build the command for a request that asks for service; the engine decides whether it begins,
    repeats, refills or transfers.

    Args:
        keys: The session's full names, at least one; the first is its key if it begins now.
    """
    return Begin(
        key=keys[0],
        identity=identity,
        policy=nas.policy,
        lines=lines(nas.profile, ask),
        origin=nas.name,
        aliases=keys[1:],
        subscriber=subscriber,
        caller=ask.caller,
        transfer=ask.is_transfer,
    )
