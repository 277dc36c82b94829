"""
Who pays: subscriptions by how the network names them, cached from the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aaa.engine.ports import Subscriber
from aaa.errors import StoreUnavailable
from aaa.store.sqlite import SqliteStore

MISS_SECONDS_US = 5_000_000


class StoreDirectory:
    """
    A bounded cache of subscribers before the store.

    An identity that does not exist is remembered for 5 s, so that a guesser does not reach the store
    with every packet and a new subscriber is found soon.
    """

    def __init__(self, store: SqliteStore, now_us: Callable[[], int], entries_max: int = 200_000) -> None:
        self._store = store
        self._now_us = now_us
        self._entries_max = entries_max
        self._found: dict[tuple[str, str], Subscriber] = {}
        self._missing: dict[tuple[str, str], int] = {}

    def find(self, identities: Sequence[tuple[str, str]], found: Callable[[Subscriber | None], None]) -> None:
        """Call `found` with the first identity that exists, or None (also when the store is down)."""
        for identity in identities:
            subscriber = self._found.get(identity)
            if subscriber is None:
                subscriber = self._load(identity)
            if subscriber is not None:
                found(subscriber)
                return
        found(None)

    def forget(self) -> None:
        """Drop everything cached: subscriptions may have changed."""
        self._found.clear()
        self._missing.clear()

    def _load(self, identity: tuple[str, str]) -> Subscriber | None:
        until = self._missing.get(identity)
        now = self._now_us()
        if until is not None and now < until:
            return None
        try:
            subscriber = self._store.subscriber((identity,))
        except StoreUnavailable:
            return None
        if len(self._found) >= self._entries_max or len(self._missing) >= self._entries_max:
            self.forget()
        if subscriber is None:
            self._missing[identity] = now + MISS_SECONDS_US
            return None
        self._missing.pop(identity, None)
        self._found[identity] = subscriber
        return subscriber
