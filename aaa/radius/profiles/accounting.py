"""
Accounting-Requests read by a profile: which session, how much was used, when, and why it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aaa.engine.commands import Begin, End, Identity, LineRequest, Total, Update
from aaa.engine.numbers import normalise
from aaa.engine.terms import SECOND_US
from aaa.radius import attributes as a
from aaa.radius.profiles.access import call_origin, session_names
from aaa.radius.profiles.profile import Profile
from aaa.radius.profiles.values import instant, without_prefix
from aaa.value import Value

if TYPE_CHECKING:
    from aaa.radius.clients import Nas

AHEAD_MAX_US = 5 * SECOND_US  # S18
BEHIND_MAX_US = 7 * 86_400 * SECOND_US
_CAUSES = {1: "normal", 4: "idle", 5: "exhausted", 6: "killed", 7: "nas_reboot", 11: "nas_reboot"}
_START = Identity("s")
_ORPHAN = Identity("o")
_LOST = frozenset((2, 3, 8, 9, 15))  # carrier, service, port and NAS errors, RFC 2866 5.10


class Report(Value, frozen=True):
    """
    What an Accounting-Request reports.  `is_charged` False: another leg of a call that is charged
    elsewhere, to be acknowledged and nothing else.
    """

    status: int
    names: tuple[str, ...]
    is_charged: bool
    seconds: int | None
    octets: int | None
    event_us: int
    answered_us: int


def read(profile: Profile, attributes: a.Attributes, status: int, now_us: int) -> Report:
    """
    Read a Start, Interim-Update or Stop.

    Usage is a total since the session began, octets with their Gigawords (RFC 2869 2.1, 5.1).  A call
    that Failed used nothing.
    """
    answered_us = 0
    seconds = 0 if status == a.FAILED else a.number(attributes, a.ACCT_SESSION_TIME)
    event_us = event_time(attributes, now_us)
    if a.H323_CONNECT_TIME in attributes:
        answered_us = instant(without_prefix(a.text(attributes, a.H323_CONNECT_TIME), "h323-connect-time"))
        if not now_us - BEHIND_MAX_US < answered_us <= now_us + AHEAD_MAX_US:
            answered_us = 0
    elif profile.times_by_events and status == a.START:
        answered_us = event_us
    return Report(
        status,
        session_names(profile, attributes, is_access=False),
        not profile.charged_origin or _is_charged_leg(profile, attributes),
        seconds,
        _octets(attributes) if len(profile.charge_keys) > 1 else None,
        event_us,
        answered_us,
    )


def _is_charged_leg(profile: Profile, attributes: a.Attributes) -> bool:
    if call_origin(attributes) not in ("", profile.charged_origin):
        return False
    if not profile.charged_call_type:
        return True
    return without_prefix(a.text(attributes, a.H323_CALL_TYPE), "h323-call-type") in ("", profile.charged_call_type)


def _octets(attributes: a.Attributes) -> int | None:
    """Return input and output octets together, None when neither is told."""
    received = a.number(attributes, a.ACCT_INPUT_OCTETS)
    sent = a.number(attributes, a.ACCT_OUTPUT_OCTETS)
    if received is None and sent is None:
        return None
    high = (a.number(attributes, a.ACCT_INPUT_GIGAWORDS) or 0) + (a.number(attributes, a.ACCT_OUTPUT_GIGAWORDS) or 0)
    return (received or 0) + (sent or 0) + (high << 32)


def event_time(attributes: a.Attributes, now_us: int) -> int:
    """Return when it happened: Event-Timestamp if sane (S18), else arrival less Acct-Delay-Time."""
    stamp = a.number(attributes, a.EVENT_TIMESTAMP)
    if stamp is not None and now_us - BEHIND_MAX_US < stamp * SECOND_US <= now_us + AHEAD_MAX_US:
        return stamp * SECOND_US
    delay = a.number(attributes, a.ACCT_DELAY_TIME)
    if delay and delay * SECOND_US < BEHIND_MAX_US:
        return now_us - delay * SECOND_US
    return now_us


def end_cause(attributes: a.Attributes) -> str:
    """
    Name why a session ended: normal, exhausted (its grant was used up), idle, killed, nas_reboot, lost.

    FreeSWITCH says it by the disconnect cause alone: 322 is ALLOTTED_TIMEOUT, its scheduled hangup.
    """
    cause = a.number(attributes, a.ACCT_TERMINATE_CAUSE)
    if cause is not None:
        return "lost" if cause in _LOST else _CAUSES.get(cause, "normal")
    if a.H323_DISCONNECT_CAUSE not in attributes:
        return "normal"
    disconnect = without_prefix(a.text(attributes, a.H323_DISCONNECT_CAUSE), "h323-disconnect-cause")
    return "exhausted" if disconnect == "322" else "normal"


def start(report: Report, nas: Nas, keys: tuple[str, ...]) -> Update:
    """A Start opens and never charges (RADIUS.md)."""
    return Update(
        key=keys[0],
        identity=_START,
        origin=nas.name,
        aliases=keys[1:],
        event_us=report.event_us,
        answered_us=report.answered_us,
        is_start=True,
    )


def interim(report: Report, nas: Nas, keys: tuple[str, ...], orphan: Begin | None) -> Update:
    """
    An Interim-Update reports totals, and extends the reservation of a client that can be refilled or told
    of another limit.
    """
    return Update(
        key=keys[0],
        identity=Identity(f"i{_totals(report, nas.profile)}"),
        lines=_lines(report, nas.profile, nas.refill != "whole" or nas.coa is not None),
        origin=nas.name,
        aliases=keys[1:],
        event_us=report.event_us,
        answered_us=report.answered_us,
        orphan=orphan,
    )


def stop(report: Report, nas: Nas, keys: tuple[str, ...], attributes: a.Attributes, orphan: Begin | None) -> End:
    """A Stop ends and settles; `orphan` charges one that was never announced (S19)."""
    return End(
        key=keys[0],
        identity=Identity(f"e{_totals(report, nas.profile)}"),
        lines=_lines(report, nas.profile, False),
        origin=nas.name,
        aliases=keys[1:],
        event_us=report.event_us,
        answered_us=report.answered_us,
        cause=end_cause(attributes),
        orphan=orphan,
    )


def announced_late(nas: Nas, attributes: a.Attributes, keys: tuple[str, ...], subscriber: str) -> Begin:
    """Build what would have begun a session that only its Stop tells of (S19)."""
    received = a.first_text(attributes, nas.profile.called)
    caller = a.first_text(attributes, nas.profile.calling)
    destination = normalise(received, nas.numbers) if received else ""
    return Begin(
        key=keys[0],
        identity=_ORPHAN,
        policy=nas.policy,
        lines=tuple([LineRequest(key, None, True, None, destination, received) for key in nas.profile.charge_keys]),
        origin=nas.name,
        aliases=keys[1:],
        subscriber=subscriber,
        caller=normalise(caller, nas.numbers) if caller else "",
    )


def _lines(report: Report, profile: Profile, wants_quota: bool) -> tuple[LineRequest, ...]:
    if len(profile.charge_keys) == 1:  # of seconds, as nearly always
        usage = None if report.seconds is None else Total(report.seconds)
        return (LineRequest(profile.charge_keys[0], usage, wants_quota),)
    return tuple([LineRequest(key, _usage(key.unit, report), wants_quota) for key in profile.charge_keys])


def _usage(unit: str, report: Report) -> Total | None:
    used = report.seconds if unit == "seconds" else report.octets
    return None if used is None else Total(used)


def _totals(report: Report, profile: Profile) -> str:
    """The totals a repeat has too, in the order of the lines: what names a report within its session."""
    seconds = "" if report.seconds is None else str(report.seconds)
    if len(profile.charge_keys) == 1:
        return seconds
    return f"{seconds}.{'' if report.octets is None else report.octets}"
