"""
A seeded simulator: thousands of sessions against real nodes and a real store, with everything that goes wrong.

Clients place calls as switches do (an Access-Request, a Start, renewals or interims, a Stop), hold Diameter
sessions over several rating groups, and send charged messages; each request is sent again until it is
answered.  Requests are duplicated and overtake each other, answers are lost, nodes are thrown away at any
point (before a commit, after it, between commit and answer), the store refuses or fails with its outcome
unknown or goes away for a while, the clock steps, ends never come.  With several nodes every interleaving of
their work on the one database is played.  After every step the laws are checked against the database itself,
and at the end each session against the price function.

One seed gives one run, to the last microsecond.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, update

from aaa.engine.answers import Ack, Answer, Denial, Grant, Outcome
from aaa.engine.commands import Adjust, Command
from aaa.engine.terms import SECOND_US, Reason
from aaa.errors import StoreUnavailable
from aaa.node.node import ChargingNode
from aaa.node.tariffs import TariffBook
from aaa.store import tables
from aaa.store.sqlite import SqliteStore
from aaa.value import replace
from tests.sim.calls import Call
from tests.sim.errors import LawBroken
from tests.sim.laws import Laws
from tests.sim.limits import LIMITS, STEP_BACK_US
from tests.sim.nodes import Nodes
from tests.sim.outages import CAPS_S, Outages
from tests.sim.peers import Message, PeerSession
from tests.sim.pools import PAYERS, share
from tests.support.stores import Clock, prepared
from tests.support.tariffs import flat

TARIFF = flat("0.60", "6/6", connect_fee="0.01") + (
    '[[tariff.rate]]\nprefix = ""\nservice = "data"\nprice = "0.05"\nprice_unit = "1MB"\npulse = "10000/1000"\n'
    '[[tariff.rate]]\nprefix = ""\nservice = "message"\nprice = "0.03"\nprice_unit = "1"\n'
)
ACCOUNTS = 12
CLIENTS = 20
CHECK_EVERY = 40
REPEATED_MOST = 1000  # sessions that are over and may hear a late repeat
PURSE_MICRO = 1_000_000_000
KEPT_US = 86_400 * SECOND_US

Client = Call | PeerSession | Message


def limit_accounts(connection: Connection) -> None:
    """Give some accounts their limits, and money enough to reach them."""
    table, ledger = tables.account, tables.ledger_entry
    for number, limits in LIMITS.items():
        connection.execute(
            update(table).where(table.c.id == number).values(limits=json.dumps(limits), balance=PURSE_MICRO)
        )
        opening = (ledger.c.account_id == number) & (ledger.c.entry_no == 1)
        connection.execute(update(ledger).where(opening).values(amount=PURSE_MICRO, balance_after=PURSE_MICRO))


class Simulator:
    """
    One run.

    Args:
        directory: Where the database goes; memory-backed keeps the fsyncs cheap.
        nodes: How many work on the one database.
        mutate: Changes every node after its start, to plant a bug that the laws must notice.
        outages: Whether the store goes away at times, with nodes that have a journal.
    """

    def __init__(
        self,
        directory: Path,
        seed: int,
        sessions: int,
        nodes: int = 1,
        mutate: Callable[[ChargingNode], None] | None = None,
        outages: bool = False,
    ) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.total = sessions
        self.clock = Clock()
        self.stats: dict[str, int] = {}
        self.failure: Exception | None = None
        self.step = 0
        self.begun = 0
        self._clients: list[Client] = []
        self._over: list[Client] = []
        self._top_ups: list[tuple[Adjust, int]] = []
        self._next_check = CHECK_EVERY
        self._is_deaf = False
        names = {f"a{n}": f"{self.rng.choice([0, 1, 20, 200, 1000])}.00" for n in range(1, ACCOUNTS + 1)}
        url = prepared(directory, names, TARIFF)
        store = SqliteStore(url)
        store.provision(limit_accounts)
        store.provision(share)
        tariff = TariffBook(store).in_force("t", self.clock.now)
        store.close()
        assert tariff is not None
        self._tariff = tariff
        self._laws = Laws(f"{directory}/aaa.db")
        self._outages = Outages(directory, self.rng) if outages else None
        self.nodes = Nodes(url, nodes, self.clock, self.rng, self._raised, mutate, self._outages)

    # -- running ----------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """
        Play every session to its end, then settle and check all of it; returns what happened.

        Raises:
            LawBroken: With the law, the seed and the step.
        """
        try:
            self._play()
        except LawBroken as broken:
            raise LawBroken(f"{broken} (seed {self.seed}, step {self.step})") from broken
        finally:
            self._laws.close()
        return self.stats

    def _play(self) -> None:
        while self.begun < self.total or self._clients:
            self.step += 1
            self._turn()
            self._stop_if_failed()
            if self.step >= self._next_check:
                self._check()
                # Adding up all rows costs more the more there are; a run without limit checks ever more rarely.
                self._next_check = self.step + max(CHECK_EVERY, self.begun // 10)
                self._let_go()
        self.nodes.finish()
        if self._outages is not None:
            self._outages.finish(self.nodes)
            self.stats["capped"] = self._outages.granted
        self.clock.now += 6 * 3600 * SECOND_US
        for _ in range(60):
            if self._laws.live():
                for node in self.nodes.nodes:
                    node.sweep(500)
                self.nodes.finish()
        self._stop_if_failed()
        self._check()
        if self._laws.live():
            raise LawBroken("L7: sessions are still live after their deadlines")
        self._settled(self._over)
        self._laws.top_ups()
        self.nodes.stop()
        self.stats["conflicts"] = self.nodes.conflicts

    def _turn(self) -> None:
        rng = self.rng
        if self._outages is not None:
            self._outages.turn(self.nodes)
        roll = rng.random()
        if roll < 0.004:
            self._crash()
        elif roll < 0.012:
            self.clock.now += rng.choice([1, 30, 200, 1000]) * SECOND_US
        elif roll < 0.02:
            self._laws.limits.stepped_back(self.clock.now, self.clock.now - STEP_BACK_US)
            self.clock.now -= rng.choice([1, 2]) * SECOND_US
        elif roll < 0.05:
            rng.choice(self.nodes.nodes).sweep(50)
            self.nodes.flush()
        elif roll < 0.08:
            self._top_up()
        else:
            self.clock.now += rng.randrange(0, 3 * SECOND_US)
            self._traffic()

    def _traffic(self) -> None:
        """A burst of requests as one batch, some twice, some in another order, some answers lost."""
        rng = self.rng
        self._put_aside()  # several nodes may have answered since
        most = CLIENTS if self._outages is None else self._outages.clients(CLIENTS)
        while len(self._clients) < most and self.begun < self.total:
            self._clients.append(self._new_client())
        sent: list[tuple[Client, Command]] = []
        for client in rng.sample(self._clients, min(len(self._clients), rng.randrange(1, 12))):
            waiting = client.outstanding
            command = client.next(self.clock.now) if waiting is None else client.again(waiting)
            if command is None:
                continue
            client.outstanding = command
            sent.append((client, command))
            if rng.random() < 0.15:
                sent.append((client, command))
        if self._over and rng.random() < 0.2:
            old = rng.choice(self._over[-REPEATED_MOST:])
            repeat = None if old.is_lost else old.late()
            if repeat is not None:
                sent.append((old, repeat))
        rng.shuffle(sent)
        self._deliver(sent)
        self._put_aside()

    def _put_aside(self) -> None:
        """Clients that are through send nothing more."""
        self._over.extend(client for client in self._clients if client.is_over)
        self._clients = [client for client in self._clients if not client.is_over]

    def _deliver(self, sent: list[tuple[Client, Command]]) -> None:
        rng = self.rng
        for client, command in sent:
            place = self._place_of(client)
            self.nodes.nodes[place].submit(command, client.payer(command), self._receiver(place, client, command))
        if rng.random() < 0.5:
            rng.choice(self.nodes.nodes).sweep(50)  # finds sessions due that are just being heard of
        roll = rng.random()
        if roll < 0.003:
            self._crash()  # decided and never committed
        elif roll < 0.006:
            self._is_deaf = True  # committed, and no answer left the machine
            self.nodes.flush()
            self._crash()
        else:
            self.nodes.flush()

    def _place_of(self, client: Client) -> int:
        if self._outages is not None:
            return self._outages.place_of(client, self.nodes)
        return self.rng.randrange(len(self.nodes.nodes))

    def _new_client(self) -> Client:
        rng = self.rng
        self.begun += 1
        account = rng.randrange(1, ACCOUNTS + 1)
        roll = rng.random()
        calls, sessions = (0.4, 0.5) if account in LIMITS else (0.7, 0.9)  # debits are what is refunded hours later
        if roll < calls:
            call = Call(f"nas|x|0|s:{self.begun}", account, rng)
            if self._outages is not None:
                call.policy = replace(call.policy, outage_call_s=rng.choice(CAPS_S))
            return call
        if roll < sessions:
            return PeerSession(f"d|peer|{self.begun}", account, rng)
        return Message(f"e|peer|{self.begun}", account, rng)

    def _receiver(self, place: int, client: Client, command: Command) -> Callable[[Answer], None]:
        node = self.nodes.nodes[place]

        def receive(answer: Answer) -> None:
            if node in self.nodes.nodes and not self._is_deaf and self.rng.random() > 0.1:
                self._answered(place, client, command, answer)

        return receive

    def _answered(self, place: int, client: Client, command: Command, answer: Answer) -> None:
        if isinstance(answer, Denial) and answer.reason is Reason.STORE_DOWN:
            self._count("store_down")
            return
        node, outages = self.nodes.nodes[place], self._outages
        if outages is not None and outages.is_capped(client, place, node, answer, self._tariff):
            self._laws.limits.exempt(client.account)
        else:  # without the store each node answers for itself
            other = client.repeats_agree(command, answer)
            if other:
                raise LawBroken(f"L4: {client.key} {other}")
        if client.outstanding is not command:
            return
        client.outstanding = None
        client.answered(command, answer, self.clock.now)
        if isinstance(answer, Denial) and answer.reason is Reason.LIMIT_WINDOW:
            self._laws.limits.refused(client.account, self.clock.now)
        self._count("grants" if isinstance(answer, Grant) else "denials" if isinstance(answer, Denial) else "acks")
        if client.is_over and client.charged() is not None:
            self._count("settled")

    # -- trouble ----------------------------------------------------------------------------------

    def _crash(self) -> None:
        self._count("crashes")
        self.nodes.crash(self.rng.randrange(len(self.nodes.nodes)))
        self._is_deaf = False

    def _top_up(self) -> None:
        rng = self.rng
        if self._top_ups and rng.random() < 0.4:
            command, account = rng.choice(self._top_ups[-200:])
        else:
            command = Adjust(rng.choice([5_000_000, 60_000_000, -300_000]), "topup", f"k{len(self._top_ups)}")
            account = rng.choice(PAYERS)
            self._top_ups.append((command, account))
        rng.choice(self.nodes.nodes).submit(command, account, self._moved)
        self.nodes.flush()

    def _moved(self, answer: Answer) -> None:
        if isinstance(answer, Ack):
            self._count("topups" if answer.outcome is Outcome.DONE else "topup_repeats")

    # -- laws -------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """Check what nothing will be sent for any more, and forget it, as the store forgets its sessions."""
        if len(self._over) < 2 * REPEATED_MOST:
            return
        old, self._over = self._over[:-REPEATED_MOST], self._over[-REPEATED_MOST:]
        live = self._laws.live_keys()
        self._settled([client for client in old if client.key not in live])
        self._over = [client for client in old if client.key in live] + self._over
        store = self.nodes.nodes[0].store
        store.purge(self.clock.now - KEPT_US, self.clock.now, 100_000, lambda _count: None)

    def _settled(self, clients: list[Client]) -> None:
        for client in clients:
            self._laws.settled(client, self._tariff)

    def _check(self) -> None:
        """After every step: the sums, and that what clients were told is in the rows."""
        self.nodes.finish()  # what a node has committed and not yet heard of may be counted nowhere
        self._stop_if_failed()
        self._laws.sums(self.nodes.overspend())
        self._laws.limits.check(self.clock.now)
        calls = [client for client in self._clients if isinstance(client, Call)]
        self._laws.durable(call.key for call in calls if self._is_stored(call))

    def _is_stored(self, client: Call) -> bool:
        """Whether a grant must have its row by now; one of an outage waits in a journal."""
        is_journalled = self._outages is not None and self._outages.is_journalled(client, self.nodes)
        return client.granted_s > 0 and not is_journalled

    def _raised(self, error: Exception) -> None:
        # A node carries on when the receiver of an answer fails, so what is raised there is kept.
        if not isinstance(error, StoreUnavailable):
            self.failure = self.failure or error

    def _stop_if_failed(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _count(self, what: str) -> None:
        self.stats[what] = self.stats.get(what, 0) + 1
