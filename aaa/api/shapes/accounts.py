"""What accounts hold and what moved it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from aaa.api.shapes.values import Money


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


class Window(BaseModel):
    """What an account spent in the hour or day that runs, beside what may be spent in it."""

    kind: str = Field(description="hour or day, of UTC")
    spent: Money
    limit: Money


class Balance(BaseModel):
    """
    The figures of SEMANTICS S1: available = balance + credit_limit - reserved; reserved contains accrued.

    Those of its pool, units too, where the account spends from one; sessions and windows are its own.
    """

    account: str
    pool: str | None = Field(description="the account whose money and units it spends; null: its own")
    balance: Money
    accrued: Money
    reserved: Money
    credit_limit: Money | None
    available: Money | None = Field(description="null: the credit is unlimited")
    live_sessions: int
    buckets: list[Bucket]
    windows: list[Window]


class Account(BaseModel):
    """An account with its own sums; what is available is what its pool has left, where it spends from one."""

    id: str
    pool: str | None = Field(description="the account whose money and units it spends; null: its own")
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
    ended: str | None = Field(description="how the session ended whose charge it is, such as normal, exhausted, killed")


class Moved(BaseModel):
    """
    Money that was moved; `repeated` when the idempotency key had been used for the same movement before.

    What is moved for an account that spends from a pool moves in the pool, and the balance is the pool's.
    """

    account: str
    pool: str | None
    amount: Money
    idempotency_key: str
    repeated: bool
    balance: Money
    available: Money | None


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
