"""
The JSON shapes of the control API, which are those that `aaactl -o json` prints.

Money is a decimal string with its currency, never a float; instants are RFC 3339 in UTC; ids of sessions
are strings, because 64 bits do not fit into the numbers of many JSON readers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from aaa.config.values import money_text

Item = TypeVar("Item")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Money(BaseModel):
    """An amount: exact decimal digits and the currency."""

    amount: str = Field(examples=["12.345000"])
    currency: str = Field(examples=["EUR"])


def money(amount_micro: int, currency: str) -> Money:
    """An amount of micro-units for people and machines."""
    return Money(amount=money_text(int(amount_micro)), currency=currency)


def instant(at_us: int | None) -> str | None:
    """An instant as RFC 3339 in UTC, microseconds only when there are any."""
    if at_us is None:
        return None
    return (EPOCH + timedelta(microseconds=at_us)).isoformat().replace("+00:00", "Z")


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the following one, null at the end."""

    items: list[Item]
    next: str | None = None


class Bucket(BaseModel):
    """Units beside the money; `amount` contains what is reserved."""

    name: str
    unit: str
    amount: int
    reserved: int
    available: int
    scope: list[str]
    service: str
    priority: int
    pulse: str
    valid_from: str | None
    valid_until: str | None


class Limits(BaseModel):
    """What an account may do beside what it can pay; null: no limit."""

    max_sessions: int | None = None
    max_call_amount: Money | None = None
    max_call_s: int | None = None
    spend_per_hour: Money | None = None
    spend_per_day: Money | None = None
    calls_per_second: int | None = None
    valid_after_use_s: int | None = None
    denied_classes: list[str] | None = None
    allowed_classes: list[str] | None = None


class Balance(BaseModel):
    """The figures of SEMANTICS S1: available = balance + credit_limit - reserved; reserved contains accrued."""

    account: str
    balance: Money
    accrued: Money
    reserved: Money
    credit_limit: Money | None
    available: Money | None = Field(description="null: the credit is unlimited")
    live_sessions: int
    buckets: list[Bucket]


class Account(BaseModel):
    """An account with its sums."""

    id: str
    status: str
    currency: str
    tariff: str
    balance: Money
    reserved: Money
    available: Money | None
    credit_limit: Money | None
    live_sessions: int
    limits: Limits
    valid_from: str | None
    valid_until: str | None
    created_at: str


class Subscription(BaseModel):
    """An identity; the value of a PIN is its keyed hash, credentials are never shown."""

    type: str
    value: str
    account: str
    proves_by: list[str] = Field(description="kinds of credential that are stored: clear, hash, ha1, ha1_sha256")
    created_at: str


class Entry(BaseModel):
    """One ledger entry: append-only, numbered without a gap within its account."""

    entry_no: int
    at: str
    amount: Money
    balance_after: Money
    cause: str
    ref: str


class Line(BaseModel):
    """One priced stretch of a session."""

    service: str
    unit: str
    rating_group: int | None
    destination: str
    received: str
    prefix: str
    destination_name: str
    tariff: str
    tariff_version: int
    used: int
    granted: int
    charged: Money
    reserved: Money
    anchor: str
    is_final: bool


class Session(BaseModel):
    """A session with its lines; `charged` is the price of what it used, posted or not."""

    id: str
    account: str
    state: str
    protocol: str
    origin: str
    key: str
    subscriber: str
    caller: str
    destination: str
    begun_at: str
    deadline: str
    elapsed_s: int
    used: int
    granted: int
    charged: Money
    reserved: Money
    cause: str
    lines: list[Line]


class Cdr(BaseModel):
    """A settled session; `account` null: unrated, nobody is known to pay (SEMANTICS S19)."""

    id: str
    account: str | None
    protocol: str
    origin: str
    key: str
    revision: int
    subscriber: str
    caller: str
    destination: str
    begun_at: str
    ended_at: str
    used: int
    amount: Money
    cause: str
    assumed: bool
    implausible: bool
    reported: int | None
    lines: list[Line]


class Activation(BaseModel):
    """From when a version of a tariff is in force."""

    version: int
    active_from: str


class Tariff(BaseModel):
    """A tariff: the version in force now, all versions and activations, the newest first."""

    name: str
    currency: str
    in_force: int | None
    versions: list[TariffVersion]
    activations: list[Activation]


class TariffVersion(BaseModel):
    """One immutable edition of a tariff."""

    version: int
    digest: str
    created_at: str


class Nas(BaseModel):
    """A RADIUS client, its secrets left out."""

    name: str
    address: str
    profile: str
    source: str = Field(description="config or store")
    secrets: int = Field(description="how many secrets verify")
    settings: dict[str, object]


class PeerConnection(BaseModel):
    """The open connections of a Diameter host from one address."""

    origin_host: str
    address: str
    connections: int


class Peer(BaseModel):
    """A Diameter peer; an entry for all hosts of a realm has the connections of every one."""

    origin_host: str
    realm: str
    source: str = Field(description="config or store")
    connections: list[PeerConnection]
    settings: dict[str, object]


class Mismatch(BaseModel):
    """A broken law: what the rows add up to, and what is stored."""

    account: str
    check: str
    expected: int
    found: int


class VerifiedCurrency(BaseModel):
    """What one currency adds up to over the accounts that were checked."""

    accounts: int
    entries: str
    balances: str
    reservations: str
    reserved: str
    mismatches: int


class Verified(BaseModel):
    """A checked range; `next` is the cursor of the following one, null when all accounts are checked."""

    accounts: int
    mismatches: int
    currencies: dict[str, VerifiedCurrency]
    broken: list[Mismatch]
    next: str | None


class Applied(BaseModel):
    """What applying a file did, or would do."""

    created: int
    changed: int
    unchanged: int
    openings: int = Field(description="opening balances posted")
    actions: list[str]
    warnings: list[str]
    dry_run: bool


class Moved(BaseModel):
    """Money that was moved; `repeated` when the idempotency key had been used for the same movement before."""

    account: str
    amount: Money
    idempotency_key: str
    repeated: bool
    balance: Money
    available: Money | None


class Audit(BaseModel):
    """One write: who, what, why."""

    id: int
    at: str
    actor: str
    action: str
    target: str
    reason: str
    detail: dict[str, object]


class Token(BaseModel):
    """An API token, without what it is."""

    name: str
    roles: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class MadeToken(BaseModel):
    """A new token; it is stored as a hash and never shown again."""

    name: str
    roles: list[str]
    token: str


class Voucher(BaseModel):
    """A voucher; its PIN is stored as a keyed hash."""

    serial: str
    batch: str
    amount: Money
    state: str
    expires_at: str | None
    redeemed_at: str | None
    account: str | None


class MadeVoucher(BaseModel):
    """A new voucher with its PIN, shown this once."""

    serial: str
    pin: str
    amount: Money
    expires_at: str | None


class Setting(BaseModel):
    """One key of the configuration in effect."""

    key: str
    value: Any
    origin: str


class Change(BaseModel):
    """One difference between two versions of a tariff; `prefix` null: of the tariff itself."""

    kind: str
    service: str | None
    prefix: str | None
    what: str
    before: str
    after: str
    change_percent: int | None
    is_jump: bool


class Identity(BaseModel):
    """The caller, as the audit log names them."""

    actor: str
    roles: list[str]


class Check(BaseModel):
    """One check of readiness."""

    name: str
    ok: bool
    detail: str


class Readiness(BaseModel):
    """Whether the server takes new sessions, with each check."""

    ready: bool
    checks: list[Check]


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    hint: str | None = None
    errors: list[dict[str, object]] | None = None
