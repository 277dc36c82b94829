"""
What the bodies of events hold (`aaa.store.outbox`); the reference page of events is made of these definitions.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

Id = Annotated[str, "the same whenever the same thing is told again"]
Name = Annotated[str, "public id of the account"]
Currency = Annotated[str, "of the account"]


class SessionStarted(TypedDict):
    """A call or data session runs."""

    id: Id
    account: Name
    session: Annotated[str, "number of the session"]
    key: Annotated[str, "how its client names it"]
    origin: Annotated[str, "name of the client's entry, or Origin-Host"]
    protocol: Annotated[str, "`radius` or `diameter`"]
    subscriber: Annotated[str, "the identity that pays"]
    destination: Annotated[str, "normalised called number, empty when there is none"]
    begun_us: Annotated[int, "when it was asked for"]


class SessionSettled(SessionStarted):
    """A session was charged, or its charge was corrected."""

    ended_us: Annotated[int, "when it ended"]
    used: Annotated[int, "sum of what its lines used, each in its unit"]
    amount_micro: Annotated[int, "charge of the whole session so far"]
    currency: Currency
    cause: Annotated[str, "why it ended"]
    revision: Annotated[int, "1 for the charge, more for corrections"]
    assumed: Annotated[bool, "no report came of its end"]


class BalanceFallen(TypedDict):
    """What is left fell to a threshold of the consumer."""

    id: Id
    account: Name
    left_micro: Annotated[int, "balance with the credit limit, less what running sessions have used"]
    currency: Currency


class BalanceLow(BalanceFallen):
    """What is left fell below `balance_low`."""


class BalanceExhausted(BalanceFallen):
    """What is left fell to `balance_exhausted` or below."""


class AccountChanged(TypedDict):
    """Money was added or corrected by hand, or the account was provisioned."""

    id: Id
    account: Name
    cause: Annotated[str, "`opening`, `topup`, `adjust` or `provisioned`"]
    amount_micro: NotRequired[Annotated[int, "what was moved"]]
    balance_micro: NotRequired[Annotated[int, "balance after it"]]
    currency: NotRequired[Currency]
    ref: NotRequired[Annotated[str, "what the entry refers to"]]


Body = SessionStarted | SessionSettled | BalanceLow | BalanceExhausted | AccountChanged

SESSION_STARTED = "session.started"
SESSION_SETTLED = "session.settled"
BALANCE_LOW = "balance.low"
BALANCE_EXHAUSTED = "balance.exhausted"
ACCOUNT_CHANGED = "account.changed"
BODIES: dict[str, type] = {
    SESSION_STARTED: SessionStarted,
    SESSION_SETTLED: SessionSettled,
    BALANCE_LOW: BalanceLow,
    BALANCE_EXHAUSTED: BalanceExhausted,
    ACCOUNT_CHANGED: AccountChanged,
}
KINDS = tuple(BODIES)
