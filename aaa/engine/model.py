"""
The values the charging engine decides on: accounts with their sums, sessions with their lines.

Amounts are integers of 10^-6 of the account's currency (`_micro`), instants are integer microseconds since
the epoch, UTC (`_us`), quantities are whole units of the line (seconds, octets, events).  Values are never
changed in place: a decision builds the next one, so that a failed commit can be forgotten by dropping what
was staged on it.
"""

from __future__ import annotations

from aaa.engine.terms import NO_LIMITS, ChargeKey, Limits, Policy, State
from aaa.value import Value
from rating.funding import Bucket, Parts
from rating.plan import RatePlan


class Profile(Value, frozen=True):
    """What an operator set for an account; no decision changes it."""

    id: int
    name: str
    currency: str
    tariff: str
    status: str = "active"
    credit_limit_micro: int | None = 0  # None: unlimited (post-paid)
    valid_from_us: int | None = None
    valid_until_us: int | None = None
    limits: Limits = NO_LIMITS
    pool_id: int | None = None  # whose money and units it spends instead of its own (`aaa.engine.pool`)


class Window(Value, frozen=True):
    """What came together in one stretch of time: micro charged in an `hour` or `day`, sessions in a `second`."""

    kind: str
    start_us: int
    amount: int


class Account(Value, frozen=True):
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


class LineHead(Value, frozen=True):
    """What never changes about a line: what is charged, where to, under which tariff (S2, S17)."""

    key: ChargeKey
    destination: str  # normalised called number, "" when the service has none
    received: str  # as the client sent it (S22)
    tariff_version: int
    prefix: str
    anchor_auth_us: int
    plan: RatePlan | None  # what the tariff version says for it; None: emergency, price 0 (S21)
    offset: int = 0  # session usage at which this leg begins (S14)


class Line(Value, frozen=True):
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


class SessionHead(Value, frozen=True):
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


class Seen(Value, frozen=True):
    """One request a session remembers, with the answer it got as JSON (S7, `aaa.engine.memory`)."""

    number: str
    digest: str
    text: bytes


class Session(Value, frozen=True):
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

    @property
    def reserved_micro(self) -> int:
        total = 0
        for line in self.lines:
            total += line.reserved_micro
        return total

    @property
    def accrued_micro(self) -> int:
        total = 0
        for line in self.lines:
            total += line.accrued_micro
        return total
