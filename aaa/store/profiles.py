"""
Accounts, buckets and subscriptions as rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aaa.engine.model import Account, Profile, Window
from aaa.engine.ports import Subscriber
from aaa.engine.terms import NO_LIMITS, Limits
from aaa.errors import RowUnreadable
from rating.funding import Bucket

ACCOUNT_COLUMNS = (
    "id, name, currency, tariff, status, credit_limit, valid_from, valid_until, limits, pool_id, windows, balance, "
    "accrued, reserved, live_sessions, entry_no, version"
)
BUCKET_COLUMNS = "id, account_id, unit, amount, reserved, priority, scope, service, pulse, valid_from, valid_until"
SUBSCRIBER_SELECT = (
    "SELECT account.id, account.name, subscription.type, subscription.value, subscription.credential, "
    "account.pool_id "
    "FROM subscription JOIN account ON account.id = subscription.account_id "
    "WHERE subscription.type=? AND subscription.value=?"
)


def limits_from_json(text: str) -> Limits:
    """The `limits` column: an object with the fields of `Limits`, absent ones unlimited."""
    fields = json.loads(text)
    if not fields:
        return NO_LIMITS
    allowed = fields.get("allowed_classes")
    return Limits(
        max_sessions=fields.get("max_sessions"),
        call_amount_micro=fields.get("call_amount_micro"),
        call_seconds=fields.get("call_seconds"),
        denied_classes=frozenset(fields.get("denied_classes", ())),
        allowed_classes=None if allowed is None else frozenset(allowed),
        valid_after_use_s=fields.get("valid_after_use_s"),
        spend_per_hour_micro=fields.get("spend_per_hour_micro"),
        spend_per_day_micro=fields.get("spend_per_day_micro"),
        calls_per_second=fields.get("calls_per_second"),
    )


def account_from_row(row: Sequence[Any], buckets: tuple[Bucket, ...] = ()) -> tuple[Account, int]:
    """
    The account of a row selected as `ACCOUNT_COLUMNS`, and its version.

    Raises:
        RowUnreadable: The row is not what was ever written.
    """
    try:
        return _account(row, buckets)
    except Exception as error:
        raise RowUnreadable(f"account {row[0]} cannot be read: {type(error).__name__}: {error}") from error


def _account(row: Sequence[Any], buckets: tuple[Bucket, ...]) -> tuple[Account, int]:
    number, name, currency, tariff, status, credit_limit, valid_from, valid_until, limits, pool_id, *moving = row
    windows, *sums, version = moving
    profile = Profile(
        number,
        name,
        currency,
        tariff,
        status,
        credit_limit,
        valid_from,
        valid_until,
        limits_from_json(limits),
        pool_id,
    )
    balance, accrued, reserved, live_sessions, entry_no = sums
    counts = () if windows == "[]" else tuple(Window(*window) for window in json.loads(windows))
    return Account(profile, balance, accrued, reserved, live_sessions, entry_no, buckets, counts), version


def bucket_from_row(row: Sequence[Any]) -> Bucket:
    """
    The bucket of a row selected as `BUCKET_COLUMNS`.

    Raises:
        RowUnreadable: The row is not what was ever written.
    """
    try:
        return _bucket(row)
    except Exception as error:
        raise RowUnreadable(
            f"bucket {row[0]} of account {row[1]} cannot be read: {type(error).__name__}: {error}"
        ) from error


def _bucket(row: Sequence[Any]) -> Bucket:
    number, account_id, unit, amount, reserved, priority, scope, service, pulse, valid_from, valid_until = row
    first, _, following = pulse.partition("/")
    return Bucket(
        id=number,
        account_id=account_id,
        unit=unit,
        amount=amount,
        reserved=reserved,
        priority=priority,
        scope=tuple(json.loads(scope)),
        service=service,
        pulse=(int(first), int(following or first)),
        valid_from_us=valid_from,
        valid_until_us=valid_until,
    )


def subscriber_from_row(row: Sequence[Any]) -> Subscriber:
    """The subscriber of a row of `SUBSCRIBER_SELECT`."""
    account_id, account, kind, value, credential, pool_id = row
    return Subscriber(account_id, account, kind, value, json.loads(credential), pool_id)
