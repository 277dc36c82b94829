"""
Price periods of what is not measured in time: volume and events (SEMANTICS S4, RFC 8506 5.1.1).

Theory.  Such a line is priced as a whole at its anchor, so one line is one period: where the price changes
with the clock, a session has a leg per period, each with its own hold.  A report is placed by the client
(Tariff-Change-Usage) or by its event time.  When the price changes before a quota's validity is over, the
client gets a quota for either side of the change, and both are held in full: it may use both.
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import LineDenial, LineGrant
from aaa.engine.commands import Delta, LineRequest
from aaa.engine.model import Line, LineHead
from aaa.engine.money import MONEY
from aaa.engine.terms import SECOND_US, Policy, is_same


def has_periods(head: LineHead) -> bool:
    """Whether the price of a line depends on when its units are used, though it does not count time."""
    unit = head.key.unit
    if unit in ("seconds", MONEY) or head.plan is None:
        return False
    plan = head.plan
    return plan.pricing.only is None and plan.pricing.timetable is not None


def opened_in(head: LineHead, at_us: int) -> Line:
    """A leg for the period of an instant, which stays its anchor whenever its units are used."""
    return Line(replace(head, anchor_auth_us=at_us), at_us)


def is_in(line: Line, at_us: int) -> bool:
    """Whether an instant lies in the period of a leg."""
    anchor = line.anchor_use_us or line.head.anchor_auth_us
    plan = line.head.plan
    return plan is None or not plan.changes(min(anchor, at_us), max(anchor, at_us) + 1)


def change_us(line: Line, policy: Policy, now: int) -> int:
    """When the price changes within the validity that is told; 0 when it does not."""
    plan = line.head.plan
    if plan is None or not policy.tells_validity or not has_periods(line.head):
        return 0
    changes = plan.changes(now, now + policy.validity_s * SECOND_US)
    return changes[0] if changes else 0


def joined(
    told: LineGrant, after: LineGrant | LineDenial | None, switch_us: int, now: int
) -> tuple[LineGrant | LineDenial, ...]:
    """What to tell of a quota and of the one behind the change; without that one, its validity ends there."""
    if isinstance(after, LineGrant):
        return replace(told, switch_us=switch_us), after
    return (replace(told, validity_s=max(1, min(told.validity_s, (switch_us - now) // SECOND_US))),)


def placed(
    lines: tuple[Line, ...], requests: tuple[LineRequest, ...], event_us: int, now: int
) -> tuple[LineRequest, ...]:
    """
    The requests of a report with those on lines of several periods made one per leg, in time order.

    Every leg of a line that is reported on reports, if only nothing: its unused quota is given back.
    """
    for line in lines:
        if has_periods(line.head):
            break
    else:
        return requests
    found: list[LineRequest] = []
    for request in requests:
        legs = [line for line in lines if is_same(line.head.key, request.key)]
        if not legs or not has_periods(legs[-1].head):
            found.append(request)
            continue
        if request.usage is not None:
            found += _by_leg(legs, request, event_us)
        if request.wants_quota:
            found.append(replace(request, usage=None, at_us=now))
    return tuple(found)


def _by_leg(legs: list[Line], request: LineRequest, event_us: int) -> list[LineRequest]:
    """One report per leg, and one for a period that has none yet."""
    used = [0] * len(legs)
    used[-2 if len(legs) > 1 else -1] += request.before
    used[-1] += request.after
    rest = (request.usage.units if request.usage is not None else 0) - request.before - request.after
    place = next((place for place, leg in enumerate(legs) if is_in(leg, event_us)), None)
    if place is not None:
        used[place] += rest
    reports = [
        replace(request, usage=Delta(units), wants_quota=False, at_us=leg.anchor_use_us or leg.head.anchor_auth_us)
        for leg, units in zip(legs, used, strict=True)
    ]
    if place is None and rest:
        reports.append(replace(request, usage=Delta(rest), wants_quota=False, at_us=event_us))
    return reports
