"""
Times in which the store is away, and nodes that grant a few seconds by their journals meanwhile (S11, S12).

What a client was granted so must be in the journal of the node that said it, within the cap of its policy and the
exposure of the node; and once the store is back everything in the journals must find its way into it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaa.engine.answers import Answer, Grant, LineGrant
from aaa.node.journal import Journal
from aaa.node.outage import Outage
from rating import Tariff, price
from tests.sim.calls import VOICE, Call
from tests.sim.errors import LawBroken

if TYPE_CHECKING:
    from aaa.node.node import ChargingNode
    from tests.sim.nodes import Nodes

CAPS_S = (0, 30, 60)
EXPOSURE_MICRO = 3_000_000
BEGINS, ENDS = 0.008, 0.05  # how often the store goes away, and how often it comes back
LOOKS = 0.3  # how often a node notices


class Outages:
    """
    Args:
        directory: Where the journals are, one for each place of a node.
    """

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self.is_down = False
        self.granted = 0
        self._directory = directory
        self._rng = rng
        self._homes: dict[Call, int] = {}

    def survive(self, node: ChargingNode, place: int) -> None:
        """Give a node that starts the journal of its place."""
        journal = Journal(self._path(place))
        node.survive(Outage(journal, node.tariffs, node.numbers, EXPOSURE_MICRO, node.submit_again, node.on_error))

    def turn(self, nodes: Nodes) -> None:
        """Let the store go or come back, and nodes notice that it is there."""
        self.is_down = self._rng.random() >= ENDS if self.is_down else self._rng.random() < BEGINS
        if not self.is_down:
            for node in nodes.nodes:
                if self._rng.random() < LOOKS:
                    self._look(node)

    def clients(self, most: int) -> int:
        """How many clients there are at once: new ones come while those that are there wait."""
        return 2 * most if self.is_down else most

    def finish(self, nodes: Nodes) -> None:
        """The store is back for good: every journal must become empty."""
        self.is_down = False
        for _ in range(200):
            for node in nodes.nodes:
                self._look(node)
            nodes.finish()
        left = [place for place in range(len(nodes.nodes)) if self._path(place).read_bytes()]
        if left:
            raise LawBroken(f"S12: journals {left} were not brought into the store")

    def place_of(self, client: object, nodes: Nodes) -> int:
        """The node a client asks: the one whose journal has its session, else any."""
        home = self._homes.get(client) if isinstance(client, Call) else None
        if home is not None and isinstance(client, Call):
            if self.is_journalled(client, nodes):
                return home
            del self._homes[client]
        return self._rng.randrange(len(nodes.nodes))

    def is_journalled(self, client: Call, nodes: Nodes) -> bool:
        """Whether the session of a client waits in the journal it was granted by."""
        home = self._homes.get(client)
        outage = None if home is None else nodes.nodes[home].outage
        return outage is not None and outage.knows((client.key,))

    def is_capped(self, client: object, place: int, node: ChargingNode, answer: Answer, tariff: Tariff) -> bool:
        """Whether an answer is a grant that the journal gave; such a one is checked."""
        if node.outage is None or not isinstance(client, Call) or not isinstance(answer, Grant):
            return False
        if not node.outage.knows((client.key,)):
            return False
        records = self._records(place)
        begun = [record for record in records if record[2] == "begin" and record[3][0] == client.key]
        if not begun:
            raise LawBroken(f"L5: {client.key} was granted and is in no journal")
        if begun[0][4] != answer.session_id:
            return False  # the store gave it, to a copy of the request that came through
        self.granted += 1
        self._homes.setdefault(client, place)
        line = answer.lines[0]
        if not isinstance(line, LineGrant) or line.total > client.policy.outage_call_s:
            raise LawBroken(f"S11: {client.key} was granted {line} of {client.policy.outage_call_s} s")
        plan = tariff.find(VOICE.service, "441632", VOICE.direction, VOICE.rating_group, VOICE.unit)
        if plan is None:
            raise LawBroken("no rate for calls")
        exposed = sum(price(plan, 0, record[5]) for record in records if record[2] == "begin")
        if exposed > EXPOSURE_MICRO:
            raise LawBroken(f"S11: node {place} granted {exposed} without the store, {EXPOSURE_MICRO} were allowed")
        return True

    def _look(self, node: ChargingNode) -> None:
        """What a node does every second: ask whether the store is there, and replay."""
        node.is_store_up = True
        node.replay()

    def _records(self, place: int) -> list[list[Any]]:
        return [json.loads(line) for line in self._path(place).read_text().splitlines()]

    def _path(self, place: int) -> Path:
        return self._directory / f"outage-{place}.journal"
