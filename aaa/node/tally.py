"""
What the node counts: one look at every batch whose answers go out, none at what is thrown away.

Counting happens after the commit, from the values the batch was made of, so the figures are those of
what really happened: grants and denials by service, sessions begun and ended, seconds, charges.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aaa.engine.answers import Ack, Denial, Grant, LineGrant
from aaa.engine.commands import Begin, Command, Event, Update
from aaa.engine.model import Session
from aaa.engine.terms import Reason
from aaa.node.refusals import Refusal, Refusals
from aaa.ops.histogram import Histogram

if TYPE_CHECKING:
    from aaa.node.desk import Request
    from aaa.store.batch import Stage

_CHARGES = frozenset(("charge", "assumed", "correction", "debit", "refund"))
_UNTOLD = frozenset((Reason.SESSION_REUSED, Reason.SESSION_REPLACED))  # asked again at once, nobody is refused

FIRST_USES_MAX = 100_000

Released = Callable[[Sequence["Request"], int], None]


class Tally:
    """
    Counters by name and labels, and the last refusals.

    Args:
        released: Called with the requests whose answers go out and the instant; the log of requests.
    """

    def __init__(self, released: Released | None = None) -> None:
        self.counters: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.refusals = Refusals()
        self.first_uses: dict[int, int] = {}
        self.transactions = {"batch": Histogram(), "locked": Histogram()}
        self.released = released

    def stage(self, stage: Stage) -> None:
        """Count what one account's part of a batch did, once it is durable."""
        counters = self.counters
        for session in stage.begun():
            counters["started", _service(session)] += 1
        if stage.new_sessions and stage.account is not None:
            profile = stage.account.profile
            if profile.limits.valid_after_use_s and profile.valid_until_us is None:
                begun_us = min(session.head.begun_us for session in stage.begun())
                if len(self.first_uses) < FIRST_USES_MAX:  # the rest is found at the next start
                    self.first_uses.setdefault(profile.id, begun_us)
        for session in stage.charged():
            if session.revision == 1:  # later ones correct what was counted
                self._ended(session)
        if stage.entries and stage.account is not None:
            self._charged(stage, stage.account.profile.currency)

    def answers(self, requests: Sequence[Request], now: int) -> None:
        """Count the answers that are given now."""
        counters = self.counters
        for request in requests:
            answer = request.answer
            if isinstance(answer, Ack):
                continue  # nothing was asked for
            command = request.command
            if isinstance(answer, Grant):
                outcome = "granted"
                for line in answer.lines:
                    if isinstance(line, LineGrant) and line.is_final:
                        outcome = "final"
                counters["grants", service_of(command), outcome] += 1
            elif (
                isinstance(answer, Denial)
                and isinstance(command, (Begin, Update, Event))
                and answer.reason not in _UNTOLD
            ):
                self.refused(command, answer, now)
        if self.released is not None:
            self.released(requests, now)

    def refused(self, command: Begin | Update | Event, denial: Denial, now: int) -> None:
        """Count and remember a denial."""
        self.counters["grants", service_of(command), denial.reason.value] += 1
        line = command.lines[0] if command.lines else None
        named = command.orphan if isinstance(command, Update) else command
        face, subscriber, caller = (named.protocol, named.subscriber, named.caller) if named else ("radius", "", "")
        destination, received = (line.destination, line.received) if line else ("", "")
        refusal = Refusal(
            now, face, command.origin, subscriber, caller, destination, received, denial.reason.value, denial.detail
        )
        self.refusals.note(refusal)

    def _ended(self, session: Session) -> None:
        counters = self.counters
        counters["ended", session.cause or "normal"] += 1
        assumes = session.assumed and session.head.policy.assume_granted
        for line in session.lines:
            if line.head.key.unit == "seconds":
                service = line.head.key.service
                counters["granted_seconds", service] += line.granted
                counters["used_seconds", service] += line.granted if assumes else line.used

    def _charged(self, stage: Stage, currency: str) -> None:
        counters = self.counters
        settled = stage.settled
        for entry in stage.entries:
            if entry.cause in _CHARGES:
                session = settled.get(int(entry.ref)) if settled and entry.ref.isdecimal() else None
                service = _service(session) if session is not None else "event"
                kind = "charged" if entry.amount_micro < 0 else "refunded"
                counters["charges", service, currency] += 1
                counters[kind, service, currency] += abs(entry.amount_micro)


def outcomes(counters: Mapping[tuple[str, ...], int]) -> dict[str, int]:
    """What requests for quota led to, over all services: `granted`, and `denied.REASON`."""
    found: Counter[str] = Counter()
    for (kind, *labels), count in dict(counters).items():
        if kind == "grants":
            found["granted" if labels[1] in ("granted", "final") else f"denied.{labels[1]}"] += count
    return dict(found)


def service_of(command: Command) -> str:
    """The service a command asks for: that of its first line."""
    lines = command.lines if isinstance(command, (Begin, Update, Event)) else ()
    return lines[0].key.service if lines else "voice"


def _service(session: Session) -> str:
    return session.lines[0].head.key.service if session.lines else "voice"
