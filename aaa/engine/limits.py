"""
What an account may do beside what it can pay: status, validity, sessions, destinations (DESIGN 4).
"""

from __future__ import annotations

from aaa.engine.model import Account
from aaa.engine.terms import NO_LIMITS, Reason
from aaa.engine.windows import is_too_fast
from rating.plan import RatePlan


def refused_account(account: Account, now: int) -> Reason | None:
    """Why this account may not use any service now, or None."""
    profile = account.profile
    if profile.status != "active":
        return Reason.ACCOUNT_SUSPENDED
    if profile.valid_from_us is not None and now < profile.valid_from_us:
        return Reason.ACCOUNT_EXPIRED
    if profile.valid_until_us is not None and now >= profile.valid_until_us:
        return Reason.ACCOUNT_EXPIRED
    return None


def refused_session(account: Account, now: int) -> Reason | None:
    """Why this account may not open one more session, or None."""
    limits = account.profile.limits
    if limits is NO_LIMITS:
        return None
    most = limits.max_sessions
    if most is not None and account.live_sessions >= most:
        return Reason.LIMIT_SESSIONS
    return Reason.LIMIT_RATE if is_too_fast(account, now) else None


def refused_destination(account: Account, plan: RatePlan) -> Reason | None:
    """Why this account may not reach what the plan prices, or None."""
    if plan.blocked:
        return Reason.DESTINATION_BLOCKED
    limits = account.profile.limits
    if limits is NO_LIMITS:
        return None
    if plan.destination_class in limits.denied_classes:
        return Reason.DESTINATION_BLOCKED
    if limits.allowed_classes is not None and plan.destination_class not in limits.allowed_classes:
        return Reason.DESTINATION_BLOCKED
    return None
