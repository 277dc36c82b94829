"""
One line per request (OPERATIONS section 7), written beside the hot path.

The lines of a batch are made when its answers go out and handed to a thread that writes them, a bounded
number at most: a reader of stderr that stands still costs lines, which are counted, and never a call.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aaa.engine.answers import Denial, Grant, LineDenial, LineGrant
from aaa.engine.commands import Adjust, Begin, Capped, Command, End, Event, Expire, Kill, Update
from aaa.engine.terms import Reason
from aaa.node.desk import Request
from aaa.ops.logs import masked
from rating.money import format_money

PENDING_MAX = 50_000  # lines, some ten seconds of a busy server
GATHER_S = 0.1  # threads that take turns too often cost more than the lines
WRITE_OCTETS = 4_096  # PIPE_BUF: what a pipe takes without mixing it with other writers
MEANINGS = {
    "session.granted": "A session began: units were granted to it.",
    "session.refilled": "A session was granted more.",
    "session.denied": "Something was refused.",
    "session.started": "A session is answered, or runs.",
    "session.updated": "Usage was reported.",
    "session.ended": "A session ended and was charged.",
    "session.expired": "A session nobody reported of was settled, or one that its client has lost.",
    "session.killed": "A session was ended by order.",
    "event.charged": "Something was charged or refunded without a session.",
    "balance.moved": "Money was added, corrected or moved.",
}
"""The events, one per request."""

FIELDS = {
    "account": "public id of the account, empty when it was not at hand",
    "amount_micro": "what was moved",
    "caller": "calling number",
    "cause": "why it ended or expired; `topup`, `adjust` or `opening` of a movement",
    "cost_micro": "charge of the session or event so far",
    "currency": "of the account",
    "destination": "normalised called number",
    "final": "true: these are the last units",
    "line_reason": "why the first service got nothing",
    "ms": "from arrival to answer, in milliseconds",
    "nas": "name of the client's entry, or Origin-Host",
    "outcome": "what became of it (done, repeat, unknown, unrated, conflict)",
    "protocol": "`radius` or `diameter`",
    "reason": "why it was refused",
    "reserved": "what the session now holds, in the currency",
    "session_id": "number of the session",
    "used_cost_micro": "price of what the first service has used so far",
}
"""The fields of these events, beside `granted_` and `used_` with a unit."""

UNITS = {"seconds": "s", "octets": "octets", "events": "events", "money": "micro"}
_EVENTS: dict[type, str] = {Kill: "session.killed", Expire: "session.expired"}
_RESERVED_DECIMALS = 4
_quoted = json.encoder.encode_basestring  # JSON text of a string, non-ASCII kept


class LineWriter:
    """
    Writes lines to a file descriptor on a thread of its own.

    Args:
        handle: Where to; stays open.
    """

    def __init__(self, handle: int, pending_max: int = PENDING_MAX) -> None:
        self.dropped = 0
        self._handle = handle
        self._pending_max = pending_max
        self._pending: deque[str] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what is waiting, for so long at most."""
        self._is_stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def put(self, lines: list[str]) -> None:
        """Hand over lines; those that find no room are counted and gone."""
        room = self._pending_max - len(self._pending)
        if room < len(lines):
            self.dropped += len(lines) - max(0, room)
            lines = lines[: max(0, room)]
        self._pending.extend(lines)
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if not self._is_stopping:
                time.sleep(GATHER_S)
            while self._pending:
                self._write(self._gather())
            if self._is_stopping:
                return

    def _gather(self) -> bytes:
        """As many whole lines as one write takes, at least one."""
        pending = self._pending
        parts = [pending.popleft().encode("utf-8", "backslashreplace")]
        size = len(parts[0])
        while pending and size + 4 * len(pending[0]) < WRITE_OCTETS:
            part = pending.popleft().encode("utf-8", "backslashreplace")
            size += len(part)
            parts.append(part)
        return b"".join(parts)

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError:
            self.dropped += data.count(b"\n")


