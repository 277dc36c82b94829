"""
Who takes part: the payer of a Subscription-Id, caller and called party of Service-Information (TS 32.299 7.2).
"""

from __future__ import annotations

from typing import NamedTuple

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid

_IDENTITY_TYPES = {0: "e164", 1: "imsi", 2: "sip_uri", 3: "nai", 4: "private"}
_DIRECTIONS = {0: "out", 1: "in", 2: "out"}
"""By Role-Of-Node (TS 32.299 7.2.160): who forwards a call pays for it as for one of his own."""
_EXTENSIONS = {660: "e164", 661: "imsi", 662: "sip_uri", 663: "nai", 664: "private"}


class Walk:
    """What of a message was looked at: `opened` groups, decoded `texts`; what is not here decided nothing."""

    __slots__ = ("opened", "texts")

    def __init__(self, top: tuple[Avp, ...]) -> None:
        self.opened: list[tuple[Avp | None, tuple[Avp, ...]]] = [(None, top)]
        self.texts: list[Avp] = []

    def group(self, outer: Avp) -> tuple[Avp, ...]:
        """The AVPs of a group; `Invalid` when they cannot be read."""
        inner = codec.group(outer)
        self.opened.append((outer, inner))
        return inner

    def text(self, one: Avp) -> str:
        """The text of an AVP; `Invalid` when it is none."""
        self.texts.append(one)
        try:
            return one.payload.decode()
        except UnicodeDecodeError as error:
            raise Invalid(codec.INVALID_AVP_VALUE, one.encoded(), "not UTF-8") from error


class Named(NamedTuple):
    """A way the payer is named: its type, its value as sent, and the AVP it was read from."""

    kind: str
    value: str
    source: Avp | None


class Parties(NamedTuple):
    """Who is in Service-Information; an absent party is empty and has no AVP."""

    identities: tuple[Named, ...] = ()
    calling: str = ""
    called: str = ""
    direction: str = ""
    calling_source: Avp | None = None
    called_source: Avp | None = None


def identity(outer: Avp, walk: Walk) -> Named:
    """
    A Subscription-Id or its extension.

    Raises:
        Invalid: A type nobody knows, or none.
    """
    kind = value = ""
    source = None
    for one in walk.group(outer):
        if one.key == n.SUBSCRIPTION_ID_TYPE:
            kind = _IDENTITY_TYPES.get(codec.read_i32(one), "")
            if not kind:
                raise Invalid(codec.INVALID_AVP_VALUE, codec.wrapped(outer, one))
        elif one.key == n.SUBSCRIPTION_ID_DATA:
            value, source = walk.text(one), one
        elif one.key in _EXTENSIONS:
            kind, value, source = _EXTENSIONS[one.key], walk.text(one), one
    if not kind:
        raise codec.missing(n.SUBSCRIPTION_ID_TYPE)
    return Named(kind, value, source)


def parties(information: Avp, walk: Walk) -> Parties:
    """
    Who calls whom, from Service-Information; what is unknown in it is passed over.

    Raises:
        Invalid: A group in it that cannot be read, a party that is no text.
    """
    identities: list[Named] = []
    calling = called = None
    direction = ""
    for outer in walk.group(information):
        if outer.key in (n.SUBSCRIPTION_ID, n.SUBSCRIPTION_ID_EXTENSION):
            identities.append(identity(outer, walk))
        elif outer.key == n.IMS_INFORMATION:
            inner = {one.key: one for one in reversed(walk.group(outer))}
            calling = inner.get(n.CALLING_PARTY_ADDRESS)
            called = inner.get(n.CALLED_PARTY_ADDRESS) or inner.get(n.REQUESTED_PARTY_ADDRESS)
            role = inner.get(n.ROLE_OF_NODE)
            direction = "" if role is None else _DIRECTIONS.get(codec.read_i32(role), "")
        elif outer.key == n.SMS_INFORMATION:
            called = _recipient(outer, walk)
        elif outer.key == n.PS_INFORMATION:
            called = next((one for one in walk.group(outer) if one.key == n.CALLED_STATION_ID), None)
    return Parties(
        tuple(identities),
        "" if calling is None else walk.text(calling),
        "" if called is None else walk.text(called),
        direction,
        calling,
        called,
    )


def _recipient(outer: Avp, walk: Walk) -> Avp | None:
    """The first recipient's address of an SMS."""
    for info in walk.group(outer):
        if info.key != n.RECIPIENT_INFO:
            continue
        for address in walk.group(info):
            if address.key != n.RECIPIENT_ADDRESS:
                continue
            for one in walk.group(address):
                if one.key == n.ADDRESS_DATA:
                    return one
    return None
