"""
The clock of a node: the only place that asks the operating system for the time of day.
"""

from __future__ import annotations

from time import time_ns


def system_clock() -> int:
    """Integer microseconds since the epoch, UTC."""
    return time_ns() // 1000
