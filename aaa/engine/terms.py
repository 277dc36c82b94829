"""
The words the charging engine shares with everything around it: states, reasons, keys, policies, limits.

Quantities are whole units of the line (seconds, octets, events), spans are seconds (`_s`), amounts are
integers of 10^-6 of the account's currency (`_micro`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aaa.value import Value

SECOND_US = 1_000_000


EMERGENCY_ACCOUNT = "emergency"  # its sessions cost nothing (S21)


REPLACED = "replaced"  # why a session ended whose key was used again (S7)


class State(StrEnum):
    """States of a session (SEMANTICS S5, S8)."""

    __hash__ = str.__hash__  # an enumeration's own is a call of Python in every look-up

    HELD = "held"
    OPEN = "open"
    EXPIRED = "expired"
    CLOSED = "closed"


LIVE = frozenset({State.HELD, State.OPEN})


class Reason(StrEnum):
    """Why something was refused; each protocol maps these to its own code."""

    __hash__ = str.__hash__  # an enumeration's own is a call of Python in every look-up

    NO_CREDIT = "no_credit"
    UNKNOWN_ACCOUNT = "unknown_account"
    ACCOUNT_SUSPENDED = "account_suspended"
    ACCOUNT_EXPIRED = "account_expired"
    UNKNOWN_DESTINATION = "unknown_destination"
    DESTINATION_BLOCKED = "destination_blocked"
    NO_TARIFF = "no_tariff"
    LIMIT_SESSIONS = "limit_sessions"
    LIMIT_CALL = "limit_call"
    LIMIT_WINDOW = "limit_window"
    LIMIT_RATE = "limit_rate"
    UNKNOWN_SESSION = "unknown_session"
    SESSION_CLOSED = "session_closed"
    SESSION_REUSED = "session_reused"  # its key comes again for something else: expire it, then begin anew (S7)
    SESSION_REPLACED = "session_replaced"  # it was, and the next session of this key is asked instead
    FOREIGN_SESSION = "foreign_session"
    CONFLICT = "conflict"
    NOT_ALLOWED = "not_allowed"
    INVALID = "invalid"
    STORE_DOWN = "store_down"
    DRAINING = "draining"


class ChargeKey(Value, frozen=True):
    """What a line of a session charges for (S2, RFC 8506 8.42, 8.29, 8.28)."""

    service: str = "voice"  # voice | data | message | event
    rating_group: int | None = None
    service_ids: tuple[int, ...] = ()
    unit: str = "seconds"  # seconds | octets | events | money (micro)
    direction: str = ""


def is_same(key: object, other: object) -> bool:
    """
    Whether two keys are equal.

    They come as objects: where both sides of `==` are known to be of one class of values, mypyc compiles it to
    `is`, because it does not see that the class compares by content.
    """
    return key == other


class Policy(Value, frozen=True):
    """
    How one client (NAS or peer) is to be granted units (S5, S6, S9), from configuration.

    `quantum` is `whole`, `fixed` or `adaptive`; seconds end in `_s`.  `from_now` says that the client
    counts a refill from its arrival, not from the start of the session.  `report_at_stop` marks clients
    that report usage only at the end, which are assumed to have used their grant (S8).
    """

    quantum: str = "whole"
    quantum_fixed: int = 60
    quantum_min: int = 30
    quantum_max: int = 300
    validity_s: int = 600
    hold_s: int = 180
    setup_s: int = 180
    grace_s: int = 20
    session_cap_s: int = 14_400
    assume_granted: bool = False
    from_now: bool = True
    final_margin_s: int = 0
    tells_validity: bool = False
    quantum_octets: int = 10_000_000
    quantum_events: int = 1
    outlasts_credit: bool = False  # a session without money goes on without quota (Diameter redirect, restrict)
    outage_call_s: int = 0  # most of one call that is granted while the store is down (S12); 0: none


@dataclass(slots=True, frozen=True)
class Limits:
    """
    Per-account limits beside the credit (None: no limit).

    `spend_per_hour_micro`, `spend_per_day_micro`: what may be charged in one hour or day of UTC, what running
    sessions hold included; `calls_per_second`: new sessions and debits in one second.
    `valid_after_use_s`: how long after its first session an account that has no last day gets one (calling
    cards); set outside of decisions.
    """

    max_sessions: int | None = None
    call_amount_micro: int | None = None
    call_seconds: int | None = None
    denied_classes: frozenset[str] = frozenset()
    allowed_classes: frozenset[str] | None = None
    valid_after_use_s: int | None = None
    spend_per_hour_micro: int | None = None
    spend_per_day_micro: int | None = None
    calls_per_second: int | None = None


NO_LIMITS = Limits()
"""What most accounts have: this very object, so that nothing has to be asked of it."""
