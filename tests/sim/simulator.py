"""
A seeded simulator: thousands of sessions against a real node and store, with everything that goes wrong.

Clients place calls as switches do: an Access-Request, a Start, renewals or interims, a Stop, each sent
again until it is answered.  Requests are duplicated and overtake each other, answers are lost, the node
is thrown away at any point (before a commit, after it, between commit and answer), the store refuses or
fails with its outcome unknown, the clock steps, Stops never come.  After every step the laws are checked
against the database itself, and at the end each session against the price function.

One seed gives one run, to the last microsecond.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aaa.engine.model import (
    SECOND_US,
    Ack,
    Adjust,
    Answer,
    Begin,
    ChargeKey,
    Command,
    Denial,
    End,
    Grant,
    Identity,
    LineGrant,
    LineRequest,
    Outcome,
    Policy,
    Reason,
    Total,
    Update,
)
from aaa.store.batch import Batch
from aaa.store.port import Committed, Failed
from rating import price
from tests.support.stores import Clock, Server, prepared
from tests.support.tariffs import flat

VOICE = ChargeKey()
POLICIES = (
    Policy(),
    Policy("fixed", quantum_fixed=8),
    Policy("fixed", quantum_fixed=60),
    Policy("adaptive"),
    Policy("adaptive", assume_granted=True),
)
TARIFF = flat("0.60", "6/6", connect_fee="0.01")
ACCOUNTS = 12
CHECK_EVERY = 40


class LawBroken(AssertionError):
    """A law did not hold; the text names it, the seed and the step."""


@dataclass
class Call:
    """A call as its switch sees it."""

    sid: str
    account: int
    policy: Policy
    length_s: int
    renews: bool
    loses_stop: bool
    begun_s: int = 0
    granted_s: int = 0  # seconds the switch may let it run, from its start
    used_s: int = 0
    final_s: int | None = None  # told in an acknowledged Stop
    stage: str = "access"
    token: str = ""
    outstanding: Command | None = None
    answers: dict[str, Answer] = field(default_factory=dict)


class Flaky:
    """Wraps the store's commit: refuses before it, or claims to have failed after it."""

    def __init__(self, server: Server, rng: random.Random, rate: float) -> None:
        self._commit = server.store.commit
        self._rng = rng
        self._rate = rate
        server.store.commit = self  # type: ignore[method-assign]

    def __call__(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        roll = self._rng.random()
        if roll < self._rate / 2:
            done(Failed("simulated: refused"))
        elif roll < self._rate:
            self._commit(batch, now, _ignore)
            done(Failed("simulated: outcome unknown", is_unknown=self._rng.random() < 0.5))
        else:
            self._commit(batch, now, done)


def _ignore(_outcome: Committed | Failed) -> None:
    """Nobody hears of this commit."""


class Simulator:
    """
    One run.

    Args:
        directory: Where the database goes; memory-backed keeps the fsyncs cheap.
        mutate: Changes the server after every start, to plant a bug that the laws must notice.
    """

    def __init__(
        self, directory: Path, seed: int, sessions: int, mutate: Callable[[Server], None] | None = None
    ) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.total = sessions
        self.clock = Clock()
        self.mutate = mutate
        names = {f"a{n}": f"{self.rng.choice([0, 1, 20, 200, 1000])}.00" for n in range(1, ACCOUNTS + 1)}
        self.url = prepared(directory, names, TARIFF)
        self.path = f"{directory}/aaa.db"
        self.reader = sqlite3.connect(self.path, isolation_level=None)
        self.calls: list[Call] = []
        self.old: list[Call] = []
        self.stats: dict[str, int] = {}
        self.topups: list[tuple[Adjust, int]] = []
        self.overspent = 0
        self._next_check = CHECK_EVERY
        self.failure: LawBroken | None = None
        self.step = 0
        self.begun = 0
        self.server = self._start()

    # -- running ----------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """Play every session to its end, then settle and check all of it; returns what happened."""
        while self.begun < self.total or self.calls:
            self.step += 1
            self._turn()
            if self.failure is not None:
                raise self.failure
            if self.step >= self._next_check:
                self.check_sums()
                # Adding up all rows costs more the more there are; a run without limit checks ever more rarely.
                self._next_check = self.step + max(CHECK_EVERY, self.begun // 10)
        self.clock.now += 6 * 3600 * SECOND_US
        for _ in range(40):
            if self._live():
                self.server.node.sweep(500)
        self.check_sums()
        self.check_sessions()
        self.reader.close()
        self.server.stop()
        return self.stats

    def _turn(self) -> None:
        rng = self.rng
        roll = rng.random()
        if roll < 0.004:
            self._crash()
        elif roll < 0.012:
            self.clock.now += rng.choice([1, 30, 200, 1000]) * SECOND_US
        elif roll < 0.02:
            self.clock.now -= rng.choice([1, 2]) * SECOND_US
        elif roll < 0.05:
            self.server.node.sweep(50)
        elif roll < 0.07:
            self._top_up()
        else:
            self.clock.now += rng.randrange(0, 3 * SECOND_US)
            self._traffic()

    def _traffic(self) -> None:
        """A burst of requests as one batch, some twice, some in another order, some answers lost."""
        rng = self.rng
        while len(self.calls) < 20 and self.begun < self.total:
            self._new_call()
        sent: list[tuple[Call, Command]] = []
        for call in rng.sample(self.calls, min(len(self.calls), rng.randrange(1, 12))):
            command = call.outstanding or self._next(call)
            if command is None:
                continue
            call.outstanding = command
            sent.append((call, command))
            if rng.random() < 0.15:
                sent.append((call, command))
        if self.old and rng.random() < 0.2:
            call = rng.choice(self.old)
            sent.append((call, self._stop(call)))
        rng.shuffle(sent)
        self._deliver(sent)
        self.calls = [call for call in self.calls if call.stage != "over"]

    def _deliver(self, sent: list[tuple[Call, Command]]) -> None:
        rng = self.rng
        for call, command in sent:
            self.server.node.submit(command, self._payer(call, command), self._receiver(call, command))
        if rng.random() < 0.003:
            self._crash()  # decided and never committed
            return
        if rng.random() < 0.003:
            self._lose_answers()
            self.server.node.flush()
            self._crash()  # committed, and no answer left the machine
            return
        self.server.node.flush()

    def _receiver(self, call: Call, command: Command) -> Callable[[Answer], None]:
        server = self.server

        def receive(answer: Answer) -> None:
            if server is self.server and not self._deaf and self.rng.random() > 0.1:
                self._answered(call, command, answer)

        return receive

    _deaf = False

    def _lose_answers(self) -> None:
        self._deaf = True

    # -- a switch ---------------------------------------------------------------------------------

    def _new_call(self) -> None:
        rng = self.rng
        self.begun += 1
        call = Call(
            f"nas|x|0|s:{self.begun}",
            rng.randrange(1, ACCOUNTS + 1),
            rng.choice(POLICIES),
            int(rng.expovariate(1 / 90)),
            renews=rng.random() < 0.6,
            loses_stop=rng.random() < 0.05,
        )
        call.token = str(self.begun)
        self.calls.append(call)

    def _payer(self, call: Call, command: Command) -> int | None:
        return call.account if isinstance(command, Begin) else None

    def _elapsed(self, call: Call) -> int:
        return max(0, (self.clock.now - call.begun_s) // SECOND_US)

    def _next(self, call: Call) -> Command | None:
        """What the switch sends next, or nothing yet."""
        if call.stage == "access":
            return self._access(call, None)
        if call.stage == "start":
            return Update(call.sid, Identity("s"), (), "nas", is_start=True)
        call.used_s = max(call.used_s, min(self._elapsed(call), call.length_s, call.granted_s))
        if call.used_s >= call.length_s or (call.used_s >= call.granted_s and not call.renews):
            return self._finish(call)
        if call.renews and call.used_s * 2 >= call.granted_s:
            return self._access(call, call.used_s)
        if self.rng.random() < 0.3:
            lines = (LineRequest(VOICE, Total(call.used_s), False),)
            return Update(call.sid, Identity(f"i{call.used_s}"), lines, "nas")
        return None

    def _finish(self, call: Call) -> Command | None:
        if call.loses_stop:
            call.stage = "over"
            self.old.append(call)
            self._count("stops_lost")
            return None
        return self._stop(call)

    def _access(self, call: Call, used: int | None) -> Begin:
        usage = None if used is None else Total(used)
        request = LineRequest(VOICE, usage, True, None, "441632", "441632")
        identity = Identity("b", call.token) if used is None else Identity(f"t{used}")
        return Begin(call.sid, identity, call.policy, (request,), "nas", subscriber=f"a{call.account}")

    def _stop(self, call: Call) -> End:
        return End(call.sid, Identity(f"e{call.used_s}"), (LineRequest(VOICE, Total(call.used_s), False),), "nas")

    def _answered(self, call: Call, command: Command, answer: Answer) -> None:
        if isinstance(answer, Denial) and answer.reason is Reason.STORE_DOWN:
            self._count("store_down")
            return
        self._repeats_agree(call, command, answer)
        if call.outstanding is not command:
            return
        call.outstanding = None
        if isinstance(command, Begin):
            self._granted(call, command, answer)
        elif isinstance(command, Update):
            call.stage = "running"
        elif isinstance(command, End):
            call.final_s = call.used_s
            call.stage = "over"
            self.old.append(call)
            self._count("stops")

    def _granted(self, call: Call, command: Begin, answer: Answer) -> None:
        if isinstance(answer, Grant):
            line = answer.lines[0]
            if not isinstance(line, LineGrant):
                raise LawBroken("a grant without units")
            used = command.lines[0].usage
            since = used.units if used is not None else 0
            call.granted_s = max(call.granted_s, since + line.told)
            self._count("grants")
            if call.stage == "access":
                call.begun_s = self.clock.now
                call.stage = "start"
            return
        self._count("denials")
        if call.stage == "access":
            call.stage = "over"
            self.old.append(call)
        else:
            call.length_s = min(call.length_s, max(call.used_s, call.granted_s))
            call.renews = False

    def _repeats_agree(self, call: Call, command: Command, answer: Answer) -> None:
        """L4: a repeat of a request that granted gets the same answer."""
        if not isinstance(command, Begin) or not isinstance(answer, Grant):
            return
        name = f"{command.identity.number}/{command.identity.digest}"
        before = call.answers.setdefault(name, answer)
        if before != answer:
            self._broken("L4", f"{call.sid} {name}: {before} then {answer}")

    # -- trouble ----------------------------------------------------------------------------------

    def _start(self) -> Server:
        server = Server(self.url, self.clock)
        Flaky(server, self.rng, 0.01)
        self._deaf = False
        if self.mutate is not None:
            self.mutate(server)
        return server

    def _crash(self) -> None:
        self._count("crashes")
        self.overspent = self._overspent()
        self.server.stop()
        self.server = self._start()

    def _top_up(self) -> None:
        rng = self.rng
        if self.topups and rng.random() < 0.4:
            command, account = rng.choice(self.topups)
        else:
            amount = rng.choice([5_000_000, 10_000_000, -300_000])
            account = rng.randrange(1, ACCOUNTS + 1)
            command = Adjust(amount, "topup", f"k{len(self.topups)}")
            self.topups.append((command, account))
        self.server.node.submit(command, account, self._moved)
        self.server.node.flush()

    def _moved(self, answer: Answer) -> None:
        if isinstance(answer, Ack):
            self._count("topups" if answer.outcome is Outcome.DONE else "topup_repeats")

    # -- laws -------------------------------------------------------------------------------------

    def check_sums(self) -> None:
        """L6 against the rows: balance, reserved, accrued, live sessions, gap-free entries; L1 by its counter."""
        rows = self.reader.execute(
            "SELECT a.id, a.balance, a.reserved, a.accrued, a.live_sessions, a.entry_no,"
            " (SELECT coalesce(sum(amount), 0) FROM ledger_entry e WHERE e.account_id = a.id),"
            " (SELECT count(*) FROM ledger_entry e WHERE e.account_id = a.id),"
            " (SELECT coalesce(sum(reserved), 0) FROM session s WHERE s.account_id = a.id AND s.state < 2),"
            " (SELECT coalesce(sum(accrued), 0) FROM session s WHERE s.account_id = a.id AND s.state < 2),"
            " (SELECT count(*) FROM session s WHERE s.account_id = a.id AND s.state < 2) FROM account a"
        ).fetchall()
        for number, balance, reserved, accrued, live, entry_no, entries, count, held, used, sessions in rows:
            if (balance, reserved, accrued, live, entry_no) != (entries, held, used, sessions, count):
                self._broken("L6", f"account {number}: {balance, reserved, accrued, live, entry_no} is not the sum")
            if min(held, used) < 0:
                self._broken("L6", f"account {number} holds {held}, accrued {used}")
        below = sum(max(0, reserved - balance) for _, balance, reserved, *_ in rows)
        if below > self._overspent():
            self._broken("L1", f"available is {below} below zero, {self._overspent()} of it counted as overspend")
        self._check_answers_durable()

    def _overspent(self) -> int:
        counted = self.server.node.counters
        return self.overspent + sum(n for (kind, _), n in counted.items() if kind == "overspend")

    def _check_answers_durable(self) -> None:
        """L5: whatever a switch was told is in the rows."""
        for call in self.calls:
            if call.granted_s and call.stage != "over":
                row = self.reader.execute("SELECT state FROM session WHERE key=?", (call.sid,)).fetchone()
                if row is None:
                    self._broken("L5", f"{call.sid} was granted {call.granted_s} s and has no row")

    def check_sessions(self) -> None:
        """L3, L4, L7: each session settled once, at the price of what was used; nothing is held."""
        if self._live():
            self._broken("L7", "sessions are still live after their deadlines")
        tariff = self.server.node.tariffs.in_force("t", self.clock.now)
        plan = tariff and tariff.find("voice", "441632")
        for call in self.old:
            row = self.reader.execute("SELECT id, amount FROM cdr WHERE key=?", (call.sid,)).fetchone()
            if row is None:
                if call.final_s is not None and call.granted_s:
                    self._broken("L5", f"{call.sid}: an answered Stop has no CDR")
                continue
            posted = self.reader.execute(
                "SELECT coalesce(sum(amount), 0) FROM ledger_entry WHERE ref=?", (str(row[0]),)
            ).fetchone()[0]
            if posted != -row[1]:
                self._broken("L6", f"{call.sid}: CDR says {row[1]}, ledger {posted}")
            if call.final_s is not None and plan is not None and row[1] != price(plan, 0, call.final_s):
                self._broken("L3", f"{call.sid}: {row[1]} charged for {call.final_s} s")
        moved = self.reader.execute("SELECT count(*), count(DISTINCT ref) FROM ledger_entry WHERE cause='topup'")
        if len(set(moved.fetchone())) != 1:
            self._broken("L4", "a top-up was posted twice")

    def _live(self) -> int:
        return int(self.reader.execute("SELECT count(*) FROM session WHERE state < 2").fetchone()[0])

    def _broken(self, law: str, text: str) -> None:
        # A node carries on when the receiver of an answer fails, so what is raised there is kept as well.
        self.failure = LawBroken(f"{law} (seed {self.seed}, step {self.step}): {text}")
        raise self.failure

    def _count(self, what: str) -> None:
        self.stats[what] = self.stats.get(what, 0) + 1
