"""
Units of money: a client that knows the price itself asks for an amount (RFC 8506 5.2, 8.22).

Such a line counts in micro of the account's currency and costs what it counts.
"""

from __future__ import annotations

from rating.money import MICRO_DECIMALS
from rating.plan import NANO_PER_MICRO, Pricing, Rate, RatePlan, Step
from rating.units import MILLI

MONEY = "money"
_AT_PAR = Pricing((Rate((Step(0, NANO_PER_MICRO, MILLI, MILLI, MILLI),)),), None, "events", "up", MICRO_DECIMALS)

AT_PAR = RatePlan("", "Money", "", "event", MONEY, _AT_PAR, "", 0, "", "UTC")
"""The plan of every line of money: a unit is a micro."""
