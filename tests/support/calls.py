"""
Calls whose requests are repeated until they are answered, and the proof that every answer has its row.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.process import Aaad
from tests.support.wire import INTERIM, START, STOP, access_request, accounting_request, session_timeout

USERS = 20


@dataclass
class Call:
    """A call whose requests are repeated byte by byte until they are answered."""

    sid: str
    user: str
    stage: int = 0
    granted: int = 0
    reported: int = 0
    request: bytes = b""
    kind: str = "auth"
    sent_at: float = 0.0
    answered: dict[str, int] = field(default_factory=dict)

    def next_request(self) -> None:
        """Access, Start, two Interims, Stop."""
        self.kind = "acct"
        if self.stage == 0:
            self.kind, self.request = "auth", access_request(self.user, self.user, self.sid)
        elif self.stage == 1:
            self.request = accounting_request(START, self.sid)
        elif self.stage in (2, 3):
            self.reported = min(self.granted, 10 * (self.stage - 1))
            self.request = accounting_request(INTERIM, self.sid, self.reported)
        else:
            self.reported = self.granted
            self.request = accounting_request(STOP, self.sid, self.reported)

    def took(self, reply: bytes) -> None:
        """Note what the server promised."""
        if self.stage == 0:
            self.granted = session_timeout(reply)
            self.answered["granted"] = self.granted
        elif self.stage in (2, 3):
            self.answered["total"] = self.reported
        elif self.stage == 4:
            self.answered["stop"] = self.reported
        self.stage += 1 if self.granted else 5


class Load:
    """
    Calls in flight over UDP, each with one socket and at most one outstanding request.

    Args:
        sources: Addresses of the switches they come from.
    """

    def __init__(self, server: Aaad, calls: int, sources: Sequence[str] = ("127.0.0.1",)) -> None:
        self.server = server
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(calls)]
        for number, each in enumerate(self.sockets):
            each.bind((sources[number % len(sources)], 0))
        self.active: dict[socket.socket, Call] = {}
        self.over: list[Call] = []
        self.begun = 0
        for each in self.sockets:
            each.setblocking(False)

    def run(self, seconds: float, begins: bool = True) -> None:
        """
        Keep calls going for a while; repeat what is not answered within 0.2 s.

        Args:
            begins: False: only go on with calls that were granted something, until none is left.
        """
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and (begins or self.unfinished()):
            for each in self.sockets:
                call = self.active.get(each)
                if call is None:
                    if not begins:
                        continue
                    call = self.active[each] = Call(f"s{self.begun}", f"u{self.begun % USERS}")
                    self.begun += 1
                    call.next_request()
                if now - call.sent_at > 0.2:
                    self.send(each, call)
            for each in select.select(self.sockets, [], [], 0.02)[0]:
                self.receive(each)

    def send(self, each: socket.socket, call: Call) -> None:
        call.sent_at = time.monotonic()
        each.sendto(call.request, ("127.0.0.1", self.server.ports[call.kind]))

    def receive(self, each: socket.socket) -> None:
        try:
            reply = each.recv(5000)
        except (BlockingIOError, ConnectionRefusedError):
            return
        call = self.active.get(each)
        if call is None or reply[1] != call.request[1]:
            return  # another answer to a request that was sent twice
        call.took(reply)
        if call.stage > 4:
            self.over.append(call)
            del self.active[each]
            return
        call.next_request()
        self.send(each, call)

    def unfinished(self) -> list[str]:
        """Calls that were granted something and have no answer to what came after it."""
        return [call.sid for call in self.active.values() if call.granted]

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def check(server: Aaad, calls: list[Call]) -> None:
    """Every answer has its row."""
    found = {
        key.rpartition(":")[2]: (state, body)
        for key, state, body in server.rows("SELECT key, state, body FROM session")
    }
    cdrs = {
        key.rpartition(":")[2]: (number, used) for key, number, used in server.rows("SELECT key, id, used FROM cdr")
    }
    entries = dict(server.rows("SELECT ref, count(*) FROM ledger_entry WHERE cause != 'opening' GROUP BY ref"))
    for call in calls:
        if call.answered.get("granted"):
            assert call.sid in found, f"{call.sid} was granted and has no row"
        if "stop" in call.answered:
            number, used = cdrs[call.sid]
            assert call.answered["stop"] == used
            assert 1 == entries[str(number)]
