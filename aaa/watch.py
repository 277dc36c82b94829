"""
The watch: what other nodes changed in the store, noticed within a second, and the store's clock (S18, S20).

One small query a second says whether to look; only then are tariffs, clients, peers and epochs read, on a thread.
A message on the bus makes it look at once, and nothing more: whoever misses it looks a second later.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from aaa.errors import StoreUnavailable
from aaa.node.node import ChargingNode
from aaa.store.port import Failed, Pulse, Store

INTERVAL_S = 1.0
CLOCK_OFFSET_MAX_US = 2_000_000
ROUND_TRIP_MAX_US = 500_000  # a slower answer says too little about the clock


class Documents(NamedTuple):
    """RADIUS clients and Diameter peers as provisioned, secrets sealed."""

    nas: tuple[dict[str, Any], ...]
    peers: tuple[dict[str, Any], ...]


def documents_of(store: Store) -> Documents:
    """Read the clients and peers of the store."""
    return Documents(
        tuple(json.loads(text) for text in store.nas_documents()),
        tuple(json.loads(text) for text in store.peer_documents()),
    )


class Watch:
    """
    Looks at the store of several nodes.

    Args:
        clock: Integer microseconds since the epoch.
        changed: Given clients and peers, after provisioning anywhere; tariffs and epochs are taken up already.
        on_error: Told what could not be read; it is tried again a second later.
    """

    def __init__(
        self,
        node: ChargingNode,
        reactor: Any,
        clock: Callable[[], int],
        changed: Callable[[Documents], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.offset_us = 0
        """How far the store's clock is ahead of ours."""
        self._node = node
        self._store = node.store
        self._reactor = reactor
        self._clock = clock
        self._changed = changed
        self._on_error = on_error
        self._known: tuple[int, int] | None = None  # as of the first look, when everything has just been read
        self._is_looking = False
        self._is_asked_again = False

    @property
    def is_clock_right(self) -> bool:
        """Whether our clock is near enough to the store's to serve (S18); `/readyz` says so too."""
        return abs(self.offset_us) <= CLOCK_OFFSET_MAX_US

    def look(self) -> None:
        """Ask the store whether anything changed; called every second, and when somebody says so."""
        if self._is_looking:
            self._is_asked_again = True
            return
        self._is_looking = True
        asked_us = self._clock()
        self._store.pulse(lambda pulse: self._pulse(pulse, asked_us))

    def _pulse(self, pulse: Pulse | Failed, asked_us: int) -> None:
        if isinstance(pulse, Failed):
            self._looked()
            return
        answered_us = self._clock()
        if 0 <= answered_us - asked_us <= ROUND_TRIP_MAX_US:
            self.offset_us = pulse.now_us - (asked_us + answered_us) // 2
            self._node.store_ahead_us = self.offset_us
        self._node.is_store_up = True  # else a node that nobody asks any more would never say so
        seen = (pulse.generation, pulse.epochs)
        if self._known is None or seen == self._known:
            self._known = seen
            self._looked()
            return
        is_provisioned = pulse.generation != self._known[0]
        self._reactor.callInThread(self._read, seen, is_provisioned)

    def _read(self, seen: tuple[int, int], is_provisioned: bool) -> None:
        """On a thread: read what may have changed."""
        try:
            epochs = self._store.epochs()
            tariffs = self._node.tariffs.read() if is_provisioned else None
            documents = documents_of(self._store) if is_provisioned else None
        except StoreUnavailable as error:
            self._reactor.callFromThread(self._failed, error)
            return
        self._reactor.callFromThread(self._take, seen, epochs, tariffs, documents)

    def _take(
        self, seen: tuple[int, int], epochs: dict[str, tuple[int, int]], tariffs: Any, documents: Documents | None
    ) -> None:
        self._known = seen
        self._node.epochs.learn(epochs)
        if tariffs is not None:
            self._node.tariffs.take(tariffs)
        try:
            if documents is not None:
                self._changed(documents)
        except Exception as error:
            self._on_error(error)
        self._looked()

    def _failed(self, error: Exception) -> None:
        self._on_error(error)
        self._looked()

    def _looked(self) -> None:
        self._is_looking = False
        if self._is_asked_again:
            self._is_asked_again = False
            self._reactor.callLater(0, self.look)
