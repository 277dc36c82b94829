"""
Who pays: the explicit attributes of a client, turned into what the directory looks up (S23).

The first attribute that is present decides; what stands in a later one never pays for what an earlier
one names.  Calling-Station-Id pays only where the client's numbers are trusted.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from aaa.engine.numbers import looks_like_number, normalise
from aaa.radius import attributes as a
from aaa.radius import digest as sip_digest
from aaa.radius.names import code_of

if TYPE_CHECKING:
    from aaa.radius.clients import Nas

PACKET_SOURCE = -1
_ADDRESSES = frozenset((a.NAS_IP_ADDRESS, a.FRAMED_IP_ADDRESS, a.NAS_IPV6_ADDRESS))
_NOT_NAMES = _ADDRESSES | {PACKET_SOURCE, a.CALLING_STATION_ID, a.CISCO_AVPAIR}


class Source(NamedTuple):
    """Where an identity stands: an attribute, for Cisco-AVPair with the name inside it."""

    code: int
    pair: str = ""


def source_of(name: str) -> Source:
    """
    Resolve one entry of `identity`: a dictionary name, `Cisco-AVPair:src-gw-ip` for a named pair, or
    `Packet-Src-IP-Address` for the client's own address.

    Raises:
        ValueError: No dictionary has the name.

    >>> source_of("Digest-Username").code, source_of("Cisco-AVPair:src-gw-ip").pair
    (115, 'src-gw-ip')
    """
    if name == "Packet-Src-IP-Address":
        return Source(PACKET_SOURCE)
    attribute, _, pair = name.partition(":")
    code = code_of(attribute)
    if code is None or (pair and code != a.CISCO_AVPAIR) or (code == a.CISCO_AVPAIR and not pair):
        raise ValueError(f"{name!r} is no attribute of the dictionaries that can name a subscriber")
    return Source(code, pair)


def candidates(nas: Nas, attributes: a.Attributes, address: str) -> list[tuple[str, str]]:
    """
    Return the (type, value) pairs to look the payer up by, most literal first; [] when nothing names one.

    Args:
        address: The packet's source address.
    """
    for code, pair in nas.identity:
        if code not in _NOT_NAMES:
            value = _name(attributes, code)
            if value:
                return _of_name(nas, value)
        elif code == PACKET_SOURCE:
            return [("ip", address)]
        elif code in _ADDRESSES:
            value = a.address(a.first(attributes, code))
            if value:
                return [("ip", value)]
        elif code == a.CALLING_STATION_ID:
            value = a.text(attributes, code)
            if value and nas.trust_calling_station_id:
                return [("e164", normalise(value, nas.numbers)), ("username", value)]
        else:
            value = _pair(attributes, pair)
            if value:
                return [("ip", value) if _is_address(value) else ("username", value)]
    return []


def _name(attributes: a.Attributes, code: int) -> str:
    value = a.text(attributes, code)
    if not value and code == a.DIGEST_USERNAME and a.STERMAN_ATTRIBUTES in attributes:
        found = sip_digest.read(attributes)
        value = a.as_text(found.username) if found else ""
    return value


def _of_name(nas: Nas, value: str) -> list[tuple[str, str]]:
    """A name as it is; an address or a number also as such; with a realm as SIP URI, bare where it is ours."""
    found = [("username", value)]
    user, at, realm = value.partition("@")
    if at:
        found.append(("sip_uri", value if value.startswith(("sip:", "sips:")) else "sip:" + value))
        if realm in nas.realms:
            found.append(("username", user))
    elif "." in value or ":" in value:  # never a number: 192.0.2.7 is not 192027
        if _is_address(value):
            found.append(("ip", value))
    elif looks_like_number(value):
        found.append(("e164", normalise(value, nas.numbers)))
        if nas.profile.takes_pins:
            found.append(("pin", value))
    return found


def _pair(attributes: a.Attributes, name: str) -> str:
    start = name.encode() + b"="
    for value in a.every(attributes, a.CISCO_AVPAIR):
        if value.startswith(start):
            return a.as_text(value[len(start) :])
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
