"""
Who we are towards peers and what both can do: the content of CER and CEA, and what every base request needs.

RFC 6733 sections 5.3 to 5.5; credit control is the one application, relays offer all of them.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import ERROR, Invalid, Message
from aaa.diameter.dictionary import VENDOR_3GPP

PRODUCT = "prepaid-aaa"
_NEEDED = {
    n.CAPABILITIES_EXCHANGE: (n.ORIGIN_HOST, n.ORIGIN_REALM, n.HOST_IP_ADDRESS, n.VENDOR_ID, n.PRODUCT_NAME),
    n.DEVICE_WATCHDOG: (n.ORIGIN_HOST, n.ORIGIN_REALM),
    n.DISCONNECT_PEER: (n.ORIGIN_HOST, n.ORIGIN_REALM, n.DISCONNECT_CAUSE),
}
BASE_COMMANDS = frozenset(_NEEDED)
_APPLICATION_IDS = (n.AUTH_APPLICATION_ID, n.ACCT_APPLICATION_ID)


@lru_cache(maxsize=8)
def _origin(host: str, realm: str) -> bytes:
    return codec.text(n.ORIGIN_HOST, host) + codec.text(n.ORIGIN_REALM, realm)


class Identity(NamedTuple):
    """Who we are towards peers; `state_id` rises with every loss of state (ours never is lost)."""

    origin_host: str
    origin_realm: str
    state_id: int = 1

    def avps(self) -> bytes:
        """Origin-Host and Origin-Realm, as every message of ours carries them."""
        return _origin(self.origin_host, self.origin_realm)


def offer(identity: Identity, address: str) -> bytes:
    """What a CEA tells of us; Kamailio wants the application in both forms (DIAMETER.md)."""
    packed = ipaddress.ip_address(address).packed
    family = b"\0\1" if len(packed) == 4 else b"\0\2"
    vendor = codec.u32(n.VENDOR_ID, VENDOR_3GPP)
    application = codec.u32(n.AUTH_APPLICATION_ID, n.APPLICATION_CREDIT_CONTROL)
    return b"".join(
        (
            codec.avp(n.HOST_IP_ADDRESS, family + packed),
            codec.u32(n.VENDOR_ID, 0),
            codec.text(n.PRODUCT_NAME, PRODUCT, 0),
            codec.u32(n.ORIGIN_STATE_ID, identity.state_id),
            codec.u32(n.SUPPORTED_VENDOR_ID, VENDOR_3GPP),
            application,
            codec.avp(n.VENDOR_SPECIFIC_APPLICATION_ID, vendor + application),
        )
    )


def check(message: Message) -> None:
    """
    What every request of the base application must have.

    Raises:
        Invalid: The first rule broken.
    """
    if message.flags & ERROR:
        raise Invalid(codec.INVALID_HEADER_BITS)
    if message.problem is not None:
        raise message.problem
    for code in _NEEDED[message.command]:
        found = message.first(code)
        if found is None:
            raise codec.missing(code)
        if code == n.ORIGIN_HOST and not found.payload:
            raise Invalid(codec.INVALID_AVP_VALUE, found.encoded())


def check_applications(message: Message) -> None:
    """
    Credit control, or everything (a relay), must be among what the peer speaks.

    Raises:
        Invalid: 5010, or 5005 for a Vendor-Specific-Application-Id that names none.
    """
    offered = {codec.read_u32(one) for code in _APPLICATION_IDS for one in message.every(code)}
    for outer in message.every(n.VENDOR_SPECIFIC_APPLICATION_ID):
        inner = [codec.read_u32(one) for one in codec.group(outer) if one.key in _APPLICATION_IDS]
        if not inner:
            example = b"".join(codec.u32(code, 0) for code in _APPLICATION_IDS)
            raise Invalid(codec.MISSING_AVP, example)
        offered.update(inner)
    if not offered & {n.APPLICATION_CREDIT_CONTROL, n.APPLICATION_RELAY}:
        raise Invalid(codec.NO_COMMON_APPLICATION)
