"""
What a node asks of its store, whichever database is behind it.

`load` and `commit` answer through a callback: at once for the embedded store, when the server answered
for PostgreSQL.  A node has at most one of them under way, so a load sees every commit that was answered
before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import Connection

from aaa.engine.model import Account, Session
from aaa.engine.ports import Subscriber, Tariffs
from aaa.store.batch import Batch
from aaa.store.names import NameFilter
from aaa.store.outbox import Consumer
from aaa.value import Value


class Wanted(Value, frozen=True):
    """
    What one request needs: the session one of these names stands for, an account, a movement of money.

    `is_cached` says that the account is cached already: its version is enough, and an embedded store
    with one writer need not even tell that.
    """

    names: tuple[str, ...] = ()
    account_id: int | None = None
    movement: str = ""
    is_cached: bool = False


class Loaded(Value, frozen=True):
    """
    What there is of it, all read in one snapshot; no account when it is cached and has not moved.

    An account that spends from a pool comes with it.
    `problem` says why there is nothing though there are rows: one of them cannot be read.
    """

    session: Session | None = None
    account: Account | None = None
    version: int = 0
    early_start_us: int = 0
    movement: tuple[str, str] | None = None
    pool: Account | None = None
    pool_version: int = 0
    problem: str = ""


class Committed(Value, frozen=True):
    """
    A batch is durable but for these accounts, of which nothing was written.

    Another node had moved them, or a session that was supposed to be new (`Stage.absent`) is not.
    """

    losers: frozenset[int] = frozenset()


class Failed(Value, frozen=True):
    """
    A batch was not written; with `is_unknown` perhaps it was, and everything must be read again.

    `is_conflict` means that the database asks to try the same once more (40001, 40P01, lock timeout).
    """

    reason: str
    is_unknown: bool = False
    is_conflict: bool = False


class Pulse(Value, frozen=True):
    """
    What a node looks at every second: it differs when another node changed something that is cached.

    `generation` grows with provisioning, `epochs` with every restart of a NAS (S20); `now_us` is the
    store's clock (S18).
    """

    generation: int
    epochs: int
    now_us: int


class Store(Protocol):
    """The part of a store that serves requests; start-up and provisioning use the concrete classes."""

    @property
    def names(self) -> NameFilter | None:
        """
        The names sessions were ever stored under; None where another node may store one at any time.

        Such a store looks at commit: a stage loses when a session, an alias or an early start is stored under one of
        its `absent` names.
        """

    def load(self, wanted: list[Wanted], tariffs: Tariffs, done: Callable[[list[Loaded] | Failed], None]) -> None:
        """Read what requests need, in one snapshot; a row that cannot be read costs only who asked for it."""

    def commit(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        """Write a batch in one transaction; the winners durably, the losers not at all (L5)."""

    def load_locked(
        self,
        account_ids: list[int],
        wanted: list[Wanted],
        tariffs: Tariffs,
        done: Callable[[list[Loaded] | Failed], None],
    ) -> None:
        """Begin a transaction that holds these accounts, then read what requests need (lock lane)."""

    def commit_locked(self, batch: Batch, now: int, done: Callable[[Committed | Failed], None]) -> None:
        """Write a batch and end the transaction that `load_locked` began."""

    def due(self, now: int, most: int, done: Callable[[list[int] | Failed], None]) -> None:
        """Live sessions whose deadline has passed; what a call leaves out, one of the next finds."""

    def live_sessions(self, done: Callable[[int | Failed], None]) -> None:
        """How many sessions are held or open."""

    def pulse(self, done: Callable[[Pulse | Failed], None]) -> None:
        """What tells whether other nodes changed anything, and the store's clock."""

    def purge(self, closed_before: int, now: int, most: int, done: Callable[[int | Failed], None]) -> None:
        """Forget closed sessions and early starts whose time is over, a bounded number at once."""

    def epoch(self, identity: str, done: Callable[[int | Failed], None]) -> None:
        """The epoch of one identity (S20); 0 when it never restarted."""

    def subscriber(self, identity: tuple[str, str], done: Callable[[Subscriber | Failed | None], None]) -> None:
        """The subscriber of one identity."""

    consumers: tuple[Consumer, ...]
    """Who wants events: their rows are written with each batch (`aaa.store.outbox`)."""

    # Start-up and provisioning: they block, and run before the reactor does or in the thread that asks.

    @property
    def is_single_writer(self) -> bool:
        """Whether provisioning must run between two batches, on the node's own connection."""

    def provision(self, work: Callable[[Connection], Any]) -> Any:
        """Run `work` with a SQLAlchemy connection in one transaction; raises StoreUnavailable."""

    def new_node(self, name: str, now: int) -> int:
        """Register one more start of a node; its number is part of every session id it makes."""

    def account_id(self, name: str) -> int | None:
        """The number of an account by its public id."""

    def early_starts(self, now: int) -> dict[str, tuple[int, int]]:
        """Early starts that only this node can know of: instant and deadline by key."""

    def epochs(self) -> dict[str, tuple[int, int]]:
        """Epoch and time of the last restart of every NAS identity that ever restarted (S20)."""

    def tariff_documents(self) -> list[tuple[int, str]]:
        """Every tariff version that was ever activated: number and document."""

    def activations(self) -> list[tuple[str, int, int]]:
        """Every activation: tariff, from when, which version."""

    def nas_documents(self) -> list[str]:
        """The RADIUS clients that were provisioned, as stored."""

    def peer_documents(self) -> list[str]:
        """The Diameter peers that were provisioned, as stored."""

    def close(self) -> None:
        """Give the database back."""
