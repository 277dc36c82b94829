"""
Grants while the store is down, and what becomes of them when it is back (SEMANTICS S11, S12).

`capped` decides on an account as last known, within its credit and limits, for a few seconds at most.  `admit` takes
the session over later: the grant was given and stands, whatever has become of the account meanwhile.
"""

from __future__ import annotations

from msgspec.structs import replace

from aaa.engine.answers import Ack, Denial, Outcome
from aaa.engine.begin import begin
from aaa.engine.changes import NOTHING, Accounts, Decision
from aaa.engine.commands import Begin, Capped
from aaa.engine.model import Account, Session
from aaa.engine.ports import Tariffs
from aaa.engine.settle import overspent
from aaa.engine.terms import Limits, Reason
from aaa.engine.windows import counted


def capped(account: Account, command: Begin, tariffs: Tariffs, session_id: int, now: int) -> Decision:
    """
    Decide a Begin that cannot be made durable in the store.

    Only time is granted, and only where the client's policy names a cap; everything else is `STORE_DOWN`.

    Money: none; the caller writes the grant to its journal before it answers.
    """
    cap_s = command.policy.outage_call_s
    if not cap_s or any(line.key.unit != "seconds" or line.usage is not None for line in command.lines):
        return NOTHING, Denial(Reason.STORE_DOWN)
    return begin((account,), _for_seconds(command, cap_s), tariffs, session_id, now)


def admit(accounts: Accounts, session: Session | None, command: Capped, tariffs: Tariffs, now: int) -> Decision:
    """
    Open the session that was granted while the store was down, with what it was granted.

    A session that is known under one of its names was taken over before, or charged by a report that
    another node took: nothing moves.

    Args:
        now: The instant of the grant, so that it is priced as it was then.

    Money: none posted; what the hold takes below zero is counted as overspend of cause `outage`.
    """
    if session is not None:
        return NOTHING, Ack(Outcome.REPEAT, session.head.id)
    if not accounts:
        return NOTHING, Denial(Reason.UNKNOWN_ACCOUNT)
    account = accounts[0]
    unlimited = replace(
        account.profile,
        status="active",
        credit_limit_micro=None,
        valid_from_us=None,
        valid_until_us=None,
        limits=Limits(),
    )
    asked = _for_seconds(command.begin, command.granted)
    changes, answer = begin((replace(account, profile=unlimited),), asked, tariffs, command.session_id, now)
    if changes.session is None:
        return changes, answer
    after = counted(replace(changes.accounts[0], profile=account.profile), now)
    opened = replace(changes.session, head=replace(changes.session.head, policy=command.begin.policy))
    notices = (*changes.notices, *overspent(account, after, "outage"))
    return replace(changes, accounts=(after, *accounts[1:]), session=opened, notices=notices), answer


def _for_seconds(command: Begin, seconds: int) -> Begin:
    """The same command, to be granted so many seconds at once."""
    policy = command.policy
    return replace(command, policy=replace(policy, quantum="whole", session_cap_s=min(policy.session_cap_s, seconds)))
