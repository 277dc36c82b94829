"""
Who pays: subscriptions by how the network names them, cached from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aaa.bounded import forget_oldest
from aaa.engine.ports import Subscriber
from aaa.store.port import Failed, Store

MISS_US = 5_000_000

Identity = tuple[str, str]


class StoreDirectory:
    """
    A bounded cache of subscribers before the store.

    An identity that does not exist is remembered for 5 s, so that a guesser does not reach the store
    with every packet and a new subscriber is found soon.

    Args:
        wake: Called after an answer that came later than the question: what it submitted wants a flush.
    """

    def __init__(
        self, store: Store, now_us: Callable[[], int], wake: Callable[[], None], entries_max: int = 200_000
    ) -> None:
        self._store = store
        self._now_us = now_us
        self._wake = wake
        self._entries_max = entries_max
        self._found: dict[Identity, Subscriber] = {}
        self._missing: dict[Identity, int] = {}

    def find(self, identities: Sequence[Identity], found: Callable[[Subscriber | None], None]) -> None:
        """Call `found` with the first identity that exists, or None (also when the store is down)."""
        for position, identity in enumerate(identities):
            subscriber = self._found.get(identity)
            if subscriber is not None:
                found(subscriber)
                return
            if self._now_us() >= self._missing.get(identity, 0):
                self._ask(identity, identities[position + 1 :], found)
                return
        found(None)

    def forget(self) -> None:
        """Drop everything cached: subscriptions may have changed."""
        self._found.clear()
        self._missing.clear()

    def _ask(self, identity: Identity, others: Sequence[Identity], found: Callable[[Subscriber | None], None]) -> None:
        is_asking = True

        def answered(answer: Subscriber | Failed | None) -> None:
            if isinstance(answer, Failed):
                found(None)
            elif answer is None:
                self._room(self._missing)
                self._missing[identity] = self._now_us() + MISS_US
                self.find(others, found)
            else:
                self._room(self._found)
                self._found[identity] = answer
                found(answer)
            if not is_asking:
                self._wake()

        self._store.subscriber(identity, answered)
        is_asking = False

    def _room(self, entries: dict[Identity, Subscriber] | dict[Identity, int]) -> None:
        if len(entries) >= self._entries_max:
            forget_oldest(entries)
