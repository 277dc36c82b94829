"""
A line of a session: opened, reported, refilled, closed (SEMANTICS S2-S4, S6, S15).

Theory.  A line's charge is `price(anchor_use, used)` over its funding plan, and what it holds is
`price(used + granted)`; both come from the one price function.  While the answer time is unknown the
hold is the maximum over every anchor the call may still get (S3); once it is known the hold can only
shrink, and usage inside the grant never costs more than was held for it, so a report within the grant
cannot overspend.  Only `refill` raises a hold, and it is given the funds that may be taken.
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import LineDenial, LineGrant
from aaa.engine.changes import Notice
from aaa.engine.commands import Delta, LineRequest, Total
from aaa.engine.model import Account, Line, LineHead
from aaa.engine.money import MONEY as MONEY_UNIT
from aaa.engine.quantum import quantum_units
from aaa.engine.terms import SECOND_US, ChargeKey, Policy, Reason
from aaa.engine.windows import spendable_micro, why_unaffordable
from aaa.value import Value
from rating.funding import MONEY, Bucket, Parts, fund, settle, truncate
from rating.grant import align, grant
from rating.price import held_price, price

UNBOUNDED = 1 << 62
PLAUSIBLE_SLACK_US = 60 * SECOND_US


class Reported(Value, frozen=True):
    """A line after a report, and what there is to count about it."""

    line: Line
    notices: tuple[Notice, ...] = ()


def window_of(line: Line, policy: Policy) -> tuple[int, int]:
    """The earliest and the latest instant at which this line's use can have begun (S3)."""
    if line.anchor_use_us:
        return line.anchor_use_us, line.anchor_use_us
    begun = line.head.anchor_auth_us
    if line.head.key.unit != "seconds":
        return begun, begun
    return begun, begun + policy.setup_s * SECOND_US


def charged(line: Line) -> int:
    """What the usage of this line costs by now, posted or not."""
    return line.accrued_micro + line.posted_micro


def reported(
    line: Line, usage: Total | Delta, event_us: int, answered_us: int, now: int, is_late: bool = False
) -> Reported:
    """
    Take a report of usage (S3, S19): totals never shrink, time beyond the grant must be plausible.

    A total beyond the grant that more time than has passed would be needed for is clipped to what was
    granted or to the elapsed time and a minute, whichever is more.

    Args:
        is_late: The session was settled by its deadline before: its hold is gone, so the price counts
            alone, and may be less than what was assumed.

    Money: none posted; `accrued` follows the usage, and a usage beyond the grant raises the hold with it.
    """
    head, before, granted, posted, parts = line.head, line.used, line.granted, line.posted_micro, line.parts
    notices: tuple[Notice, ...] = ()
    if isinstance(usage, Delta):
        used = before + max(0, usage.units)
    else:
        used = usage.units - head.offset
        if used < before:
            return Reported(line, (Notice("usage_decreased"),))
    if used > granted:
        if head.key.unit == "seconds":
            elapsed = (max(0, now - head.anchor_auth_us) + PLAUSIBLE_SLACK_US) // SECOND_US
            most = max(granted, elapsed, before)
            if used > most:
                notices = (Notice("implausible", "time", used - most),)
                used = most
        if used > granted:
            notices += (Notice("overrun", "overrun", used - granted),)
    if used == 0:
        return Reported(line, notices)
    anchor = line.anchor_use_us or _anchor(line, used, event_us, answered_us)
    plan = head.plan
    charge = 0 if plan is None else price(plan, anchor, used, parts)
    if is_late:
        accrued, reserved = charge - posted, line.reserved_micro
        granted = max(granted, used)
    else:
        held = line.reserved_micro + posted
        if used <= granted:  # a hold never rises inside a grant, and covers whatever is inside it
            charge = min(charge, held)
            if not line.anchor_use_us and plan is not None:  # from now on one anchor counts, no longer the dearest
                held = max(charge, min(held, price(plan, anchor, granted, parts)))
        else:
            held = max(held, charge)
            granted = used
        accrued, reserved = charge - posted, held - posted
    fresh = Line(head, anchor, used, granted, accrued, reserved, posted, parts, line.is_final, line.posted_parts)
    return Reported(fresh, notices)


def _anchor(line: Line, used: int, event_us: int, answered_us: int) -> int:
    """Anchor of use: the answer when it was told, else the event less the usage (S3)."""
    if answered_us:
        return max(answered_us, line.head.anchor_auth_us)
    if line.head.key.unit != "seconds":
        return max(event_us, line.head.anchor_auth_us)
    return max(event_us - used * SECOND_US, line.head.anchor_auth_us)


