"""
The values the charging engine works on: accounts, sessions, commands, answers, changes.

`decide(accounts, session, command, tariffs, now)` reads these and returns new ones; nothing here does
I/O or knows the time.  Amounts are integers of 10^-6 of the account's currency (`_micro`), instants are
integer microseconds since the epoch, UTC (`_us`), quantities are whole units of the line (seconds,
octets, events).  Values are never changed in place: a decision builds the next one, so that a failed
commit can be forgotten by dropping what was staged on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from rating.funding import Bucket, Parts
from rating.plan import RatePlan

SECOND_US = 1_000_000
EMERGENCY_ACCOUNT = "emergency"  # its sessions cost nothing (S21)


class State(StrEnum):
    """States of a session (SEMANTICS S5, S8)."""

    HELD = "held"
    OPEN = "open"
    EXPIRED = "expired"
    CLOSED = "closed"


LIVE = frozenset({State.HELD, State.OPEN})


class Reason(StrEnum):
    """Why something was refused; each protocol maps these to its own code."""

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


class ChargeKey(NamedTuple):
    """What a line of a session charges for (S2, RFC 8506 8.42, 8.29, 8.28)."""

    service: str = "voice"  # voice | data | message | event
    rating_group: int | None = None
    service_ids: tuple[int, ...] = ()
    unit: str = "seconds"  # seconds | octets | events | money (micro)
    direction: str = ""


class Policy(NamedTuple):
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


@dataclass(slots=True, frozen=True)
class Profile:
    """What an operator set for an account; no decision changes it."""

    id: int
    name: str
    currency: str
    tariff: str
    status: str = "active"
    credit_limit_micro: int | None = 0  # None: unlimited (post-paid)
    valid_from_us: int | None = None
    valid_until_us: int | None = None
    limits: Limits = Limits()


class Window(NamedTuple):
    """What came together in one stretch of time: micro charged in an `hour` or `day`, sessions in a `second`."""

    kind: str
    start_us: int
    amount: int


class Account(NamedTuple):
    """
    One account as the engine sees it: sums, never its other sessions (S1, S10).

    `balance` is the sum of its ledger entries, `accrued` and `reserved` the sums over its live sessions;
    `reserved` contains `accrued`.
    """

    profile: Profile
    balance_micro: int = 0
    accrued_micro: int = 0
    reserved_micro: int = 0
    live_sessions: int = 0
    entry_no: int = 0
    buckets: tuple[Bucket, ...] = ()
    windows: tuple[Window, ...] = ()  # only where a limit needs them (`aaa.engine.windows`)

    @property
    def available_micro(self) -> int | None:
        """What a new grant may hold (S1); None when the credit is unlimited."""
        limit = self.profile.credit_limit_micro
        return None if limit is None else self.balance_micro + limit - self.reserved_micro

    @property
    def shown_micro(self) -> int:
        """The balance a person is shown: posted minus what running sessions have used (S1)."""
        return self.balance_micro - self.accrued_micro


REPLACED = "replaced"  # why a session ended whose key was used again (S7)


class LineHead(NamedTuple):
    """What never changes about a line: what is charged, where to, under which tariff (S2, S17)."""

    key: ChargeKey
    destination: str  # normalised called number, "" when the service has none
    received: str  # as the client sent it (S22)
    tariff_version: int
    prefix: str
    anchor_auth_us: int
    plan: RatePlan | None  # what the tariff version says for it; None: emergency, price 0 (S21)
    offset: int = 0  # session usage at which this leg begins (S14)


class Line(NamedTuple):
    """
    One priced stretch of a session (S2, S4).

    `used` and `granted` are totals of this line in its own unit; `reserved_micro` is price(held) minus
    what is posted; `parts` is the funding plan, empty for money alone.
    """

    head: LineHead
    anchor_use_us: int = 0  # 0: not known yet (S3)
    used: int = 0
    granted: int = 0
    accrued_micro: int = 0  # price(used) - posted
    reserved_micro: int = 0  # price(used + granted) - posted, contains accrued
    posted_micro: int = 0
    parts: Parts = ()
    is_final: bool = False
    posted_parts: Parts = ()  # the part of the plan that was settled: bucket units already taken

    @property
    def held_micro(self) -> int:
        """Everything set aside for this line since it began."""
        return self.reserved_micro + self.posted_micro


class SessionHead(NamedTuple):
    """What never changes about a session: whose it is, where it came from, how it is keyed."""

    id: int
    account_id: int
    key: str  # unique: NAS identity, epoch and session key; or Origin-Host and Session-Id
    origin: str  # name of the client entry (NAS) or the peer
    protocol: str  # radius | diameter
    service_context: str
    subscriber: str  # the identity that paid, as configured
    caller: str
    begun_us: int
    policy: Policy


class Seen(NamedTuple):
    """One request a session remembers, with the answer it got (S7)."""

    number: str
    digest: str
    answer: Answer | None


class Session(NamedTuple):
    """A session: its head, its state, its lines, and the requests it remembers (S5, S7, S8)."""

    head: SessionHead
    state: State
    deadline_us: int
    lines: tuple[Line, ...]
    aliases: tuple[str, ...] = ()
    seen: tuple[Seen, ...] = ()  # the last four, oldest first
    highest: int = -1  # highest CC-Request-Number, Diameter only
    window: int = 0  # 64 bits below `highest`
    started_us: int = 0  # event time of the Start
    answered_us: int = 0  # connect time, where the client tells it
    asked_us: int = 0  # arrival of the last request for quota
    ended_us: int = 0
    grants: int = 0  # how often quota was granted
    revision: int = 0  # how often it was settled
    cause: str = ""  # why it ended, or why it is to end (killed)
    assumed: bool = False
    implausible: bool = False
    reported: int | None = None  # total of the End, as reported

    def heard_of(
        self, state: State, deadline_us: int, lines: tuple[Line, ...], started_us: int, answered_us: int
    ) -> Session:
        """The session after a report: what most requests change, without the cost of naming the rest."""
        return Session(
            self.head,
            state,
            deadline_us,
            lines,
            self.aliases,
            self.seen,
            self.highest,
            self.window,
            started_us,
            answered_us,
            self.asked_us,
            self.ended_us,
            self.grants,
            self.revision,
            self.cause,
            self.assumed,
            self.implausible,
            self.reported,
        )

    @property
    def reserved_micro(self) -> int:
        return sum([line.reserved_micro for line in self.lines])

    @property
    def accrued_micro(self) -> int:
        return sum([line.accrued_micro for line in self.lines])


class Total(NamedTuple):
    """Usage as a total since the session began (RADIUS)."""

    units: int


class Delta(NamedTuple):
    """Usage since the last report (Diameter Used-Service-Unit)."""

    units: int


class LineRequest(NamedTuple):
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


class Identity(NamedTuple):
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


class Begin(NamedTuple):
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


class Update(NamedTuple):
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


class End(NamedTuple):
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


class Event(NamedTuple):
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


class Expire(NamedTuple):
    """The deadline of a session passed, or its NAS restarted: settle what is known (S8, S20)."""

    key: str
    cause: str = "stale"


class Adjust(NamedTuple):
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


class Kill(NamedTuple):
    """End a session by order: settle at what is known once the switch confirmed or cannot."""

    key: str
    cause: str = "killed"


class Capped(NamedTuple):
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


class LineGrant(NamedTuple):
    """What one line got: `told` counts as the client counts, `total` since the line began."""

    key: ChargeKey
    told: int
    total: int
    validity_s: int = 0
    is_final: bool = False
    is_free: bool = False
    cost_micro: int = 0  # price of what is used so far
    switch_us: int = 0  # when the price changes; the grant that follows is for what is used from then on


class LineDenial(NamedTuple):
    """Why one line got nothing (result code at MSCC level)."""

    key: ChargeKey
    reason: Reason
    cost_micro: int = 0


class Grant(NamedTuple):
    """
    Allowed: every line with what it got (S6).  `shown_micro` is the balance a person would be shown.
    """

    session_id: int
    lines: tuple[LineGrant | LineDenial, ...]
    shown_micro: int
    currency: str
    number: int = 0  # counts the grants of the session; the State of a RADIUS answer names it


class Denial(NamedTuple):
    """Refused as a whole, with the reason; moves nothing."""

    reason: Reason
    detail: str = ""
    session_id: int = 0
    shown_micro: int = 0
    currency: str = ""


class Outcome(StrEnum):
    """What became of a command that asks for no units."""

    DONE = "done"
    REPEAT = "repeat"
    IGNORED = "ignored"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    UNRATED = "unrated"


class Ack(NamedTuple):
    """
    Taken: usage noted, session ended or money moved.

    `cost_micro` is the charge of the session so far, `balance_micro` the account's after it.
    """

    outcome: Outcome
    session_id: int = 0
    cost_micro: int = 0
    balance_micro: int = 0
    currency: str = ""
    lines: tuple[LineGrant | LineDenial, ...] = ()


Answer = Grant | Denial | Ack


class Entry(NamedTuple):
    """One ledger entry (S13): append-only, numbered without gaps within its account."""

    account_id: int
    entry_no: int
    amount_micro: int
    balance_after_micro: int
    cause: str  # charge | assumed | correction | debit | refund | opening | topup | adjust
    ref: str
    at_us: int


class UnitEntry(NamedTuple):
    """Units that a settlement took from a bucket, or gave back to it (S4)."""

    bucket_id: int
    session_id: int
    revision: int
    units: int  # negative: taken
    at_us: int


class Notice(NamedTuple):
    """Something to count and perhaps alert on: overrun, overspend, conflict, implausible, late."""

    kind: str
    cause: str = ""
    amount: int = 1


class Changes(NamedTuple):
    """
    What a decision moves.  Empty changes move nothing and still take part in the version check (S10).

    `accounts` are the new values of the accounts the decision was given, in the same order, empty when
    none changed; `session` is the session as it is now, `is_new` when it had no row before.
    """

    accounts: tuple[Account, ...] = ()
    session: Session | None = None
    is_new: bool = False
    entries: tuple[Entry, ...] = ()
    units: tuple[UnitEntry, ...] = ()
    settles: bool = False  # a CDR is to be written or revised
    new_aliases: tuple[str, ...] = ()
    early_start: EarlyStart | None = None
    unrated: Unrated | None = None
    notices: tuple[Notice, ...] = ()


class EarlyStart(NamedTuple):
    """A Start that came before its Begin: remembered under each of its keys until `deadline_us` (S5)."""

    keys: tuple[str, ...]
    started_us: int
    deadline_us: int


class Unrated(NamedTuple):
    """Usage nobody is known to pay for: kept as an unrated CDR (S19)."""

    key: str
    origin: str
    used: int
    at_us: int
    cause: str


NOTHING = Changes()

Decision = tuple[Changes, Answer]
Accounts = Sequence[Account]
