"""
Kamailio and OpenSIPS with their RADIUS modules: Sterman digest, accounting without durations.

A proxy sends no Acct-Session-Time; a call lasts from the event time of its Start, the answer, to that of
its Stop.  Its library drops an answer with an attribute that it does not know, so an Accept holds only
what the dictionaries in conf/kamailio/README.md name.  The proxy ends the call by
its dialog timer, a second early, because it counts from another instant.
"""

from __future__ import annotations

from aaa.radius import attributes as a
from aaa.radius.profiles.profile import Profile

KAMAILIO = Profile(
    name="kamailio",
    session_pair="call-id",
    times_by_events=True,
    refill="whole",
    final_margin_s=1,
    takes=frozenset((a.MESSAGE_AUTHENTICATOR, a.PROXY_STATE, a.REPLY_MESSAGE, a.SESSION_TIMEOUT, a.SIP_AVP)),
    grants_by=("session-timeout", "sip-avp"),
)
