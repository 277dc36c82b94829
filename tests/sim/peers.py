"""
A session of a Diameter peer: CCR-I, CCR-U, CCR-T over several rating groups, usage as deltas; and a CCR-E.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from aaa.engine.answers import Ack, Answer, Grant, LineGrant, Outcome
from aaa.engine.commands import Action, Begin, Command, Delta, End, Event, Identity, LineRequest, Update
from aaa.engine.terms import SECOND_US, ChargeKey, Policy
from aaa.value import replace
from tests.sim.errors import LawBroken

DATA = ChargeKey("data", 10, (), "octets")
MORE_DATA = ChargeKey("data", 20, (), "octets")
MESSAGE = ChargeKey("message", None, (), "events")
SPEECH = ChargeKey("voice", 1)
POLICY = Policy("fixed", quantum_fixed=30, tells_validity=True, quantum_octets=500_000, validity_s=30)
REFUND_AFTER_S = (0, 60, 1800, 3600)  # in the same window of spending, or in a later one
STEPS_S = 10  # more than the clock is ever set back while a session waits


@dataclass
class Quota:
    """One rating group as the client counts it."""

    key: ChargeKey
    left: int = 0  # of the last quota
    pending: int = 0  # used and not reported yet
    told: int = 0  # reported in requests that were answered
    is_final: bool = False


class PeerSession:
    """One session; every request is repeated with the T flag until it is answered."""

    def __init__(self, key: str, account: int, rng: random.Random) -> None:
        self.key = key
        self.account = account
        self.rng = rng
        keys = rng.sample((DATA, MORE_DATA, SPEECH), rng.randrange(1, 4))
        way = rng.choice(("", "in", "out"))
        self.quotas = [Quota(replace(each, direction=way) if each is SPEECH else each) for each in keys]
        self.number = 0
        self.updates = rng.randrange(0, 8)
        self.is_lost = False
        self.stage = "begin"
        self.reported_us = 0
        self.sent_us = 0  # when what is outstanding was sent first
        self.kept_us = 0  # before this the session cannot have expired
        self.outstanding: Command | None = None
        self.answers: dict[int, Answer] = {}
        self.is_settled = False
        self._last: Command | None = None
        self._vanishes = rng.random() < 0.05

    @property
    def is_over(self) -> bool:
        return self.stage == "over"

    def payer(self, command: Command) -> int | None:
        return self.account if isinstance(command, Begin) else None

    def next(self, now: int) -> Command | None:
        """Use some of what was granted, then report it."""
        self.sent_us = now
        if self.stage == "begin":
            lines = tuple(LineRequest(each.key, None, True, None, "441632", "441632") for each in self.quotas)
            identity = Identity("0", f"{self.key}:1", 0)
            return Begin(self.key, identity, POLICY, lines, "peer", protocol="diameter", subscriber=f"a{self.account}")
        if self._vanishes and self.number > 1:
            self.stage, self.is_lost = "over", True
            return None
        elapsed_s = max(0, (now - self.reported_us) // SECOND_US)
        for quota in self.quotas:
            most = min(quota.left, elapsed_s) if quota.key.unit == "seconds" else quota.left
            quota.pending = self.rng.randrange(0, most + 1)
        self.number += 1
        is_end = self.number > self.updates or all(quota.is_final for quota in self.quotas)
        lines = tuple(
            LineRequest(self._told(each.key), Delta(each.pending), not is_end, None, "441632") for each in self.quotas
        )
        identity = Identity(str(self.number), f"{self.number}:{[each.pending for each in self.quotas]}", self.number)
        if is_end:
            return End(self.key, identity, lines, "peer")
        return Update(self.key, identity, lines, "peer")

    def _told(self, key: ChargeKey) -> ChargeKey:
        """The key as this request tells it: which way a call goes need not be said again."""
        return replace(key, direction="") if key.direction and self.rng.random() < 0.5 else key

    def again(self, command: Command) -> Command:
        """The same request with the T flag."""
        if isinstance(command, Begin | Update | End):
            return replace(command, identity=replace(command.identity, retransmitted=True))
        return command

    def late(self) -> Command | None:
        """The last request once more, when all is over."""
        return None if self._last is None else self.again(self._last)

    def answered(self, command: Command, answer: Answer, now: int) -> None:
        """Take an answer to the request that is outstanding."""
        if isinstance(command, Begin):
            if not isinstance(answer, Grant):
                self.stage = "over"
                return
            self.stage = "running"
        else:
            if isinstance(answer, Ack) and answer.outcome is Outcome.UNKNOWN and now < self.kept_us:
                raise LawBroken(f"L7: {self.key} expired {(self.kept_us - now) // SECOND_US} s before its deadline")
            for quota in self.quotas:
                quota.told += quota.pending
                quota.left = 0
        self.reported_us = now
        self.kept_us = self.sent_us + (2 * POLICY.validity_s - STEPS_S) * SECOND_US
        self._last = command
        if isinstance(command, End):
            self.stage, self.is_settled = "over", True
        elif isinstance(answer, Grant):
            self._take(answer)
        elif isinstance(answer, Ack) and answer.outcome is Outcome.UNKNOWN:
            self.stage, self.is_settled = "over", True  # its deadline had passed: the report was charged (S8)

    def _take(self, answer: Grant) -> None:
        told = {line.key: line for line in answer.lines}
        for quota in self.quotas:
            line = told.get(quota.key)
            quota.left = line.told if isinstance(line, LineGrant) else 0
            quota.is_final = not isinstance(line, LineGrant) or line.is_final

    def repeats_agree(self, command: Command, answer: Answer) -> str:
        """L4: what a repeat of a numbered request got else, or ""."""
        number = getattr(command, "identity", Identity("")).order
        if number is None or not isinstance(answer, Grant):
            return ""
        before = self.answers.setdefault(number, answer)
        return "" if before == answer else f"#{number}: {before} then {answer}"

    def charged(self) -> dict[ChargeKey, int] | None:
        """Units that must have been charged, once every report was answered."""
        return {quota.key: quota.told for quota in self.quotas} if self.is_settled else None


class Message:
    """One charged event, sent until it is answered, and perhaps refunded."""

    def __init__(self, key: str, account: int, rng: random.Random) -> None:
        self.key = key
        self.account = account
        self.refunds = rng.random() < 0.3
        self.waits_us = rng.choice(REFUND_AFTER_S) * SECOND_US
        self.paid_us = 0
        self.units = rng.randrange(1, 4)
        self.stage = "debit"
        self.is_lost = False
        self.outstanding: Command | None = None
        self.grants: dict[Action, Answer] = {}
        self.is_paid = False
        self.was_refused = True

    @property
    def is_over(self) -> bool:
        return self.stage == "over"

    def payer(self, command: Command) -> int | None:
        return self.account

    def next(self, now: int) -> Command | None:
        """The debit, then perhaps its refund, which may take its time."""
        if self.stage == "refund" and now < self.paid_us + self.waits_us:
            return None
        action = Action.DEBIT if self.stage == "debit" else Action.REFUND
        line = LineRequest(MESSAGE, None, True, self.units, "441632", "441632")
        identity = Identity(action.value, self.key)
        refunds = "" if action is Action.DEBIT else self.key
        key = self.key if action is Action.DEBIT else f"{self.key}|r"
        return Event(key, identity, action, (line,), "peer", POLICY, subscriber=f"a{self.account}", refunds=refunds)

    def again(self, command: Command) -> Command:
        return command

    def late(self) -> Command | None:
        """The debit once more; one that was refused would be decided anew."""
        if not self.grants:
            return None
        self.stage = "debit"
        command = self.next(0)
        self.stage = "over"
        return command

    def answered(self, command: Command, answer: Answer, now: int) -> None:
        """Take an answer."""
        if self.stage == "debit":
            self.was_refused = not isinstance(answer, Grant)
            self.is_paid = isinstance(answer, Grant)
            self.paid_us = now
            self.stage = "refund" if self.is_paid and self.refunds else "over"
        else:
            self.is_paid = not isinstance(answer, Ack | Grant)
            self.stage = "over"

    def repeats_agree(self, command: Command, answer: Answer) -> str:
        """L4: what a repeat of a debit got else, or ""."""
        if not isinstance(command, Event) or not isinstance(answer, Grant):
            return ""
        before = self.grants.setdefault(command.action, answer)
        return "" if before == answer else f"{command.action}: {before} then {answer}"

    def charged(self) -> dict[ChargeKey, int] | None:
        """
        Units that must have been charged; None when it was refused.

        A refusal moves nothing and is not remembered: a duplicate of it may be granted when money came (S7).
        """
        return None if self.was_refused else {MESSAGE: self.units if self.is_paid else 0}