class RequestLog:
    """
    Makes the lines, as JSON text at once: a document in between would cost twice as much as the request log may.

    Args:
        account_name: Public id of an account by its number, "" when it is not at hand.
        reserved_micro: What a session holds, by its number; None when it is not at hand.
        is_console: key=value instead of JSON.
    """

    def __init__(
        self,
        put: Callable[[list[str]], None],
        account_name: Callable[[int], str],
        reserved_micro: Callable[[int], int | None],
        *,
        is_console: bool = False,
        mask_numbers: bool = False,
    ) -> None:
        self._put = put
        self._account_name = account_name
        self._reserved_micro = reserved_micro
        self._is_console = is_console
        self._shown = (lambda number: _quoted(masked(number))) if mask_numbers else _quoted

    def __call__(self, requests: Sequence[Request], now: int) -> None:
        """Write one line for each of the requests whose answers go out at `now`."""
        at = datetime.fromtimestamp(now / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        opening = f'{{"ts":"{at}","level":"'
        lines = [self._line(opening, request, now) for request in requests]
        self._put([_console(line) for line in lines] if self._is_console else lines)

    def _line(self, opening: str, request: Request, now: int) -> str:
        """The line of one request: what became of it, who asked, what was said, what it got."""
        command, answer = request.command, request.answer
        asked, event, cause = self._asked(command)
        level = "info"
        if isinstance(answer, Grant):
            event = "session.refilled" if answer.number > 1 else "session.granted"
            held_micro = self._reserved_micro(answer.session_id)
            held = "" if held_micro is None else f'"reserved":"{format_money(held_micro, _RESERVED_DECIMALS)}",'
            got = f',"session_id":"{answer.session_id}",{held}"currency":"{answer.currency}"{_told(answer.lines)}'
        elif isinstance(answer, Denial):
            event = "session.denied"
            level = "error" if answer.reason is Reason.STORE_DOWN else "info"
            got = f',"reason":"{answer.reason._value_}"'
        else:
            got = (
                f',"session_id":"{answer.session_id}","outcome":"{answer.outcome._value_}",'
                f'"cost_micro":{answer.cost_micro},"currency":"{answer.currency}"{_told(answer.lines)}'
            )
        number = request.account_id
        account = "" if number is None else f',"account":{_quoted(self._account_name(number))}'
        waited_ms = (now - request.arrived_us) // 100 / 10
        return f'{opening}{level}","event":"{event}"{cause}{got}{account}{asked},"ms":{waited_ms}}}\n'

    def _asked(self, command: Command) -> tuple[str, str, str]:
        """What a request said, the event it makes unless it is denied, and its cause."""
        if isinstance(command, Capped):
            command = command.begin
        if isinstance(command, Kill | Expire):
            return "", _EVENTS[type(command)], f',"cause":"{command.cause}"'
        if isinstance(command, Adjust):
            return f',"amount_micro":{command.amount_micro}', "balance.moved", f',"cause":{_quoted(command.cause)}'
        text = f',"nas":{_quoted(command.origin)}'
        if isinstance(command, Begin | Event):
            text += f',"protocol":"{command.protocol}"'
            if command.caller:
                text += f',"caller":{self._shown(command.caller)}'
        if command.lines:
            line = command.lines[0]
            if line.destination:
                text += f',"destination":{self._shown(line.destination)}'
            if line.usage is not None:
                text += f',"used_{UNITS[line.key.unit]}":{line.usage.units}'
        if isinstance(command, End):
            return text, "session.ended", f',"cause":{_quoted(command.cause)}'
        if isinstance(command, Update):
            return text, "session.started" if command.is_start else "session.updated", ""
        return text, "event.charged", ""


def _told(lines: Sequence[LineGrant | LineDenial]) -> str:
    """What the first line got, and what it has cost."""
    if not lines:
        return ""
    line = lines[0]
    if isinstance(line, LineDenial):
        return f',"line_reason":"{line.reason._value_}"'
    final = ',"final":true' if line.is_final else ""
    return f',"granted_{UNITS[line.key.unit]}":{line.told},"used_cost_micro":{line.cost_micro}{final}'


def _console(line: str) -> str:
    return " ".join(f"{key}={_plain(value)}" for key, value in json.loads(line).items()) + "\n"


def _plain(value: Any) -> str:
    """A value that cannot be taken for two, nor end the line."""
    text = str(value)
    is_plain = text and text.isprintable() and not any(character in text for character in ' "=')
    return text if is_plain else json.dumps(text)
