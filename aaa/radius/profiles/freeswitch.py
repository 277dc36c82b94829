"""
FreeSWITCH through mod_xml_radius, with the shipped configuration and with the module's own.

The client's library drops every attribute of a reply when it meets one that its dictionary does not
name, and still reports the call as accepted.  So a reply holds nothing but what is named there: for
`freeswitch` the dictionary in conf/freeswitch_mod_xml_radius, for `freeswitch-stock` the module's own,
which has neither Message-Authenticator nor Acct-Interim-Interval.  Values go without their name in
front, because each becomes a channel variable as it is.
"""

from __future__ import annotations

from dataclasses import replace

from aaa.radius import attributes as a
from aaa.radius.profiles.profile import Profile

_STOCK_TAKES = frozenset(
    (
        a.PROXY_STATE,
        a.SESSION_TIMEOUT,
        a.H323_CREDIT_TIME,
        a.H323_CREDIT_AMOUNT,
        a.H323_CURRENCY,
        a.H323_RETURN_CODE,
        a.CISCO_AVPAIR,
    )
)
_TAKES = _STOCK_TAKES | {
    a.MESSAGE_AUTHENTICATOR,
    a.REPLY_MESSAGE,
    a.ACCT_INTERIM_INTERVAL,
    a.CHARGEABLE_USER_IDENTITY,
}

FREESWITCH = Profile(
    name="freeswitch",
    identity=("Digest-Username", "Chargeable-User-Identity", "User-Name"),
    session_keys=("s", "m", "h"),
    charged_origin="answer",
    asks_by_request_type=True,
    refill="reauth",
    prefers_adaptive=True,
    takes=_TAKES,
    grants_by=("credit-time", "session-timeout"),
    always_answers=True,
    renews_by_interval=True,
    checks_nonce_count=False,
    names_payer=True,
    on_store_down="deny",
)

FREESWITCH_STOCK = replace(
    FREESWITCH,
    name="freeswitch-stock",
    identity=("Digest-Username", "User-Name", "Calling-Station-Id"),
    refill="whole",
    prefers_adaptive=False,
    assumes_granted=True,
    takes=_STOCK_TAKES,
    signs_answers=False,
    renews_by_interval=False,
    names_payer=False,
)
