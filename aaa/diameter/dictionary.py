"""
The AVP dictionary: number and vendor to name, type and M flag, from python-diameter plus our additions.

Built once, when the module is first imported.  A key is `vendor << 32 | code`, so that an AVP without
vendor is found by its code alone.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from diameter.message.avp import avp as types
from diameter.message.avp.dictionary import AVP_DICTIONARY, AVP_VENDOR_DICTIONARY

VENDOR_3GPP = 10415
_KINDS = {
    types.AvpAddress: "address",
    types.AvpEnumerated: "enumerated",
    types.AvpFloat32: "float32",
    types.AvpFloat64: "float64",
    types.AvpGrouped: "grouped",
    types.AvpInteger32: "integer32",
    types.AvpInteger64: "integer64",
    types.AvpUnsigned32: "unsigned32",
    types.AvpUnsigned64: "unsigned64",
    types.AvpOctetString: "octets",
    types.AvpTime: "time",
    types.AvpUtf8String: "text",
}
SIZES = {
    "enumerated": 4,
    "float32": 4,
    "integer32": 4,
    "unsigned32": 4,
    "time": 4,
    "float64": 8,
    "integer64": 8,
    "unsigned64": 8,
}
NUMBERS = {
    "enumerated": struct.Struct(">i"),
    "integer32": struct.Struct(">i"),
    "unsigned32": struct.Struct(">I"),
    "time": struct.Struct(">I"),
    "integer64": struct.Struct(">q"),
    "unsigned64": struct.Struct(">Q"),
    "float32": struct.Struct(">f"),
    "float64": struct.Struct(">d"),
}


class Definition(NamedTuple):
    """What is known of an AVP."""

    key: int
    name: str
    kind: str
    is_mandatory: bool


def key_of(code: int, vendor: int = 0) -> int:
    """The number an AVP is looked up by."""
    return vendor << 32 | code


_ADDED = (  # RFC 8506 sections 8.54 to 8.70
    (653, "User-Equipment-Info-Extension", "grouped"),
    (659, "Subscription-Id-Extension", "grouped"),
    (660, "Subscription-Id-E164", "text"),
    (661, "Subscription-Id-IMSI", "text"),
    (662, "Subscription-Id-SIP-URI", "text"),
    (663, "Subscription-Id-NAI", "text"),
    (664, "Subscription-Id-Private", "text"),
    (665, "Redirect-Server-Extension", "grouped"),
    (669, "QoS-Final-Unit-Indication", "grouped"),
)
_NAMES = {  # as TS 32.299 writes them
    "3GPP-Reporting-Reason": "Reporting-Reason",
    "3GPP-SIP-Method": "SIP-Method",
    "User-Session-ID": "User-Session-Id",
}


def _built() -> dict[int, Definition]:
    found: dict[int, Definition] = {}
    for vendor, table in ((0, AVP_DICTIONARY), *AVP_VENDOR_DICTIONARY.items()):
        for code, info in table.items():
            key = key_of(code, vendor)
            name = _NAMES.get(info["name"], info["name"])
            found[key] = Definition(key, name, _KINDS[info["type"]], bool(info.get("mandatory")))
    for code, name, kind in _ADDED:
        found.setdefault(code, Definition(code, name, kind, True))
    return found


DEFINITIONS = _built()
BY_NAME = {definition.name: definition for definition in reversed(DEFINITIONS.values())}
FIXED_SIZES = {key: SIZES[one.kind] for key, one in DEFINITIONS.items() if one.kind in SIZES}