def _price(line: Line, units: int) -> int:
    """The price of so many units of this line at its anchor; 0 for an emergency call (S21)."""
    plan = line.head.plan
    return 0 if plan is None else price(plan, line.anchor_use_us or line.head.anchor_auth_us, units, line.parts)


def released(line: Line, buckets: tuple[Bucket, ...]) -> Line:
    """The line with its unused quota given back: a Diameter report returns what it did not use (S6)."""
    return replace(
        line,
        granted=line.used,
        parts=truncate(line.parts, line.used, buckets) if line.parts else (),
        reserved_micro=line.accrued_micro,
    )


def opened(head: LineHead) -> Line:
    """A line that has got nothing yet."""
    return Line(head)


def refill(
    account: Account,
    line: Line,
    request: LineRequest,
    policy: Policy,
    sharers: int,
    used_bound: int,
    now: int,
    freed_micro: int = 0,
) -> tuple[Line, LineGrant | LineDenial]:
    """
    Grant more on a line, or say why not (S6, S9).

    Args:
        sharers: n of S9, the asking session included.
        used_bound: How far the usage can have come; sizes the refill and never charges.
        freed_micro: What this line holds less than the account's sums still say.

    Returns:
        The line with its new hold, and what to tell; on a denial the line is as it was, marked final.

    Guarantees:
        The hold rises by at most `account.available_micro` and `freed_micro` (tests/property/test_engine_laws.py).
    """
    head = line.head
    plan = head.plan
    unit = head.key.unit
    known = line.used if line.used > used_bound else used_bound
    is_time = unit == "seconds"
    cap = _cap(account, line, policy)
    if plan is None or plan.is_free:
        total = max(cap, line.granted)
        free = replace(line, granted=total)
        return free, _told(free, known, policy, is_free=True)
    earliest = latest = line.anchor_use_us
    if not earliest:
        earliest, latest = window_of(line, policy)
    funds = _funds(account, line, freed_micro, now)
    buckets = _eligible(account, head.key) if account.buckets else ()
    planned = line.parts
    if buckets and not planned and line.granted:
        planned = ((MONEY, line.granted),)  # what was granted on money stays so; a bucket may follow
    is_money = not planned and not buckets
    most = (
        grant(plan, earliest, latest, funds, cap)
        if is_money
        else fund(plan, earliest, latest, planned, buckets, funds, cap, head.destination).total
    )
    if policy.quantum == "fixed" and is_time:
        units = policy.quantum_fixed
    elif policy.quantum == "whole":
        units = most - known
    else:
        units = _quantum(account, line, policy, buckets, planned, sharers, known, most - known, funds)
    total = min(align(plan, earliest, known + max(units, 1), planned), most)
    if request.requested:
        total = min(total, known + request.requested)
    if unit == MONEY_UNIT and total < known + (request.requested or 1):
        total = known  # an amount is granted whole or not at all
    if is_time and total < line.granted:
        total = line.granted
    if total <= known:
        return replace(line, is_final=True), LineDenial(
            head.key, _why_nothing(account, line, policy, freed_micro, now), charged(line)
        )
    parts, accrued = planned, line.accrued_micro
    if is_money:
        held = held_price(plan, earliest, latest, total)
    else:
        chosen = fund(plan, earliest, latest, planned, buckets, funds, total, head.destination)
        parts, held = chosen.parts, chosen.held_micro
        if line.used and parts != line.parts:  # units may now pay for what was used beyond the grant
            accrued = min(accrued, price(plan, earliest, line.used, parts) - line.posted_micro)
    # A hold that an unknown anchor made higher than the price now known stays, so that nothing granted loses cover.
    held = max(held, line.held_micro) if is_time and total == line.granted else held
    grown = Line(
        head,
        line.anchor_use_us,
        line.used,
        total,
        accrued,
        held - line.posted_micro,
        line.posted_micro,
        parts,
        total >= most,
        line.posted_parts,
    )
    return grown, _told(grown, known, policy)


