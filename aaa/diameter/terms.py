"""
What answers to a peer carry besides quota: what to do at the end of the money, when to come back, when to warn.

Everything is encoded once, when the peer's entry is read (RFC 8506 8.34-8.38, TS 32.299 7.2).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.dictionary import VENDOR_3GPP
from aaa.errors import ConfigError

TERMINATE, REDIRECT, RESTRICT = 0, 1, 2
_ACTIONS = {"terminate": TERMINATE, "redirect": REDIRECT, "restrict": RESTRICT}
_IPV4, _IPV6, _URL, _SIP_URI = range(4)
_HANDLING = {"terminate": 0, "continue": 1, "retry_and_terminate": 2}
_TRIGGERS = {
    "sgsn": 1,
    "qos": 2,
    "location": 3,
    "rat": 4,
    "timezone": 5,
    "media": 40,
    "participants": 50,
    "service": 60,
    "serving_node": 61,
    "access": 62,
}
"""Changes after which a client reports and asks anew, by their Trigger-Type (TS 32.299 7.2.238)."""
_BITS = 0xFFFFFFFF


class Terms(NamedTuple):
    """
    The terms of one peer.

    `final` is the Final-Unit-Indication of last grants.  With `outlasts_credit` a session goes on without
    quota when the money ends (RFC 8506 5.6.2, 5.6.3): its client redirects or restricts the user, and asks
    again when the Validity-Time is over or the server says so.
    """

    final: bytes = codec.avp(n.FINAL_UNIT_INDICATION, codec.u32(n.FINAL_UNIT_ACTION, TERMINATE))
    outlasts_credit: bool = False
    holding: bytes = b""
    threshold_s: int | None = None
    threshold_octets: int | None = None
    low_balance_micro: int | None = None
    failure: bytes = b""  # Credit-Control-Failure-Handling, told when a session begins
    triggers: bytes = (
        b""  # Trigger of every quota of a service; an empty one disarms what the client would do by itself
    )

    def of_quota(self, unit: str, told: int, is_final: bool) -> bytes:
        """What stands beside granted units: when they lapse, when to ask for more; nothing earlier than half used."""
        if is_final:
            return self.final
        threshold = self.threshold_s if unit == "seconds" else self.threshold_octets if unit == "octets" else None
        if threshold is None or threshold * 2 > told:
            return self.holding
        key = n.TIME_QUOTA_THRESHOLD if unit == "seconds" else n.VOLUME_QUOTA_THRESHOLD
        return codec.u32(key & _BITS, threshold, 0, VENDOR_3GPP) + self.holding

    def of_balance(self, shown_micro: int) -> bytes:
        """Low-Balance-Indication, for a peer that has a threshold: the balance shown is below it."""
        if self.low_balance_micro is None:
            return b""
        is_low = shown_micro < self.low_balance_micro
        return codec.u32(n.LOW_BALANCE_INDICATION & _BITS, int(is_low), 0, VENDOR_3GPP)


def terms_from(document: Mapping[str, Any]) -> Terms:
    """
    Build the terms of a `[[peer]]` table.

    Raises:
        ConfigError: An action without what it needs; names key and reason.
    """
    name = document.get("origin_host", "")
    action = _ACTIONS[document.get("final_action", "terminate")]
    target = document.get("redirect_to")
    rules, filters = document.get("restriction_filters", ()), document.get("filter_ids", ())
    problem = ""
    if action == REDIRECT and not target:
        problem = 'redirect_to: is needed by final_action = "redirect"'
    elif action == RESTRICT and not (rules or filters):
        problem = 'restriction_filters: or filter_ids are needed by final_action = "restrict"'
    elif target and action != REDIRECT:
        problem = 'redirect_to: needs final_action = "redirect"'
    elif (rules or filters) and action != RESTRICT:
        problem = 'restriction_filters, filter_ids: need final_action = "restrict"'
    if problem:
        raise ConfigError([f"[[peer]] {name}: {problem}"])
    inner = [codec.u32(n.FINAL_UNIT_ACTION, action)]
    if target:
        server = codec.u32(n.REDIRECT_ADDRESS_TYPE, _kind_of(target)) + codec.text(n.REDIRECT_SERVER_ADDRESS, target)
        inner.append(codec.avp(n.REDIRECT_SERVER, server))
    inner += [codec.text(n.RESTRICTION_FILTER_RULE, rule) for rule in rules]
    inner += [codec.text(n.FILTER_ID, one) for one in filters]
    holding_s = document.get("quota_holding_time")
    holding, handling = b"", document.get("failure_handling")
    if holding_s is not None:
        holding = codec.u32(n.QUOTA_HOLDING_TIME & _BITS, holding_s, 0, VENDOR_3GPP)
    return Terms(
        final=codec.avp(n.FINAL_UNIT_INDICATION, b"".join(inner)),
        outlasts_credit=action != TERMINATE,
        holding=holding,
        threshold_s=document.get("time_quota_threshold"),
        threshold_octets=document.get("volume_quota_threshold"),
        low_balance_micro=document.get("low_balance"),
        triggers=_triggers(document.get("triggers")),
        failure=b"" if handling is None else codec.u32(n.CREDIT_CONTROL_FAILURE_HANDLING, _HANDLING[handling]),
    )


def _triggers(names: list[str] | None) -> bytes:
    if names is None:
        return b""
    inner = [codec.u32(n.TRIGGER_TYPE & _BITS, _TRIGGERS[name], 0, VENDOR_3GPP) for name in names]
    return codec.avp(n.TRIGGER & _BITS, b"".join(inner), 0, VENDOR_3GPP)


def _kind_of(target: str) -> int:
    """The Redirect-Address-Type of an address as it is written."""
    if target.startswith(("sip:", "sips:", "tel:")):
        return _SIP_URI
    try:
        return _IPV4 if ipaddress.ip_address(target).version == 4 else _IPV6
    except ValueError:
        return _URL
