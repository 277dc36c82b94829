"""
Which rate is in force when: calendars and effective dates as instants.
"""

from __future__ import annotations


class Timetable:
    """Placeholder of the type while every rate is always in force."""

    def at(self, at_us: int) -> tuple[int, int]:
        raise NotImplementedError

    def in_force(self, at_us: int) -> bool:
        raise NotImplementedError

    def changes(self, from_us: int, until_us: int) -> list[int]:
        raise NotImplementedError