def _quantum(
    account: Account,
    line: Line,
    policy: Policy,
    buckets: tuple[Bucket, ...],
    planned: Parts,
    sharers: int,
    known: int,
    most: int,
    funds: int | None,
) -> int:
    """How far beyond `known` the next grant should reach, `most` being all that the funds can buy (S9)."""
    head = line.head
    plan = head.plan
    if funds is None and policy.quantum == "adaptive" and head.key.unit == "seconds":
        return policy.quantum_max
    earliest, latest = window_of(line, policy)
    cap = _cap(account, line, policy)

    def share_units(shares: int) -> int:
        if funds is None or plan is None:
            return policy.quantum_max
        spent = price(plan, earliest, known, line.parts) if known else line.posted_micro
        share = spent + max(0, funds - spent) // shares
        reach = min(cap, known + policy.quantum_max)
        parts_of = tuple(_shared(bucket, shares) for bucket in buckets)
        return fund(plan, earliest, latest, planned, parts_of, share, reach, head.destination).total - known

    sharing = 0 if account.profile.limits.max_sessions == 1 else sharers
    return quantum_units(policy, head.key.unit, most, sharing, share_units)


def _cap(account: Account, line: Line, policy: Policy) -> int:
    """The largest total this line may ever have."""
    if line.head.key.unit != "seconds":
        return UNBOUNDED
    cap = policy.session_cap_s
    most = account.profile.limits.call_seconds
    if most is not None and most < cap:
        cap = most
    return max(0, cap - line.head.offset)


def _funds(account: Account, line: Line, freed_micro: int, now: int) -> int | None:
    """The price this line may have in all: what may be spent and what it holds and has paid itself (S6)."""
    available = spendable_micro(account, now)
    funds = None if available is None else available + freed_micro + line.reserved_micro + line.posted_micro
    most = account.profile.limits.call_amount_micro
    if most is None:
        return funds
    return most if funds is None else min(funds, most)


def _eligible(account: Account, key: ChargeKey) -> tuple[Bucket, ...]:
    return tuple(bucket for bucket in account.buckets if bucket.unit == key.unit)


def _shared(bucket: Bucket, shares: int) -> Bucket:
    """A bucket of which one of so many equal parts may be taken."""
    return Bucket(
        id=bucket.id,
        account_id=bucket.account_id,
        unit=bucket.unit,
        amount=bucket.reserved + max(0, bucket.amount - bucket.reserved) // shares,
        reserved=bucket.reserved,
        priority=bucket.priority,
        scope=bucket.scope,
        service=bucket.service,
        pulse=bucket.pulse,
        valid_from_us=bucket.valid_from_us,
        valid_until_us=bucket.valid_until_us,
    )


def _why_nothing(account: Account, line: Line, policy: Policy, freed_micro: int, now: int) -> Reason:
    """Why a line gets nothing more: its own caps, a window, or the money."""
    if line.used >= _cap(account, line, policy):
        return Reason.LIMIT_CALL
    most = account.profile.limits.call_amount_micro
    if most is not None and charged(line) > 0 and _funds(account, line, freed_micro, now) == most:
        return Reason.LIMIT_CALL
    return why_unaffordable(account, now)


def _told(line: Line, known: int, policy: Policy, is_free: bool = False) -> LineGrant:
    """What the client is told of a line: from now or from the start of the session (S6)."""
    key, granted, is_final = line.head.key, line.granted, line.is_final
    rest = granted - known
    told = rest if policy.from_now else line.head.offset + granted
    if is_final and policy.final_margin_s and key.unit == "seconds":
        told = max(1, told - policy.final_margin_s)
    validity = 0
    if policy.tells_validity:
        validity = max(policy.validity_s, rest) if key.unit == "seconds" else policy.validity_s
    return LineGrant(key, told, granted, validity, is_final, is_free, line.accrued_micro + line.posted_micro)


def closed(line: Line, buckets: tuple[Bucket, ...], units: int, is_live: bool) -> tuple[Line, int]:
    """
    The line settled at so many units, and what is to be posted for it now (S4, S16).

    Args:
        units: What it used, or what is assumed; `used` stays what was reported.
        is_live: Its hold is still there, and covers whatever is inside the grant (S3).

    Money: the caller posts the returned amount (negative when an earlier settlement was too high).
    """
    plan = line.head.plan
    anchor_us = line.anchor_use_us or line.head.anchor_auth_us
    consumed = line.parts
    if plan is not None and (line.parts or (buckets and units > line.granted)):
        planned = line.parts or ((MONEY, line.granted),)
        settlement = settle(plan, anchor_us, planned, units, buckets, line.head.destination)
        charge, consumed = settlement.amount_micro, settlement.consumed
    else:
        charge = _price(line, units)
    if is_live and units <= line.granted:
        charge = min(charge, line.held_micro)
    return Line(
        line.head,
        line.anchor_use_us,
        line.used,
        line.granted,
        0,
        0,
        charge,
        consumed,
        line.is_final,
        consumed,
    ), charge - line.posted_micro
