"""
The node's face towards other threads: commands, provisioning, status (DESIGN 6).

The control API runs in its own thread.  Whatever it wants done is put on the reactor thread, between two
batches, and comes back as a future; reads go through its own connection and never come here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from aaa.engine.answers import Ack, Answer, Outcome
from aaa.engine.commands import Adjust, Command, Kill
from aaa.engine.model import Session
from aaa.errors import StoreUnavailable
from aaa.node.node import ChargingNode
from aaa.node.tally import outcomes
from aaa.store.generation import raising

PENDING_MAX = 10_000


class NodeControl:
    """
    The `Control` port.

    Args:
        call_in_reactor: `reactor.callFromThread`, or for tests a plain call.
        forget: Called after provisioning, so that caches outside the node are dropped too.
        describe: Adds what the composition root knows to `status`.
        killed: Told about sessions that are to end, once that is durable.
        credited: Told about accounts that got money, once that is durable.
        drained: Told when new sessions are to be refused, or taken again.
        questions: What `ask` answers, by name; each runs on the reactor thread.
    """

    def __init__(
        self,
        node: ChargingNode,
        call_in_reactor: Callable[..., Any],
        forget: Callable[[], None],
        describe: Callable[[], dict[str, Any]],
        killed: Callable[[Session], None] = lambda session: None,
        credited: Callable[[int], None] = lambda account_id: None,
        drained: Callable[[bool], None] = lambda draining: None,
        questions: Mapping[str, Callable[..., list[dict[str, Any]]]] | None = None,
    ) -> None:
        self._node = node
        self._call = call_in_reactor
        self._forget = forget
        self._describe = describe
        self._killed = killed
        self._credited = credited
        self._drained = drained
        self._questions = questions or {}
        self._pending = 0
        self._lock = threading.Lock()

    def submit(self, command: Command, account_id: int | None) -> Future[Answer]:
        """Submit a command and get its answer as a future."""

        def run(future: Future[Answer]) -> None:
            def answered(answer: Answer) -> None:
                future.set_result(answer)
                self._tell(command, account_id, answer)

            self._node.submit(command, account_id, answered)
            self._node.flush()

        return self._in_reactor(run)

    def _tell(self, command: Command, account_id: int | None, answer: Answer) -> None:
        """Tell the clients what an order of the operator means for their sessions."""
        if not isinstance(answer, Ack) or answer.outcome is not Outcome.DONE:
            return
        if isinstance(command, Kill):
            session = self._node.cache.find((f"#{answer.session_id}",))
            if session is not None:
                self._killed(session)
        elif isinstance(command, Adjust) and account_id is not None and command.amount_micro > 0:
            self._credited(account_id)

    def submit_all(self, commands: Sequence[tuple[Command, int | None]]) -> Future[list[Answer]]:
        """Submit many commands at once: they gather into few batches, and their answers come together."""

        def run(future: Future[list[Answer]]) -> None:
            answers: list[Answer | None] = [None] * len(commands)
            left = len(commands)

            def taken(place: int, answer: Answer) -> None:
                nonlocal left
                answers[place] = answer
                left -= 1
                if not left:
                    future.set_result([answer for answer in answers if answer is not None])
                self._tell(*commands[place], answer)

            for place, (command, account_id) in enumerate(commands):
                self._node.submit(command, account_id, partial(taken, place))
            self._node.flush()
            if not commands:
                future.set_result([])

        return self._in_reactor(run)

    def provision(self, work: Callable[[Any], Any], forgets: bool = True) -> Future[Any]:
        """Run `work(connection)` in one write transaction, then forget what was cached."""

        store = self._node.store
        if forgets:
            work = raising(work)
        if store.is_single_writer:
            return self.call(lambda: self._provisioned(store.provision(work), forgets))
        done: Future[Any] = Future()
        try:
            result = store.provision(work)
        except BaseException as error:
            done.set_exception(error)
            return done
        return self.call(lambda: self._provisioned(result, forgets))

    def _provisioned(self, result: Any, forgets: bool) -> Any:
        if forgets:
            self._node.forget()
            self._forget()
        return result

    def status(self) -> Future[dict[str, Any]]:
        """Queue depths, cache sizes, counters and what the composition root adds."""

        def run(future: Future[dict[str, Any]]) -> None:
            node = self._node
            future.set_result(
                {
                    "store_up": node.is_store_up,
                    "draining": node.is_draining,
                    "cached_accounts": len(node.cache.accounts),
                    "cached_sessions": len(node.cache.sessions),
                    "waiting": node.waiting,
                    "store_latency_s": {
                        name: {"p50": taken.quantile(0.5), "p99": taken.quantile(0.99)}
                        for name, taken in node.tally.transactions.items()
                        if sum(taken.counts)
                    },
                    "tariffs": node.tariffs.names(),
                    "counters": {f"{kind}.{cause}".rstrip("."): n for (kind, cause), n in sorted(node.counters.items())}
                    | outcomes(node.tally.counters),
                    **self._describe(),
                }
            )

        return self._in_reactor(run)

    def drain(self, draining: bool) -> Future[None]:
        """Refuse new sessions, or take them again."""

        def run(future: Future[None]) -> None:
            self._node.is_draining = draining
            self._drained(draining)
            future.set_result(None)

        return self._in_reactor(run)

    def ask(self, question: str, **arguments: Any) -> Future[list[dict[str, Any]]]:
        """Ask this process for something only its memory knows."""
        return self.call(lambda: self._questions[question](**arguments))

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        """Run something on the reactor thread."""
        return self._in_reactor(lambda future: future.set_result(work()))

    def _in_reactor(self, run: Callable[[Future[Any]], None]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._pending >= PENDING_MAX:
                future.set_exception(StoreUnavailable("too many control requests at once"))
                return future
            self._pending += 1
        future.add_done_callback(self._finished)

        def guarded() -> None:
            try:
                run(future)
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)

        self._call(guarded)
        return future

    def _finished(self, _future: Future[Any]) -> None:
        with self._lock:
            self._pending -= 1
