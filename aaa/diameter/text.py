"""
Messages as text: what a trace shows of one, AVP by AVP with names (RFC 6733 section 4).

What proves something is hidden: no secret belongs in credit control, but a client may send what it likes.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid, Message
from aaa.diameter.dictionary import DEFINITIONS, NUMBERS
from aaa.diameter.units import SECOND_US, time_of

COMMANDS = {
    n.CAPABILITIES_EXCHANGE: "Capabilities-Exchange",
    n.RE_AUTH: "Re-Auth",
    n.CREDIT_CONTROL: "Credit-Control",
    n.ABORT_SESSION: "Abort-Session",
    n.SESSION_TERMINATION: "Session-Termination",
    n.DEVICE_WATCHDOG: "Device-Watchdog",
    n.DISCONNECT_PEER: "Disconnect-Peer",
}
DEPTH_MAX = 8
HIDDEN = "***"
SECRET = frozenset((2, 3, 24, 25, 60, 70, 79, 103, 121, 402, 462, 463))
"""
User-Password, CHAP-Password, State, Class, CHAP-Challenge, ARAP-Password, EAP-Message, Digest-Response, Digest-HA1 as
RADIUS numbers them; CHAP-Auth (RFC 7155), EAP-Payload, EAP-Reissued-Payload (RFC 4072).
"""
LINES_MAX = 500
OCTETS_SHOWN = 64
_FLAGS = ((codec.REQUEST, "R"), (codec.PROXIABLE, "P"), (codec.ERROR, "E"), (codec.RETRANSMITTED, "T"))


def described(message: Message) -> str:
    """
    A message in lines: its header, then each AVP, groups indented.

    Never raises: what cannot be read is shown as octets, and a broken rule of the structure is named.
    """
    name = COMMANDS.get(message.command, f"Command {message.command}")
    flags = "".join(letter for bit, letter in _FLAGS if message.flags & bit)
    kind = "Request" if message.is_request else "Answer"
    lines = [
        f"{name}-{kind} [{flags}] application {message.application} "
        f"hop-by-hop 0x{message.hop_by_hop:08x} end-to-end 0x{message.end_to_end:08x}"
    ]
    _describe(message.avps, 1, lines)
    if message.problem is not None:
        lines.append(f"  ! {message.problem}")
    return "\n".join(lines)


def _describe(avps: tuple[Avp, ...], depth: int, lines: list[str]) -> None:
    margin = "  " * depth
    for one in avps:
        if len(lines) >= LINES_MAX:
            lines.append(f"{margin}...")
            return
        code, vendor = one.key & 0xFFFFFFFF, one.key >> 32
        definition = DEFINITIONS.get(one.key)
        number = f"{vendor}:{code}" if vendor else str(code)
        name = f"{definition.name} ({number})" if definition else f"AVP {number}"
        if one.key in SECRET:
            lines.append(f"{margin}{name} = {HIDDEN}")
        elif definition is not None and definition.kind == "grouped" and depth < DEPTH_MAX:
            try:
                inner = codec.group(one)
            except Invalid:
                lines.append(f"{margin}{name} = {_octets(one.payload)}")
                continue
            lines.append(f"{margin}{name}")
            _describe(inner, depth + 1, lines)
        else:
            lines.append(f"{margin}{name} = {_value(one, definition.kind if definition else 'octets')}")


def _value(one: Avp, kind: str) -> str:
    """A value by its type; as octets when it is not of its type."""
    payload = one.payload
    if kind in NUMBERS and len(payload) == NUMBERS[kind].size:
        number = NUMBERS[kind].unpack(payload)[0]
        if kind == "time":
            return datetime.fromtimestamp(time_of(number) // SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(number)
    if kind == "address" and len(payload) in (6, 18):
        return str(ipaddress.ip_address(payload[2:]))
    if kind in ("text", "octets"):
        text = payload.decode("utf-8", "replace")
        if text.isprintable() and "\ufffd" not in text:
            return repr(text[:256])
    return _octets(payload)


def _octets(payload: bytes) -> str:
    shown = payload[:OCTETS_SHOWN].hex()
    return f"0x{shown}" if len(payload) <= OCTETS_SHOWN else f"0x{shown}... ({len(payload)} octets)"
