"""
Rows of the store as the shapes people and machines read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aaa.api import shapes
from aaa.api.shapes import instant, money
from aaa.engine.model import Line
from aaa.engine.ports import Tariffs
from aaa.engine.windows import DAY, HOUR, LENGTH_US
from aaa.store.codec import STATES, line_from_row, session_from_row
from aaa.store.verify import SESSION_CAUSES

SECOND_US = 1_000_000
_UNSHOWN = ("name", "origin_host", "realm", "address", "profile", "secret", "event_socket_password")


def available(row: Any) -> int | None:
    """What a new grant of the account may hold (S1); None when its credit is unlimited."""
    return None if row.credit_limit is None else int(row.balance + row.credit_limit - row.reserved)


def account(row: Any, payer: Any) -> shapes.Account:
    """An account row; `payer` is the row of its pool, or its own."""
    currency = row.currency
    free = available(payer)
    return shapes.Account(
        id=row.name,
        pool=None if payer is row else payer.name,
        status=row.status,
        currency=currency,
        tariff=row.tariff,
        balance=money(row.balance, currency),
        reserved=money(row.reserved, currency),
        available=None if free is None else money(free, currency),
        credit_limit=None if payer.credit_limit is None else money(payer.credit_limit, currency),
        live_sessions=row.live_sessions,
        limits=_limits(json.loads(row.limits), currency),
        valid_from=instant(row.valid_from),
        valid_until=instant(row.valid_until),
        created_at=instant(row.created_at) or "",
    )


def _limits(stored: dict[str, Any], currency: str) -> shapes.Limits:

    def amount(limit: str) -> shapes.Money | None:
        return None if stored.get(limit) is None else money(stored[limit], currency)

    return shapes.Limits(
        max_sessions=stored.get("max_sessions"),
        max_call_amount=amount("call_amount_micro"),
        max_call_s=stored.get("call_seconds"),
        spend_per_hour=amount("spend_per_hour_micro"),
        spend_per_day=amount("spend_per_day_micro"),
        calls_per_second=stored.get("calls_per_second"),
        valid_after_use_s=stored.get("valid_after_use_s"),
        denied_classes=stored.get("denied_classes"),
        allowed_classes=stored.get("allowed_classes"),
    )


def balance(row: Any, payer: Any, buckets: Any, now_us: int) -> shapes.Balance:
    """The four figures of who pays for an account, its units, and the account's windows of spending as they are now."""
    currency = row.currency
    free = available(payer)
    return shapes.Balance(
        account=row.name,
        pool=None if payer is row else payer.name,
        balance=money(payer.balance, currency),
        accrued=money(payer.accrued, currency),
        reserved=money(payer.reserved, currency),
        credit_limit=None if payer.credit_limit is None else money(payer.credit_limit, currency),
        available=None if free is None else money(free, currency),
        live_sessions=row.live_sessions,
        buckets=[_bucket(bucket) for bucket in buckets],
        windows=_windows(row, now_us),
    )


def _windows(row: Any, now_us: int) -> list[shapes.Window]:
    """The hour and the day of now, where the account has a limit for them; what is held is not spent."""
    limits, found = json.loads(row.limits), []
    for kind, limit in ((HOUR, "spend_per_hour_micro"), (DAY, "spend_per_day_micro")):
        if limits.get(limit) is not None:
            begun_us = now_us - now_us % LENGTH_US[kind]
            spent = [
                amount for name, start_us, amount in json.loads(row.windows) if name == kind and start_us >= begun_us
            ]
            worth = money(sum(spent), row.currency)
            found.append(shapes.Window(kind=kind, spent=worth, limit=money(limits[limit], row.currency)))
    return found


def _bucket(row: Any) -> shapes.Bucket:
    return shapes.Bucket(
        name=row.name,
        unit=row.unit,
        amount=row.amount,
        reserved=row.reserved,
        available=row.amount - row.reserved,
        scope=json.loads(row.scope),
        service=row.service,
        priority=row.priority,
        pulse=row.pulse,
        valid_from=instant(row.valid_from),
        valid_until=instant(row.valid_until),
    )


def subscription(row: Any, owner: str) -> shapes.Subscription:
    """An identity without its credentials."""
    return shapes.Subscription(
        type=row.type,
        value=row.value,
        account=owner,
        proves_by=sorted(json.loads(row.credential)),
        created_at=instant(row.created_at) or "",
    )


