"""
Restarts of network elements: the epoch each identity is in, and what a new one ends (SEMANTICS S20).

A NAS that says Accounting-On or -Off, or a Diameter client with a higher Origin-State-Id, has forgotten its
sessions.  Its epoch moves on; the session keys of the older one are due at once, here and in the store, and
keys made from now on carry the new number.  A new epoch rides in the batch that gathers, in the stage of nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aaa.engine.model import Session
from aaa.errors import StoreUnavailable
from aaa.node.once import once
from aaa.store.batch import NOBODY, Batch, Stage
from aaa.store.port import Failed

if TYPE_CHECKING:
    from aaa.node.node import ChargingNode

REPEAT_US = 60_000_000
NO_KEY = "\x7f"  # no session key begins like this

Durable = Callable[[bool], None]


class Epochs:
    """
    Epoch and time of the last restart by identity, as this node knows them.

    Args:
        node: Whose cached sessions end, and into whose batch a restart goes.
    """

    def __init__(self, node: ChargingNode) -> None:
        self._node = node
        self._known = node.store.epochs()
        self._replies: list[Durable] = []

    def of(self, identity: str) -> int:
        """The current epoch of an identity; 0 when it never restarted."""
        known = self._known.get(identity)
        return known[0] if known else 0

    def restart_nas(self, identity: str, reply: Durable) -> None:
        """Begin a new epoch, and tell once it is durable; a repeat within 60 s does nothing."""
        epoch, at_us = self._known.get(identity, (0, 0))
        now = self._node.now_us()
        self._replies.append(reply)
        if at_us and abs(now - at_us) < REPEAT_US:
            self._stage()  # its answer waits for the batch of the first one
            return
        self._begin(identity, epoch + 1, now, f"{identity}|{epoch}|")
        self._node.counters["nas_restart", ""] += 1

    def restart_peer(self, identity: str, state_id: int, known: Callable[[], None]) -> None:
        """
        A Diameter client says which state it is in: a higher one than before ends its sessions (RFC 6733 8.16).

        The first number ever seen tells nothing.  What another node has seen is asked of the store, so that
        sessions begun since are spared.  If the store cannot say, nothing ends: the sessions of the older state live
        until their deadlines.

        Args:
            known: Called when that is settled; sessions that begin before would not be told from the older ones.
        """
        if state_id <= self.of(identity):
            known()
            return
        node = self._node

        def answered(before: int | Failed) -> None:
            try:
                if isinstance(before, Failed):
                    node.counters["peer_restart_unknown", ""] += 1
                    node.on_error(StoreUnavailable(f"whether {identity} restarted is not known: {before.reason}"))
                elif state_id > max(before, self.of(identity)):
                    self._begin(identity, state_id, node.now_us(), f"{identity}|" if before else NO_KEY)
                    node.counters["peer_restart", ""] += 1
                    node.flush()  # before sessions that begin now
            finally:
                known()

        once(lambda told: node.store.epoch(identity, told), answered, node.on_error)

    def learn(self, epochs: dict[str, tuple[int, int]]) -> None:
        """Take up restarts that other nodes were told of: the sessions of who restarted are read anew."""
        newer = {identity: told for identity, told in epochs.items() if told[0] > self.of(identity)}
        self._known.update(newer)
        prefixes = tuple(f"{identity}|" for identity in newer)
        for session in self._live() if prefixes else ():
            if session.head.key.startswith(prefixes):
                self._node.stale(session.head.account_id)

    def take_replies(self) -> list[Durable]:
        """Who waits for the batch that is sent now."""
        replies, self._replies = self._replies, []
        return replies

    def undo(self, batch: Batch) -> None:
        """A batch was not written: the restarts in it have to be told again."""
        for stage in batch.values():
            for identity, epoch, _, _ in stage.rare.restarts if stage.rare is not None else ():
                self._known[identity] = (epoch - 1, 0)

    def _begin(self, identity: str, epoch: int, now: int, prefix: str) -> None:
        """Note an epoch and stage it; the sessions whose keys begin so are due."""
        self._known[identity] = (epoch, now)
        self._stage().rarely().restarts.append((identity, epoch, now, prefix))
        for session in self._live() if prefix != NO_KEY else ():
            if session.head.key.startswith(prefix) and session.deadline_us > now:
                self._node.cache.put_session(replace(session, deadline_us=now))

    def _live(self) -> list[Session]:
        """The cached sessions that a restart can end; there are many more that ended before."""
        cache = self._node.cache
        return [cache.sessions[number] for number in cache.live]

    def _stage(self) -> Stage:
        return self._node.desk.batch.setdefault(NOBODY, Stage(NOBODY))
