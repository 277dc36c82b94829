"""
Windows of time in which an account may spend only so much, or begin only so many sessions (DESIGN 4).

Theory.  A window is a whole hour, day or second of UTC, the same for every node; the account row holds its
start and what has come together in it, so that it takes part in the version check like every other sum
(S10).  A charge counts in the window it is posted in.  Running sessions count in full with what they hold,
whenever they began: a grant may hold at most `limit - spent - reserved`, so that no pattern of parallel or
long calls posts more than the limit in a window, but for overrun.  What is given back counts only in the
window that was charged: a refund makes no room in a later one.
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.model import Account, Window
from aaa.engine.terms import NO_LIMITS, SECOND_US, Reason

HOUR = "hour"
DAY = "day"
SECOND = "second"
LENGTH_US = {SECOND: SECOND_US, HOUR: 3600 * SECOND_US, DAY: 86_400 * SECOND_US}


def room_micro(account: Account, now: int) -> int | None:
    """What a new grant may hold within the spend windows; None when the account has no such limit."""
    limits = account.profile.limits
    hourly, daily = limits.spend_per_hour_micro, limits.spend_per_day_micro
    if hourly is None and daily is None:
        return None
    rooms = [
        most - _current(account, kind, now).amount for kind, most in ((HOUR, hourly), (DAY, daily)) if most is not None
    ]
    return min(rooms) - account.reserved_micro


def spendable_micro(account: Account, now: int) -> int | None:
    """What a new grant may hold: the credit (S1) and the windows; None when neither is limited."""
    available = account.available_micro
    if account.profile.limits is NO_LIMITS:
        return available
    room = room_micro(account, now)
    if room is None or available is None:
        return available if room is None else room
    return min(available, room)


def why_unaffordable(account: Account, now: int) -> Reason:
    """Which of credit and windows is the narrower, for a grant that does not fit."""
    available, room = account.available_micro, room_micro(account, now)
    if room is not None and (available is None or room < available):
        return Reason.LIMIT_WINDOW
    return Reason.NO_CREDIT


def is_too_fast(account: Account, now: int) -> bool:
    """Whether this second has seen as many new sessions as it may."""
    most = account.profile.limits.calls_per_second
    return most is not None and _current(account, SECOND, now).amount >= most


def counted(account: Account, now: int) -> Account:
    """The account with one more session begun."""
    if account.profile.limits.calls_per_second is None:
        return account
    return _with(account, SECOND, 1, now)


def spent(account: Account, amount_micro: int, now: int, charged_us: int = 0) -> Account:
    """
    The account with a charge in its windows, or with something given back (negative).

    Args:
        charged_us: When what is given back had been charged.

    Money: none posted; the windows follow what the caller posts.
    """
    limits = account.profile.limits
    if limits is NO_LIMITS:
        return account
    for kind, most in ((HOUR, limits.spend_per_hour_micro), (DAY, limits.spend_per_day_micro)):
        if most is None or amount_micro == 0:
            continue
        if amount_micro < 0 and charged_us < _current(account, kind, now).start_us:
            continue
        account = _with(account, kind, amount_micro, now)
    return account


def _current(account: Account, kind: str, now: int) -> Window:
    """The window of an instant; a clock that is behind still counts in the latest there is."""
    start_us = now - now % LENGTH_US[kind]
    for window in account.windows:
        if window.kind == kind and window.start_us >= start_us:
            return window
    return Window(kind, start_us, 0)


def _with(account: Account, kind: str, amount: int, now: int) -> Account:
    window = _current(account, kind, now)
    grown = replace(window, amount=max(0, window.amount + amount))
    others = tuple(other for other in account.windows if other.kind != kind)
    return replace(account, windows=(*others, grown))
