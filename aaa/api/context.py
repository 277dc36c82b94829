"""
What every endpoint of the control API works with: the node, the read-only store, the caller.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Connection, Engine, insert, select

from aaa.api.guesses import GuessLock
from aaa.api.problems import Refusal, accepted, not_found
from aaa.config import Config
from aaa.engine.answers import Ack
from aaa.engine.commands import Command
from aaa.engine.ports import Control
from aaa.keys import Keys
from aaa.node.tariffs import TariffBook
from aaa.provision.parse import CheckNas
from aaa.store import read
from aaa.store import tables as db
from aaa.store.outbox import Consumer
from aaa.store.read import snapshot

AdviseNas = Callable[[dict[str, Any]], list[str]]

ANSWER_TIMEOUT_S = 10.0
PROVISION_TIMEOUT_S = 120.0
REASON_MAX = 500


class TariffReader:
    """The tariff versions of the store for a `TariffBook` that reads through the reporting connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def tariff_documents(self) -> list[tuple[int, str]]:
        """Every version: number and document."""
        with snapshot(self._engine) as connection:
            table = db.tariff_version
            rows = connection.execute(select(table.c.id, table.c.document).order_by(table.c.id))
            return [(row.id, row.document) for row in rows]

    def activations(self) -> list[tuple[str, int, int]]:
        """Every activation: tariff, from when, which version, in this order."""
        with snapshot(self._engine) as connection:
            rows = connection.execute(
                select(db.tariff_activation).order_by(db.tariff_activation.c.tariff, db.tariff_activation.c.active_from)
            )
            return [(row.tariff, row.active_from, row.version_id) for row in rows]


@dataclass
class ApiContext:
    """
    The composition of the control API.

    Args:
        clock: Integer microseconds since the epoch.
        reload: Reads the configuration again; returns what needs a restart, raises ConfigError.
        started_us: When the process began.
        disconnect_peer: Ends the connections of a Diameter peer by its Origin-Host.
        check_nas: Refuses a client document that the RADIUS face cannot use.
        advise_nas: What a client document asks for in vain, in words.
        consumers: Who is told that accounts were changed.
    """

    config: Config
    control: Control
    keys: Keys
    engine: Engine
    clock: Callable[[], int]
    version: str
    started_us: int = 0
    reload: Callable[[], list[str]] | None = None
    disconnect_peer: Callable[[str], None] | None = None
    check_nas: CheckNas | None = None
    advise_nas: AdviseNas | None = None
    consumers: tuple[Consumer, ...] = ()
    guesses: GuessLock = field(default_factory=GuessLock)
    _tariffs: TariffBook | None = None
    _tariff_mark: tuple[int, int] = (0, 0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot of the store."""
        with snapshot(self.engine) as connection:
            yield connection

    def tariffs(self, connection: Connection) -> TariffBook:
        """The tariff versions, taken up anew when one was added since."""
        mark = read.tariff_mark(connection)
        with self._lock:
            if self._tariffs is None or mark != self._tariff_mark:
                # A new book instead of a reload: other threads go on reading the old one.
                self._tariffs = TariffBook(TariffReader(self.engine))
                self._tariff_mark = mark
            return self._tariffs

    def account(self, connection: Connection, name: str) -> Any:
        """
        The row of an account.

        Raises:
            Refusal: There is none.
        """
        row = read.account(connection, name)
        if row is None:
            raise not_found("account", name)
        return row

    def payer(self, connection: Connection, row: Any) -> Any:
        """The row of the account whose money another one spends: its pool, or itself."""
        return read.payers(connection, [row])[0]

    def submit(self, command: Command, account_id: int | None) -> Ack:
        """
        Have the node do a command.

        Raises:
            Refusal: It was not done, with the reason.
        """
        return accepted(self.wait(self.control.submit(command, account_id)))

    def wait(self, future: Future[Any], timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """
        The result of a future of the node.

        Raises:
            Refusal: The node did not answer in time; what was asked may still be done.
            StoreUnavailable: The store refused.
        """
        try:
            return future.result(timeout_s)
        except FutureTimeout:
            raise Refusal(504, f"the node did not answer within {timeout_s:g} s; it may still do it") from None

    def provision(self, work: Callable[[Connection], Any], forgets: bool = True) -> Any:
        """Run a write that moves no money in one transaction of the node."""
        return self.wait(self.control.provision(work, forgets), PROVISION_TIMEOUT_S)

    def audit_row(self, caller: Caller, action: str, target: str, detail: dict[str, Any]) -> dict[str, Any]:
        """One line of the audit log."""
        who = {"at": self.clock(), "actor": caller.actor, "reason": caller.reason[:REASON_MAX]}
        return who | {"action": action, "target": target, "detail": json.dumps(detail)}

    def audit(self, caller: Caller, action: str, target: str, **detail: Any) -> None:
        """Record a write before it is tried: a crash in between must not hide who tried it."""
        row = self.audit_row(caller, action, target, detail)

        def work(connection: Connection) -> None:
            connection.execute(insert(db.audit), [row])

        self.provision(work, forgets=False)


@dataclass(frozen=True)
class Caller:
    """Who asks: `uid:1000` on the unix socket, `token:NAME` over TCP; and why, when they said so."""

    actor: str
    reason: str = ""
    roles: frozenset[str] = frozenset()


def context_of(request: Request) -> ApiContext:
    """The context of the application a request came to."""
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(context_of)]
