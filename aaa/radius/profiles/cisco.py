"""
Cisco voice gateways and the softswitches that speak their dialect: h323 attributes (DIGEST 2.1).

The debit-card script asks twice: with the card number and PIN alone, to tell the caller the balance, and
again with the number that is called.  Values carry their own name.  Up to four legs of one call share its
conference id; the one that leaves the originating gateway over IP is charged.
"""

from __future__ import annotations

from aaa.radius.profiles.profile import Profile

CISCO_VOIP = Profile(
    name="cisco-voip",
    session_keys=("h", "s"),
    charged_origin="originate",
    charged_call_type="VoIP",
    takes_pins=True,
    asks_by_called=True,
    refill="whole",
    assumes_granted=True,
    grants_by=("credit-time", "session-timeout"),
    prefixes_values=True,
    shows_balance=True,
    explains_rejects=True,
)
