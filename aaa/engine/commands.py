"""
What the engine is asked: one command for each thing a client, an operator or the clock can want.

The protocol faces build these; nothing in them says how they came over the wire.
"""

from __future__ import annotations

from enum import StrEnum

from aaa.engine.terms import ChargeKey, Policy
from aaa.value import Value


class Total(Value, frozen=True):
    """Usage as a total since the session began (RADIUS)."""

    units: int


class Delta(Value, frozen=True):
    """Usage since the last report (Diameter Used-Service-Unit)."""

    units: int


class LineRequest(Value, frozen=True):
    """What a command asks of one line (S2): usage reported, quota wanted."""

    key: ChargeKey = ChargeKey()
    usage: Total | Delta | None = None
    wants_quota: bool = True
    requested: int | None = None  # RSU: caps the quantum
    destination: str = ""
    received: str = ""
    is_bare: bool = False  # names no service: means the session's only line, if it has but one of its unit
    before: int = 0  # of the usage, what the client places before the last price change it was told of
    after: int = 0  # and what it places behind it
    is_open: bool = False  # the client names no unit: a rate in another one counts it
    splits: bool = False  # the answer has room for a quota on either side of a price change
    at_us: int = 0  # an instant in the price period that is meant; 0: the latest


class Identity(Value, frozen=True):
    """
    The idempotency identity of a request within its session (S7).

    `number` orders or names the request (CC-Request-Number; RADIUS: phase with grant number or totals),
    `digest` covers its content: same number and digest is a repeat, same number and another digest a
    conflict.
    """

    number: str
    digest: str = ""
    order: int | None = None  # CC-Request-Number, for the window
    retransmitted: bool = False  # T flag


class Begin(Value, frozen=True):
    """
    Open a session or, on one that is known, ask for more (RFC 2865 Access-Request, CCR-I).

    `key` and `aliases` name the session; the first key found decides.
    """

    key: str
    identity: Identity
    policy: Policy
    lines: tuple[LineRequest, ...]
    origin: str
    aliases: tuple[str, ...] = ()
    protocol: str = "radius"
    service_context: str = ""
    subscriber: str = ""
    caller: str = ""
    event_us: int = 0  # 0: arrival
    early_start_us: int = 0  # a Start of this session came first, at this instant (S5)
    transfer: bool = False
    emergency: bool = False


class Update(Value, frozen=True):
    """Report usage and perhaps ask for more (RFC 2866 Start and Interim-Update, CCR-U)."""

    key: str
    identity: Identity
    lines: tuple[LineRequest, ...] = ()
    origin: str = ""
    aliases: tuple[str, ...] = ()
    event_us: int = 0
    answered_us: int = 0  # connect time, when the client tells it
    is_start: bool = False
    orphan: Begin | None = None  # what would have begun it, to charge usage nobody announced (S19)


class End(Value, frozen=True):
    """End a session and settle it (RFC 2866 Stop, CCR-T)."""

    key: str
    identity: Identity
    lines: tuple[LineRequest, ...] = ()
    origin: str = ""
    aliases: tuple[str, ...] = ()
    event_us: int = 0
    answered_us: int = 0
    cause: str = "normal"
    orphan: Begin | None = None  # what would have begun it, to charge a Stop nobody announced (S19)


class Action(StrEnum):
    """Requested-Action of RFC 8506 8.41."""

    DEBIT = "debit"
    REFUND = "refund"
    CHECK_BALANCE = "check_balance"
    PRICE_ENQUIRY = "price_enquiry"


class Event(Value, frozen=True):
    """Charge, refund, check or price without a session (CCR-E)."""

    key: str
    identity: Identity
    action: Action
    lines: tuple[LineRequest, ...]
    origin: str
    policy: Policy = Policy()
    protocol: str = "diameter"
    service_context: str = ""
    subscriber: str = ""
    caller: str = ""
    event_us: int = 0
    refunds: str = ""  # key of the debit a refund names (S23); none: money is given at the tariff's price


class Expire(Value, frozen=True):
    """
    The deadline of a session passed, or its NAS restarted: settle what is known (S8, S20).

    `due_us`: only if its deadline is not later than this; it may have been heard of since somebody looked.
    """

    key: str
    cause: str = "stale"
    due_us: int | None = None


class Adjust(Value, frozen=True):
    """
    Move money on an account: opening balance, top-up, correction, refund by hand.

    `idempotency_key` makes it exactly once (S13); the same key with another amount is a conflict.
    `only_available` refuses what would take `available` below zero: a transfer never moves what running
    sessions hold.
    """

    amount_micro: int
    cause: str  # opening | topup | adjust
    idempotency_key: str
    reason: str = ""
    actor: str = ""
    only_available: bool = False


class Kill(Value, frozen=True):
    """End a session by order: settle at what is known once the switch confirmed or cannot."""

    key: str
    cause: str = "killed"


class Capped(Value, frozen=True):
    """Take over a session that was granted so many seconds while the store was down (S11)."""

    begin: Begin
    session_id: int
    granted: int

    @property
    def key(self) -> str:
        return self.begin.key

    @property
    def aliases(self) -> tuple[str, ...]:
        return self.begin.aliases

    @property
    def origin(self) -> str:
        return self.begin.origin


Command = Begin | Update | End | Event | Expire | Adjust | Kill | Capped