def entry(row: Any, currency: str, ends: Mapping[str, str]) -> shapes.Entry:
    """A ledger entry; `ends` are the ways in which sessions ended, by their ids."""
    return shapes.Entry(
        entry_no=row.entry_no,
        at=instant(row.at) or "",
        amount=money(row.amount, currency),
        balance_after=money(row.balance_after, currency),
        cause=row.cause,
        ref=row.ref,
        ended=ends.get(row.ref) if row.cause in SESSION_CAUSES else None,
    )


def line(value: Line, currency: str) -> shapes.Line:
    """One line of a session or CDR."""
    head, plan = value.head, value.head.plan
    return shapes.Line(
        service=head.key.service,
        unit=head.key.unit,
        rating_group=head.key.rating_group,
        destination=head.destination,
        received=head.received,
        prefix=head.prefix,
        destination_name=plan.destination if plan else "",
        tariff=plan.tariff if plan else "",
        tariff_version=head.tariff_version,
        used=value.used,
        granted=value.granted,
        charged=money(value.accrued_micro + value.posted_micro, currency),
        reserved=money(value.reserved_micro, currency),
        anchor=instant(value.anchor_use_us or head.anchor_auth_us) or "",
        is_final=value.is_final,
    )


def session(row: Any, owner: tuple[str, str], tariffs: Tariffs, now_us: int) -> shapes.Session:
    """A session row; `owner` is the account's public id and currency."""
    columns = (row.id, row.account_id, row.key, row.origin, row.state, row.deadline, row.head, row.body)
    value = session_from_row(columns, tariffs)
    name, currency = owner
    lines = [line(each, currency) for each in value.lines]
    last = value.lines[-1] if value.lines else None
    ended_us = value.ended_us or now_us
    return shapes.Session(
        id=str(row.id),
        account=name,
        state=STATES[row.state].value,
        protocol=value.head.protocol,
        origin=row.origin,
        key=row.key,
        subscriber=value.head.subscriber,
        caller=value.head.caller,
        destination=last.head.destination if last else "",
        begun_at=instant(value.head.begun_us) or "",
        deadline=instant(row.deadline) or "",
        elapsed_s=max(0, ended_us - value.head.begun_us) // SECOND_US,
        used=last.head.offset + last.used if last else 0,
        granted=last.head.offset + last.granted if last else 0,
        charged=money(sum(each.accrued_micro + each.posted_micro for each in value.lines), currency),
        reserved=money(row.reserved, currency),
        cause=value.cause,
        lines=lines,
    )


def cdr(row: Any, owner: str | None, tariffs: Tariffs) -> shapes.Cdr:
    """A CDR row; `owner` is the account's public id."""
    head: list[Any] = json.loads(row.head) or ["", "", "", "", ""]
    protocol, _context, subscriber, caller, called = head[:5]  # the last one of unrated usage alone
    lines = [line_from_row(each, tariffs) for each in json.loads(row.lines)]
    return shapes.Cdr(
        id=str(row.id),
        account=owner,
        protocol=protocol,
        origin=row.origin,
        key=row.key,
        revision=row.revision,
        subscriber=subscriber,
        caller=caller,
        destination=lines[-1].head.destination if lines else called,
        begun_at=instant(row.begun_at) or "",
        ended_at=instant(row.ended_at) or "",
        used=row.used,
        amount=money(row.amount, row.currency),
        cause=row.cause,
        assumed=bool(row.assumed),
        implausible=bool(row.implausible),
        reported=row.reported,
        lines=[line(each, row.currency) for each in lines],
    )


def nas(document: dict[str, Any], source: str) -> shapes.Nas:
    """A RADIUS client; the secrets are only counted."""
    return shapes.Nas(
        name=document["name"],
        address=document["address"],
        profile=document.get("profile", "generic"),
        source=source,
        secrets=len(document["secret"]),
        settings={key: value for key, value in document.items() if key not in _UNSHOWN},
    )


def peer(document: dict[str, Any], source: str, connected: Sequence[Mapping[str, Any]]) -> shapes.Peer:
    """A Diameter peer with those of the open connections that are its own."""
    host, realm = document["origin_host"], document["realm"]
    own = [
        shapes.PeerConnection(
            origin_host=one["origin_host"],
            address=one["address"],
            connections=one["connections"],
        )
        for one in connected
        if host in ("*", one["origin_host"]) and realm in ("*", one["realm"])
    ]
    return shapes.Peer(
        origin_host=host,
        realm=realm,
        source=source,
        connections=own,
        settings={key: value for key, value in document.items() if key not in ("origin_host", "realm")},
    )


def audit(row: Any) -> shapes.Audit:
    """One write."""
    return shapes.Audit(
        id=row.id,
        at=instant(row.at) or "",
        actor=row.actor,
        action=row.action,
        target=row.target,
        reason=row.reason,
        detail=json.loads(row.detail),
    )
