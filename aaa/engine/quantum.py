"""
How much to grant at once (SEMANTICS S9): `whole`, `fixed`, `adaptive`.

Pure policy: given what a line could be granted at most, it says how far the next grant should reach.
The caller rounds up to the pulse boundary and cuts to what the funds buy.
"""

from __future__ import annotations

from collections.abc import Callable

from aaa.engine.money import MONEY
from aaa.engine.terms import Policy


def quantum_units(policy: Policy, unit: str, most: int, sharers: int, share_units: Callable[[int], int]) -> int:
    """
    The size of the next grant in units of the line, before pulses and funds.

    Args:
        most: Units that could be granted beyond what is used, all funds spent.
        sharers: n of S9: sessions of the account that hold a grant, the asking one included.
        share_units: Units (up to `quantum_max`) that one of so many equal parts of the funds buys.

    Adaptive takes share = funds / (n + 1), so that a later call still finds money, and never less than
    `quantum_min` nor more than `quantum_max`.
    """
    if policy.quantum == "whole" or unit == MONEY:
        return most
    if unit != "seconds":
        return policy.quantum_octets if unit == "octets" else policy.quantum_events
    if policy.quantum == "fixed":
        return policy.quantum_fixed
    return max(policy.quantum_min, min(share_units(sharers + 1), policy.quantum_max))
