"""
Hotspots (ChilliSpot, CoovaChilli, Mikrotik, WISPr gateways): seconds and octets, reports by Interim.

A session has two lines, one of time and one of volume; what the tariff does not price is not limited.
Limits count from the start of the session; a new one goes out by CoA after each report that moves it, and
a Disconnect-Request ends what has used everything up (RFC 5176).
"""

from __future__ import annotations

from aaa.engine.terms import ChargeKey
from aaa.radius.profiles.profile import Profile

HOTSPOT = Profile(
    name="hotspot",
    charge_keys=(ChargeKey("data", unit="seconds"), ChargeKey("data", unit="octets")),
    refill="interim",
    limits_from_start=True,
    grants_by=("session-timeout", "total-octets-mikrotik", "total-octets-chillispot"),
    interim_interval_s=60,
)
