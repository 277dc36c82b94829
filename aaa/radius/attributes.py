"""
Attribute codes the RADIUS face works with, and the text, numbers and addresses inside them.

An attribute is named by one integer everywhere: its type for the standard space (RFC 2865), vendor * 256
+ type inside Vendor-Specific (RFC 2865 5.26).  Values arrive as bytes, or as a list of bytes when the
attribute came more than once; the helpers here read the first one.  A value of the wrong size is an
invalid attribute and reads as absent, never as another number (RFC 6929 2.8).
"""

from __future__ import annotations

import ipaddress

Value = bytes | list[bytes]
Attributes = dict[int, Value]

USER_NAME = 1
USER_PASSWORD = 2
CHAP_PASSWORD = 3
NAS_IP_ADDRESS = 4
NAS_PORT = 5
SERVICE_TYPE = 6
FRAMED_IP_ADDRESS = 8
REPLY_MESSAGE = 18
STATE = 24
CLASS = 25
VENDOR_SPECIFIC = 26
SESSION_TIMEOUT = 27
TERMINATION_ACTION = 29
CALLED_STATION_ID = 30
CALLING_STATION_ID = 31
NAS_IDENTIFIER = 32
PROXY_STATE = 33
ACCT_STATUS_TYPE = 40
ACCT_DELAY_TIME = 41
ACCT_INPUT_OCTETS = 42
ACCT_OUTPUT_OCTETS = 43
ACCT_SESSION_ID = 44
ACCT_SESSION_TIME = 46
ACCT_TERMINATE_CAUSE = 49
ACCT_MULTI_SESSION_ID = 50
ACCT_INPUT_GIGAWORDS = 52
ACCT_OUTPUT_GIGAWORDS = 53
EVENT_TIMESTAMP = 55
CHAP_CHALLENGE = 60
ARAP_PASSWORD = 70
EAP_MESSAGE = 79
MESSAGE_AUTHENTICATOR = 80
ACCT_INTERIM_INTERVAL = 85
CHARGEABLE_USER_IDENTITY = 89
NAS_IPV6_ADDRESS = 95
ERROR_CAUSE = 101
DIGEST_RESPONSE = 103
DIGEST_REALM = 104
DIGEST_NONCE = 105
DIGEST_RESPONSE_AUTH = 106
DIGEST_METHOD = 108
DIGEST_URI = 109
DIGEST_QOP = 110
DIGEST_ALGORITHM = 111
DIGEST_ENTITY_BODY_HASH = 112
DIGEST_CNONCE = 113
DIGEST_NONCE_COUNT = 114
DIGEST_USERNAME = 115
DIGEST_STALE = 120
DIGEST_HA1 = 121
SIP_AOR = 122
STERMAN_RESPONSE = 206
STERMAN_ATTRIBUTES = 207
SIP_URI_USER = 208
SIP_AVP = 225

CISCO = 9 << 8
CISCO_AVPAIR = CISCO | 1
H323_CONF_ID = CISCO | 24
H323_SETUP_TIME = CISCO | 25
H323_CALL_ORIGIN = CISCO | 26
H323_CALL_TYPE = CISCO | 27
H323_CONNECT_TIME = CISCO | 28
H323_DISCONNECT_TIME = CISCO | 29
H323_DISCONNECT_CAUSE = CISCO | 30
H323_CREDIT_AMOUNT = CISCO | 101
H323_CREDIT_TIME = CISCO | 102
H323_RETURN_CODE = CISCO | 103
H323_CURRENCY = CISCO | 110

MS_CHAP_RESPONSE = (311 << 8) | 1
MS_CHAP2_RESPONSE = (311 << 8) | 25
CHILLISPOT_MAX_TOTAL_OCTETS = (14559 << 8) | 3
MIKROTIK_TOTAL_LIMIT = (14988 << 8) | 17
MIKROTIK_TOTAL_LIMIT_GIGAWORDS = (14988 << 8) | 18

# Acct-Status-Type, RFC 2866 5.1
START = 1
STOP = 2
INTERIM = 3
ACCOUNTING_ON = 7
ACCOUNTING_OFF = 8
FAILED = 15
# Service-Type, RFC 2865 5.6, RFC 5176 3.2
AUTHENTICATE_ONLY = 8
CALL_CHECK = 10
SIP_SESSION = 15
AUTHORIZE_ONLY = 17


def first(attributes: Attributes, code: int) -> bytes:
    """Return the first value of an attribute; empty and absent are the same (b"")."""
    value = attributes.get(code, b"")
    return value if isinstance(value, bytes) else value[0]


def every(attributes: Attributes, code: int) -> list[bytes]:
    """Return all values of an attribute in the order they came."""
    value = attributes.get(code)
    if value is None:
        return []
    return [value] if isinstance(value, bytes) else value


def as_text(value: bytes) -> str:
    """
    Turn octets into text that every store takes: UTF-8, with what is not (and NUL) written as escapes.

    >>> as_text(b"al" + bytes([0]) + b"ice")
    'al\\\\x00ice'
    """
    if 0 in value:
        value = value.replace(b"\0", b"\\x00")
    return value.decode("utf-8", "backslashreplace")


def text(attributes: Attributes, code: int) -> str:
    """Return the first value of an attribute as text, "" when absent."""
    value = attributes.get(code)
    if not value:
        return ""
    return as_text(value if isinstance(value, bytes) else value[0])


def first_text(attributes: Attributes, codes: tuple[int, ...]) -> str:
    """Return the text of the first of these attributes that is present and not empty, "" for none."""
    for code in codes:
        value = attributes.get(code)
        if value:
            return as_text(value if isinstance(value, bytes) else value[0])
    return ""


def number(attributes: Attributes, code: int) -> int | None:
    """Return the first value of an integer attribute; None when absent or not four octets long."""
    value = attributes.get(code)
    if not isinstance(value, bytes):
        if not value:
            return None
        value = value[0]
    return value[0] << 24 | value[1] << 16 | value[2] << 8 | value[3] if len(value) == 4 else None


def address(value: bytes) -> str:
    """Return an IPv4 or IPv6 address as text; "" for another length and for link-local (RFC 5080 2.7)."""
    if len(value) == 4:
        return f"{value[0]}.{value[1]}.{value[2]}.{value[3]}"
    if len(value) == 16:
        found = ipaddress.IPv6Address(value)
        return "" if found.is_link_local else str(found)
    return ""
