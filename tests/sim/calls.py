"""
A voice call as its RADIUS switch lives it: Access-Request, Start, renewals or Interims, Stop.
"""

from __future__ import annotations

import random

from aaa.engine.answers import Answer, Denial, Grant, LineGrant
from aaa.engine.commands import Begin, Command, End, Identity, LineRequest, Total, Update
from aaa.engine.terms import SECOND_US, ChargeKey, Policy
from tests.sim.errors import LawBroken

VOICE = ChargeKey()
POLICIES = (
    Policy(),
    Policy("fixed", quantum_fixed=8),
    Policy("fixed", quantum_fixed=60),
    Policy("adaptive"),
    Policy("adaptive", assume_granted=True),
)


class Call:
    """One call; `next` is what the switch sends, `answered` what it makes of an answer."""

    def __init__(self, key: str, account: int, rng: random.Random) -> None:
        self.key = key
        self.account = account
        self.rng = rng
        self.policy = rng.choice(POLICIES)
        self.length_s = int(rng.expovariate(1 / 90))
        self.renews = rng.random() < 0.6
        self.loses_stop = rng.random() < 0.05
        self.begun_us = 0
        self.granted_s = 0  # seconds the switch may let it run, from its start
        self.used_s = 0
        self.final_s: int | None = None  # told in an acknowledged Stop
        self.stage = "access"
        self.is_lost = False
        self.outstanding: Command | None = None
        self.grants: dict[str, Grant] = {}

    @property
    def is_over(self) -> bool:
        return self.stage == "over"

    def payer(self, command: Command) -> int | None:
        return self.account if isinstance(command, Begin) else None

    def next(self, now: int) -> Command | None:
        """What the switch sends next, or nothing yet."""
        if self.stage == "access":
            return self._access(None)
        if self.stage == "start":
            return Update(self.key, Identity("s"), (), "nas", is_start=True)
        elapsed_s = max(0, (now - self.begun_us) // SECOND_US)
        self.used_s = max(self.used_s, min(elapsed_s, self.length_s, self.granted_s))
        if self.used_s >= self.length_s or (self.used_s >= self.granted_s and not self.renews):
            return self._finish()
        if self.renews and self.used_s * 2 >= self.granted_s:
            return self._access(self.used_s)
        if self.rng.random() < 0.3:
            lines = (LineRequest(VOICE, Total(self.used_s), False),)
            return Update(self.key, Identity(f"i{self.used_s}"), lines, "nas")
        return None

    def again(self, command: Command) -> Command:
        """The same request, sent anew."""
        return command

    def late(self) -> Command:
        """A repeat that comes when all is over."""
        return self._stop()

    def _finish(self) -> Command | None:
        if self.loses_stop:
            self.stage, self.is_lost = "over", True
            return None
        return self._stop()

    def _access(self, used: int | None) -> Begin:
        usage = None if used is None else Total(used)
        request = LineRequest(VOICE, usage, True, None, "441632", "441632")
        identity = Identity("b", self.key) if used is None else Identity(f"t{used}")
        return Begin(self.key, identity, self.policy, (request,), "nas", subscriber=f"a{self.account}")

    def _stop(self) -> End:
        return End(self.key, Identity(f"e{self.used_s}"), (LineRequest(VOICE, Total(self.used_s), False),), "nas")

    def answered(self, command: Command, answer: Answer, now: int) -> None:
        """Take an answer to the request that is outstanding."""
        if isinstance(command, Begin):
            self._granted(command, answer, now)
        elif isinstance(command, Update):
            self.stage = "running"
        else:
            self.final_s = self.used_s
            self.stage = "over"

    def _granted(self, command: Begin, answer: Answer, now: int) -> None:
        if isinstance(answer, Grant):
            line = answer.lines[0]
            if not isinstance(line, LineGrant):
                raise LawBroken("a grant without units")
            used = command.lines[0].usage
            self.granted_s = max(self.granted_s, (used.units if used is not None else 0) + line.told)
            if self.stage == "access":
                self.begun_us = now
                self.stage = "start"
        elif self.stage == "access":
            self.stage = "over"
        else:
            self.length_s = min(self.length_s, max(self.used_s, self.granted_s))
            self.renews = False

    def repeats_agree(self, command: Command, answer: Answer) -> str:
        """L4: what a repeat of a request that granted got else, or ""."""
        if not isinstance(command, Begin) or not isinstance(answer, Grant) or isinstance(answer, Denial):
            return ""
        name = f"{command.identity.number}/{command.identity.digest}"
        before = self.grants.setdefault(name, answer)
        return "" if before == answer else f"{name}: {before} then {answer}"

    def charged(self) -> dict[ChargeKey, int] | None:
        """Units that must have been charged, once the server has acknowledged them; None: it cannot be said."""
        return None if self.final_s is None else {VOICE: self.final_s}
