"""
One PostgreSQL connection under the reactor: libpq without threads (PERFORMANCE "The store").

A query is sent when the one before it was answered, and its callback gets the rows or a `Failed`.  A lost
connection fails what was sent with its outcome unknown and is made again in a thread, with growing pauses;
until then queries fail at once.  The queue is bounded by its user: a node sends one operation at a time.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from psycopg import OperationalError, pq
from psycopg.pq import abc
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from aaa.errors import StoreUnavailable
from aaa.store.port import Failed

RETRIABLE = {b"40001", b"40P01", b"55P03", b"23505"}
"""Serialization, deadlock, lock timeout; and a key that another node was faster to write."""
PAUSE_FIRST_S = 0.1
PAUSE_MOST_S = 2.0
LOOK_S = 0.25  # how often a link looks whether it has waited too long
CONNECT_S = 3.0
QUEUE_MAX = 10_000

Row = tuple[bytes | None, ...]
Value = str | bytes | None
Done = Callable[[list[Row] | Failed], None]


class _Kind(Enum):
    """What is sent: a prepared statement to run, one that is not prepared, one to prepare."""

    RUN = "run"
    EXECUTE = "execute"
    PREPARE = "prepare"


@implementer(IReadDescriptor)
class Link:
    """
    A connection that heals itself.

    Args:
        patience_s: A query that is not answered within this fails with its outcome unknown, and the connection with
            it: a server that hangs must not hold up what has to be answered (S12).
        settings: Run after every connect; sizes, time limits and planner settings of this link.
        statements: Prepared after every connect, by name.
        on_error: Told about callbacks that raise: what a caller makes of an answer says nothing about the connection.
    """

    def __init__(
        self,
        conninfo: str,
        reactor: Any,
        settings: str,
        statements: dict[str, str],
        patience_s: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._conninfo = conninfo.encode()
        self._reactor = reactor
        self._settings = settings.encode()
        self._statements = statements
        self._patience_s = patience_s
        self._on_error = on_error
        self._sent_s = 0.0
        self._handle = -1
        self._waiting: deque[tuple[_Kind, bytes, list[bytes | None], list[int], Done]] = deque()
        self._prepared: set[str] = set()  # on this connection, beside `statements`
        self._current: Done | None = None
        self._result: list[Row] | Failed | None = None
        self._pause_s = PAUSE_FIRST_S
        self._is_closed = False
        self._connection: abc.PGconn | None = None
        self._took(self._connect())

    def close(self) -> None:
        """End the connection; what is under way fails."""
        self._is_closed = True
        self._drop("closed")

    def run(self, name: str, values: Sequence[Value], done: Done) -> None:
        """Run a prepared statement; texts are sent as such, octets in the binary format."""
        self._ask(_Kind.RUN, name, values, done)

    def has(self, name: str) -> bool:
        """Whether a statement was prepared on this connection by `prepare`."""
        return name in self._prepared

    def prepare(self, name: str, sql: str) -> None:
        """Prepare one more statement, before it is run for the first time; a refused one fails when it is run."""

        def answered(rows: list[Row] | Failed) -> None:
            if isinstance(rows, Failed):
                self._prepared.discard(name)

        self._prepared.add(name)
        self._ask(_Kind.PREPARE, name, [sql], answered)

    def execute(self, sql: str, values: Sequence[Value], done: Done) -> None:
        """Run a statement that is not prepared."""
        self._ask(_Kind.EXECUTE, sql, values, done)

    def _ask(self, kind: _Kind, text: str, values: Sequence[Value], done: Done) -> None:
        if self._connection is None:
            done(Failed("no connection to the database"))
            return
        if len(self._waiting) >= QUEUE_MAX:
            done(Failed("too many queries wait"))
            return
        # Encoded before it is queued: a text that cannot be sent concerns nobody but who asked for it.
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        formats = [int(isinstance(value, bytes)) for value in values]
        self._waiting.append((kind, text.encode(), encoded, formats, done))
        if self._current is None:
            self._send()

    # -- the wire ---------------------------------------------------------------------------------

    def _send(self) -> None:
        if not self._waiting or self._connection is None:
            return
        kind, text, values, formats, done = self._waiting.popleft()
        self._current, self._result = done, None
        self._sent_s = self._reactor.seconds()
        try:
            if kind is _Kind.RUN:
                self._connection.send_query_prepared(text, values, formats)
            elif kind is _Kind.EXECUTE:
                self._connection.send_query_params(text, values, param_formats=formats)
            else:
                self._connection.send_prepare(text, values[0] or b"")
            while self._connection.flush():
                pass
        except Exception as error:
            self._drop(str(error))

    def doRead(self) -> None:
        """Take what the server sent; the reactor calls this."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.consume_input()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    self._answered()
                    return
                self._result = self._rows(result)
        except Exception as error:
            self._drop(str(error))

    def _rows(self, result: abc.PGresult) -> list[Row] | Failed:
        if isinstance(self._result, Failed):
            return self._result
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            width = range(result.nfields)
            return [tuple(result.get_value(row, column) for column in width) for row in range(result.ntuples)]
        code = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        text = (result.error_message or b"").decode(errors="replace").strip()
        return Failed(f"{code.decode()} {text}", is_conflict=code in RETRIABLE)

    def _answered(self) -> None:
        done, self._current = self._current, None
        if done is None:
            return  # a notice between two queries
        result = self._result
        if result is None:  # no rows would mean that nobody lost
            result = Failed("the database ended its answer without a result", is_unknown=True)
        # The next query is on its way before the answers of this one are made.
        self._send()
        self._tell(done, result)

    def _tell(self, done: Done, result: list[Row] | Failed) -> None:
        try:
            done(result)
        except Exception as error:
            self._on_error(error)

    # -- life -------------------------------------------------------------------------------------

    def _connect(self) -> abc.PGconn:
        """
        Connect and prepare; blocks, so it runs before the reactor does or in a thread.

        Raises:
            StoreUnavailable: With the server's reason.
        """
        deadline_s = time.monotonic() + CONNECT_S
        connection = pq.PGconn.connect_start(self._conninfo)
        try:
            _finish_connect(connection, deadline_s)
            connection.nonblocking = 1
            connection.send_query(self._settings)
            _finish_query(connection, deadline_s)
            for name, sql in self._statements.items():
                connection.send_prepare(name.encode(), sql.encode())
                _finish_query(connection, deadline_s)
        except (StoreUnavailable, OperationalError) as error:
            connection.finish()
            raise StoreUnavailable(str(error)) from error
        return connection

    def _took(self, connection: abc.PGconn) -> None:
        self._connection = connection
        self._prepared.clear()
        self._pause_s = PAUSE_FIRST_S
        self._handle = os.dup(connection.socket)
        self._reactor.addReader(self)
        self._reactor.callLater(LOOK_S, self._look, connection)

    def _look(self, connection: abc.PGconn) -> None:
        """Give up on a server that does not answer."""
        if connection is not self._connection:
            return
        if self._current is not None and self._reactor.seconds() - self._sent_s > self._patience_s:
            self._drop(f"no answer from the database in {self._patience_s:g} s")
        else:
            self._reactor.callLater(LOOK_S, self._look, connection)

    def _drop(self, reason: str) -> None:
        """The connection is gone: fail what was sent, connect anew after a pause."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._reactor.removeReader(self)
        os.close(self._handle)
        with contextlib.suppress(Exception):
            connection.finish()
        lost = [self._current] if self._current is not None else []
        self._current = None
        queued, self._waiting = [done for *_, done in self._waiting], deque()
        if not self._is_closed:
            self._reactor.callLater(self._pause(), self._reconnect)
        for done in lost:
            self._tell(done, Failed(reason, is_unknown=True))
        for done in queued:
            self._tell(done, Failed(reason))

    def _reconnect(self) -> None:
        if not self._is_closed:
            self._reactor.callInThread(self._reconnect_in_thread)

    def _reconnect_in_thread(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                self._reactor.callFromThread(self._on_error, error)
            self._reactor.callFromThread(self._reactor.callLater, self._pause(), self._reconnect)
        else:
            self._reactor.callFromThread(self._took, connection)

    def _pause(self) -> float:
        pause = self._pause_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads the nodes, keeps no secret
        self._pause_s = min(self._pause_s * 2, PAUSE_MOST_S)
        return pause

    # -- what the reactor asks --------------------------------------------------------------------

    def fileno(self) -> int:
        # A duplicate: libpq closes its own when the server does, and epoll then could not forget it.
        return self._handle

    def connectionLost(self, reason: Any) -> None:
        self._drop(str(reason))

    def logPrefix(self) -> str:
        return "postgres"


def _finish_connect(connection: abc.PGconn, deadline_s: float) -> None:
    """See a connection through; in steps, because libpq's own way holds Python's lock while it waits."""
    state = connection.connect_poll()
    while state != pq.PollingStatus.OK:
        if state == pq.PollingStatus.FAILED:
            raise StoreUnavailable(connection.error_message.decode(errors="replace").strip())
        _wait(connection, deadline_s, is_writing=state == pq.PollingStatus.WRITING)
        state = connection.connect_poll()


def _finish_query(connection: abc.PGconn, deadline_s: float) -> None:
    """See a query of the beginning through."""
    while connection.flush():
        _wait(connection, deadline_s, is_writing=True)
    while True:
        connection.consume_input()
        if connection.is_busy():
            _wait(connection, deadline_s)
            continue
        result = connection.get_result()
        if result is None:
            return
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise StoreUnavailable((result.error_message or b"").decode(errors="replace").strip())


def _wait(connection: abc.PGconn, deadline_s: float, is_writing: bool = False) -> None:
    """Wait until the socket is ready, at most until the deadline."""
    waiting = select.poll()
    waiting.register(connection.socket, select.POLLOUT if is_writing else select.POLLIN)
    if not waiting.poll(max(0.0, deadline_s - time.monotonic()) * 1_000):
        raise StoreUnavailable(f"no answer from the database in {CONNECT_S:g} s")
