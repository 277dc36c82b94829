"""
Traces: the decoded messages of one subscriber on a live server, off by themselves.

A request is traced when one of the texts that name its parties is the traced name, or when it belongs to the session
of one that was: later requests of a session need not say whose it is (RFC 8506 8.46).  The answer is traced with its
request.
"""

from __future__ import annotations

from collections.abc import Iterator

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid, Message
from aaa.diameter.dictionary import DEFINITIONS
from aaa.diameter.text import DEPTH_MAX, described
from aaa.ops.traced import Emit, Tracer, unseen

SESSIONS_MAX = 1_000
_PARTIES = frozenset(
    (n.USER_NAME, n.SESSION_ID, n.SUBSCRIPTION_ID_DATA, n.CALLING_PARTY_ADDRESS, n.CALLED_PARTY_ADDRESS)
)


class Traces(Tracer):
    """The messages of who is traced."""

    def __init__(self, emit: Emit = unseen) -> None:
        super().__init__(emit)
        self._sessions: dict[str, str] = {}  # by Session-Id, the name it was traced under

    def request(self, message: Message, peer: str, now_us: int) -> str:
        """Show a request if it is of a traced subscriber; returns the name, for its answer."""
        session = message.text(n.SESSION_ID) if message.first(n.SESSION_ID) is not None else ""
        name = self.people.find([*_parties(message.avps, 0), self._sessions.get(session, "")], now_us)
        if name:
            if session:
                while len(self._sessions) >= SESSIONS_MAX:
                    del self._sessions[next(iter(self._sessions))]
                self._sessions[session] = name
            self._show("trace.request", name, peer, message)
        return name

    def answer(self, name: str, peer: str, data: bytes) -> None:
        """Show the answer to a request of a traced subscriber."""
        self._show("trace.answer", name, peer, codec.decode(data))

    def _show(self, event: str, name: str, peer: str, message: Message) -> None:
        self.show(event, name, peer=peer, message=described(message).splitlines())


def _parties(avps: tuple[Avp, ...], depth: int) -> Iterator[str]:
    """The texts that name who takes part, groups searched too; what cannot be read names nobody."""
    for one in avps:
        if one.key in _PARTIES:
            yield one.payload.decode("utf-8", "replace")
        elif depth < DEPTH_MAX and (known := DEFINITIONS.get(one.key)) is not None and known.kind == "grouped":
            try:
                inner = codec.group(one)
            except Invalid:
                continue
            yield from _parties(inner, depth + 1)
