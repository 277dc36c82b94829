"""
The proof of conservation, a range of accounts at a time (law L6).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from aaa.api import present, shapes
from aaa.api.context import Context
from aaa.api.problems import not_found
from aaa.api.security import READ
from aaa.config.values import money_text
from aaa.store import read
from aaa.store.verify import verify_range

router = APIRouter(prefix="/v1", tags=["ledger"], dependencies=[READ])

RANGE_MAX = 20_000
NUMBER_MAX = 2**63 - 1


@router.get("/ledger/verify")
def verify(
    context: Context,
    after: Annotated[int, Query(ge=0, le=NUMBER_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=RANGE_MAX)] = 5_000,
) -> shapes.Verified:
    """Check one range of accounts in one snapshot; follow `next` until it is null for all of them."""
    with context.read() as connection:
        verified = verify_range(connection, after, limit)
    currencies = {
        currency: shapes.VerifiedCurrency(
            accounts=sums.accounts,
            entries=money_text(sums.entries_micro),
            balances=money_text(sums.balances_micro),
            reservations=money_text(sums.sessions_reserved_micro),
            reserved=money_text(sums.reserved_micro),
            mismatches=sums.mismatches,
        )
        for currency, sums in sorted(verified.sums.items())
    }
    return shapes.Verified(
        accounts=verified.accounts,
        mismatches=sum(sums.mismatches for sums in verified.sums.values()),
        currencies=currencies,
        broken=[shapes.Mismatch(**mismatch._asdict()) for mismatch in verified.mismatches],
        next=None if verified.next_id is None else str(verified.next_id),
    )


@router.get("/accounts/{name}/entries/{ref}")
def entries_of(context: Context, name: str, ref: str) -> list[shapes.Entry]:
    """The ledger entries that one session (by its id) or movement (by its key) caused, there or in its pool."""
    with context.read() as connection:
        account = context.account(connection, name)
        rows = read.entries_of(connection, account.id, ref)
        if not rows:
            rows = read.entries_of(connection, _pool_of(connection, account, ref), ref)
        ends = read.ends(connection, [ref])
    if not rows:
        raise not_found("entry caused by", ref)
    return [present.entry(row, account.currency, ends) for row in rows]


def _pool_of(connection: Connection, account: Any, ref: str) -> int:
    """The account that paid a session of another one, or whose money that one spends now."""
    is_number = ref.isascii() and ref.isdigit() and len(ref) < 19
    cdr = read.cdr(connection, int(ref)) if is_number else None
    pool: int | None = cdr.pool_id if cdr is not None and cdr.account_id == account.id else account.pool_id
    return account.id if pool is None else pool
