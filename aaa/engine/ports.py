"""
What the protocol faces and the control API may ask of a node, as protocols (interfaces).

`aaa.node` implements them; tests implement them with a few lines.  All calls are made on the reactor
thread, except those of `Control`, which may be made from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from aaa.engine.answers import Answer
from aaa.engine.commands import Command
from aaa.value import Value
from rating.tariff import Tariff


class Subscriber(Value, frozen=True):
    """Who pays and how they prove it: one subscription row with its account."""

    account_id: int
    account: str
    type: str
    value: str
    credential: dict[str, Any]  # as stored: clear, hash, ha1 (sealed ones still sealed)
    pool_id: int | None = None  # of the account

    @property
    def payer_id(self) -> int:
        """The account whose money is spent."""
        return self.account_id if self.pool_id is None else self.pool_id


class Directory(Protocol):
    """Finds subscribers by how the network names them."""

    def find(self, identities: Sequence[tuple[str, str]], found: Callable[[Subscriber | None], None]) -> None:
        """
        Call `found` with the first of the (type, value) pairs that exists, or None.

        The call comes at once when the answer is cached, else after the store was asked.  `found` gets
        None as well when the store is down; `Node.submit` then says so.
        """


class Node(Protocol):
    """Takes commands, decides them, commits them, and only then answers (L5)."""

    def submit(self, command: Command, account_id: int | None, reply: Callable[[Answer], None]) -> None:
        """
        Take one command; `reply` is called after its effect is durable.

        Args:
            account_id: Who pays, where the request said so; None: found through the session's keys.
            reply: Gets the answer, `Denial(STORE_DOWN)` when it could not be made durable.
        """

    def restart_nas(self, identity: str, event_us: int, reply: Callable[[bool], None]) -> None:
        """Begin a new epoch of a NAS identity (Accounting-On/Off, S20); `reply(True)` once durable."""

    def restart_peer(self, identity: str, state_id: int, known: Callable[[], None]) -> None:
        """
        Note the state a Diameter client is in; a higher number ends its sessions, whose keys begin so.

        Args:
            known: Called once sessions that begin from then on are spared: at once, or when the store has said what
                other nodes know, or that it cannot.
        """

    def knows(self, names: Sequence[str]) -> bool:
        """Whether a session is at hand under one of these names; False says nothing about the store."""

    def epoch(self, identity: str) -> int:
        """The current epoch of a NAS identity: part of every session key (S20)."""

    def flush(self) -> None:
        """Say that the sockets are drained for now: what has gathered may be committed as one batch."""

    def now_us(self) -> int:
        """The node's clock."""


class Control(Protocol):
    """The node as the control API sees it; every call is safe from any thread."""

    def submit(self, command: Command, account_id: int | None) -> Future[Answer]:
        """Submit a command (Adjust, Kill, Expire, Event) and get its answer as a future."""

    def submit_all(self, commands: Sequence[tuple[Command, int | None]]) -> Future[list[Answer]]:
        """Submit many commands with their accounts; the answers come in the same order."""

    def provision(self, work: Callable[[Any], Any], forgets: bool = True) -> Future[Any]:
        """
        Run `work(connection)` in one write transaction of the node's store and return its result.

        `work` may write every table but those that carry money; what it changed is forgotten by the
        node's caches before the future is done.  An exception rolls everything back and is raised by
        the future.

        Args:
            forgets: False when nothing is written that a node caches (an audit row).
        """

    def status(self) -> Future[dict[str, Any]]:
        """Queue depths, cache sizes, counters, store latency, last errors: one JSON-ready dict."""

    def ask(self, question: str, **arguments: Any) -> Future[list[dict[str, Any]]]:
        """
        Ask for what only the memory of the serving processes knows; the answers of all of them, together.

        `refusals(name)`: the last refusals about a subscriber or number.  `trace(subscriber, until_us)`:
        trace a subscriber until then, 0 to stop.  `traces()`: who is traced.
        `log()`: the last warnings and errors.
        `first_uses()`: accounts that expire after their first use and were used since it was asked last.
        """

    def drain(self, draining: bool) -> Future[None]:
        """Refuse new sessions (or take them again)."""


class Tariffs(Protocol):
    """The tariff versions a decision may price with; immutable while it runs (S17)."""

    def in_force(self, name: str, at_us: int) -> Tariff | None:
        """The version of a tariff in force at an instant, or None."""

    def version(self, number: int) -> Tariff | None:
        """One version by its number, in force or not."""
