"""
The tables of an `apply` file that concern accounts (OPERATIONS section 15).

The control API takes the same tables as JSON, so that one schema says what an account is.  Keys that are
not written leave an existing object as it is: applying a file twice, or one that names only part of an
object, never resets what an operator changed meanwhile.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from aaa.config.clients import Name, Table
from aaa.config.values import Micro, Seconds, parse_money, parse_pulse

UNLIMITED = "unlimited"
PASSWORD_OCTETS_MAX = 128  # RFC 2865 section 5.2
UNITS_MAX = 2**62

# What can be verified; the RADIUS face says which method each allows.
_HASHES = re.compile(r"\$argon2(?:id|i|d)\$.+|\$2[aby]\$\d\d\$.{53}|\{(?:S?SHA|S?SHA256|S?SHA512)\}[A-Za-z0-9+/=]+")
_HA1 = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_VALUES = {
    "e164": (re.compile(r"[0-9]{1,32}"), "digits of the number in international form, without +"),
    "imsi": (re.compile(r"[0-9]{5,15}"), "5 to 15 digits"),
    "pin": (re.compile(r"[0-9]{6,24}"), "6 to 24 digits"),
    "sip_uri": (re.compile(r"sips?:[^\s@]+@[^\s@]+"), "an address such as sip:alice@example.net"),
}


def parse_instant(value: Any) -> int:
    """
    Microseconds since the epoch of an RFC 3339 time with its zone.

    >>> parse_instant("2027-01-01T00:00:00Z")
    1798761600000000
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f'{value!r} is no time: expected such as "2027-01-01T00:00:00Z"') from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f'{value} has no time zone: expected such as "2027-01-01T00:00:00Z"')
    try:
        since = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"{value} is beyond what can be reckoned with") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _credit_limit(value: Any) -> int | None:
    if value == UNLIMITED:
        return None
    limit = parse_money(value)
    if limit < 0:
        raise ValueError(
            f'{value!r} is below 0: a credit limit says how far below zero the balance may go, or "unlimited"'
        )
    return limit


Instant = Annotated[int, BeforeValidator(parse_instant)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
CreditLimit = Annotated[int | None, BeforeValidator(_credit_limit)]
PositiveMicro = Annotated[Micro, Field(gt=0)]
Classes = Annotated[list[Name], Field(max_length=64)]


class SubscriptionTable(Table):
    """How the network names the payer, and how they prove it (RFC 8506 section 8.46)."""

    type: Literal["username", "e164", "sip_uri", "imsi", "ip", "pin"]
    value: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    password: Annotated[str, StringConstraints(min_length=1)] | None = None
    password_hash: str | None = None
    ha1: str | None = None
    realm: Name | None = None

    @model_validator(mode="after")
    def _sound(self) -> SubscriptionTable:
        if self.type in _VALUES and not _VALUES[self.type][0].fullmatch(self.value):
            shown = "the value" if self.type == "pin" else repr(self.value)
            raise ValueError(f"{shown} is no {self.type}: expected {_VALUES[self.type][1]}")
        if self.type == "ip":
            ipaddress.ip_address(self.value)
        if self.password is not None and self.password_hash is not None:
            raise ValueError("password and password_hash exclude each other")
        if self.password is not None and len(self.password.encode()) > PASSWORD_OCTETS_MAX:
            raise ValueError(f"password is longer than {PASSWORD_OCTETS_MAX} octets (RFC 2865 section 5.2)")
        if self.password_hash is not None and not _HASHES.fullmatch(self.password_hash):
            raise ValueError(
                "password_hash is none of argon2, bcrypt, {SHA}, {SSHA}, {SHA256}, {SSHA256}, {SHA512}, {SSHA512}"
            )
        if (self.ha1 is None) != (self.realm is None):
            raise ValueError("ha1 and realm are only of use together (RFC 5090)")
        if self.ha1 is not None and not _HA1.fullmatch(self.ha1):
            raise ValueError("ha1 is no MD5 or SHA-256 in lower-case hex")
        return self


class BucketTable(Table):
    """Units an account holds beside its money (SEMANTICS S16); `amount` is what a new bucket starts with."""

    name: Name | None = None
    unit: Literal["seconds", "octets", "events"]
    amount: Annotated[int, Field(ge=0, le=UNITS_MAX)]
    scope: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")], ...], Field(max_length=1000)
    ] = ()
    service: Literal["", "voice", "data", "message", "event"] = ""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    pulse: Annotated[tuple[int, int], BeforeValidator(parse_pulse)] = (1, 1)
    valid_from: Instant | None = None
    valid_until: Instant | None = None


class AccountTable(Table):
    """Who holds the balance, under which tariff, within which limits."""

    id: Name
    currency: Currency | None = None
    tariff: Name | None = None
    pool: Name | None = None  # the account whose money and units it spends
    status: Literal["active", "suspended", "closed"] = "active"
    credit_limit: CreditLimit = 0
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    max_sessions: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_call_amount: PositiveMicro | None = None
    max_call_s: Annotated[int, Field(gt=0)] | None = None
    spend_per_hour: PositiveMicro | None = None
    spend_per_day: PositiveMicro | None = None
    calls_per_second: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    valid_after_use: Annotated[Seconds, Field(gt=0)] | None = None
    denied_classes: Classes | None = None
    allowed_classes: Classes | None = None
    opening_balance: Annotated[Micro, Field(ge=0)] | None = None
    subscription: tuple[SubscriptionTable, ...] = ()
    bucket: tuple[BucketTable, ...] = ()

    def columns(self) -> dict[str, Any]:
        """The written columns of the account row, without its limits."""
        names = {"currency": "currency", "tariff": "tariff", "status": "status", "credit_limit": "credit_limit"}
        names |= {"valid_from": "valid_from", "valid_until": "valid_until"}
        return {column: getattr(self, key) for key, column in names.items() if key in self.model_fields_set}

    def limits(self) -> dict[str, Any]:
        """The written limits, under the names of `aaa.engine.terms.Limits`."""
        names = {"max_sessions": "max_sessions", "max_call_amount": "call_amount_micro", "max_call_s": "call_seconds"}
        names |= {"spend_per_hour": "spend_per_hour_micro", "spend_per_day": "spend_per_day_micro"}
        names |= {"calls_per_second": "calls_per_second", "valid_after_use": "valid_after_use_s"}
        names |= {"denied_classes": "denied_classes", "allowed_classes": "allowed_classes"}
        return {limit: getattr(self, key) for key, limit in names.items() if key in self.model_fields_set}

    def named_buckets(self) -> list[tuple[str, BucketTable]]:
        """The buckets with their names; one without is called by its unit, the second of a unit `seconds-2`."""
        named: list[tuple[str, BucketTable]] = []
        counts: dict[str, int] = {}
        for bucket in self.bucket:
            counts[bucket.unit] = counts.get(bucket.unit, 0) + (bucket.name is None)
            ordinal = counts[bucket.unit]
            named.append((bucket.name or (bucket.unit if ordinal == 1 else f"{bucket.unit}-{ordinal}"), bucket))
        return named
