"""
What must hold before a packet reaches a decision; everything that fails is silence and a counter.

Order: code for the socket, request authenticator or Message-Authenticator, then the rules against
CVE-2024-3596 (DIGEST R-RAD-20..28).  A packet that fails here touches nothing: no duplicate cache, no
counter of guesses, no session.
"""

from __future__ import annotations

from collections.abc import Mapping

from aaa.radius import attributes as a
from aaa.radius.clients import Nas
from aaa.radius.packet import (
    ACCESS_REQUEST,
    ACCOUNTING_REQUEST,
    STATUS_SERVER,
    ZEROS,
    Packet,
    Secret,
    has_valid_request_authenticator,
    has_valid_signature,
)

AUTH = 0
ACCT = 1
STREAM = 2

_CREDENTIALS = frozenset(
    (
        a.USER_PASSWORD,
        a.CHAP_PASSWORD,
        a.EAP_MESSAGE,
        a.ARAP_PASSWORD,
        a.STATE,
        a.DIGEST_RESPONSE,
        a.DIGEST_METHOD,
        a.STERMAN_RESPONSE,
        a.MS_CHAP_RESPONSE,
        a.MS_CHAP2_RESPONSE,
    )
)
_STATUSES = frozenset((a.START, a.STOP, a.INTERIM, a.ACCOUNTING_ON, a.ACCOUNTING_OFF, a.FAILED))


class Refused(Exception):
    """
    A packet that is dropped.

    Args:
        reason: The name under which the drop is counted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Learned:
    """
    What `auto` has learned of one source address: that it signs, and whether it is a proxy.

    Of an address and not of an entry: an entry may be a network, and one switch in it that signs says nothing of its
    neighbours.  Kept apart from `Nas`, because it outlives a reload of the configuration.
    """

    __slots__ = ("is_direct", "signs")

    def __init__(self) -> None:
        self.signs = False
        self.is_direct = False


def accounting(packet: Packet, nas: Nas) -> Secret:
    """
    Check an Accounting-Request and return the secret it was signed with.

    Raises:
        Refused: `bad_authenticator`, `bad_signature`, `bad_attributes` (not exactly one
            Acct-Status-Type that is known, more than one session id; RFC 2866 5.13).
    """
    for secret in nas.secrets:
        if has_valid_request_authenticator(packet, secret):
            break
    else:
        raise Refused("bad_authenticator")
    if packet.signature_at and not has_valid_signature(packet, secret, ZEROS):
        raise Refused("bad_signature")
    attributes = packet.attributes
    is_single = isinstance(attributes.get(a.ACCT_STATUS_TYPE), bytes)
    if not is_single or a.number(attributes, a.ACCT_STATUS_TYPE) not in _STATUSES:
        raise Refused("bad_attributes")
    if packet.repeats and isinstance(attributes.get(a.ACCT_SESSION_ID), list):
        raise Refused("bad_attributes")
    return secret


def access(packet: Packet, nas: Nas, learned: Learned) -> Secret:
    """
    Check an Access-Request and return the secret it was made with, the first where nothing tells.

    Raises:
        Refused: `bad_signature`, `unsigned` (the client must sign, or EAP without a signature),
            `unsigned_proxy_state`, `no_credentials` (RFC 3579 3.3: nothing to check and unsigned).
    """
    attributes = packet.attributes
    if packet.signature_at:
        secret = _signer(packet, nas)
        learned.signs = True
        return secret
    if nas.require_message_authenticator == "yes" or (nas.require_message_authenticator == "auto" and learned.signs):
        raise Refused("unsigned")
    if a.EAP_MESSAGE in attributes:
        raise Refused("unsigned")
    if a.PROXY_STATE in attributes:
        if nas.limit_proxy_state == "yes" or (nas.limit_proxy_state == "auto" and learned.is_direct):
            raise Refused("unsigned_proxy_state")
    else:
        learned.is_direct = True
    if not nas.authorize_without_credentials and not nas.profile.always_answers and _CREDENTIALS.isdisjoint(attributes):
        raise Refused("no_credentials")
    return nas.secrets[0]


def status_server(packet: Packet, nas: Nas) -> Secret:
    """
    Check a Status-Server, which must be signed (RFC 5997 3).

    Raises:
        Refused: `unsigned` or `bad_signature`.
    """
    if not packet.signature_at:
        raise Refused("unsigned")
    return _signer(packet, nas)


def _signer(packet: Packet, nas: Nas) -> Secret:
    for secret in nas.secrets:
        if has_valid_signature(packet, secret):
            return secret
    raise Refused("bad_signature")


# Codes a socket takes (RFC 2865 3, RFC 2866 3, RFC 5997 4.2); RadSec takes all three on one.
CODES: Mapping[int, frozenset[int]] = {
    AUTH: frozenset((ACCESS_REQUEST, STATUS_SERVER)),
    ACCT: frozenset((ACCOUNTING_REQUEST, STATUS_SERVER)),
    STREAM: frozenset((ACCESS_REQUEST, ACCOUNTING_REQUEST, STATUS_SERVER)),
}
