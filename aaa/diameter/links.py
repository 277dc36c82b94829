"""
The way back to clients: over which connection a session's client is asked something, and what was asked.

Server-initiated requests go to the session's Origin-Host over the connection its last request came by, which may
lead through relays, else over one of that host's own (RFC 6733 6.1.9, 8.5).  What is not answered there goes
over another connection, marked as retransmitted (RFC 6733 5.5.4): of the same neighbour, of the session's host itself,
or of another relay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ask import Ask, end_to_end_numbers
from aaa.diameter.capabilities import Identity
from aaa.diameter.credit_control import session_of
from aaa.diameter.text import COMMANDS
from aaa.diameter.turns import Link
from aaa.diameter.waiting import Waiting, put

TRIES_MAX = 3
"""Over so many connections a request of ours is sent; then the session's Validity-Time or deadline has to do."""


class Way:
    """A connection that sessions came by, until it is gone: each of them finds that out when it is asked."""

    __slots__ = ("link", "neighbour")

    def __init__(self, link: Link) -> None:
        self.link: Link | None = link
        self.neighbour = link.origin_host


class Links:
    """
    Open connections by host and by session.

    Args:
        counters: Counts what is asked.
        now_us: When this process began, for the identifiers of its requests.
    """

    def __init__(self, identity: Identity, counters: defaultdict[tuple[str, ...], int], now_us: int) -> None:
        self._identity = identity
        self._counters = counters
        self._sessions: dict[str, tuple[Way, str]] = {}  # by a session's first name, the way to its client, its realm
        self._ways: dict[Link, Way] = {}
        self._hosts: dict[str, dict[Link, str]] = {}  # by Origin-Host, its open connections with their realm
        self._next_end_to_end = end_to_end_numbers(now_us)
        self.waiting = Waiting()

    def joined(self, link: Link, realm: str) -> None:
        """A connection is open."""
        self._hosts.setdefault(link.origin_host, {})[link] = realm

    def forget(self, link: Link) -> None:
        """A connection is gone; its sessions are asked over another one of the same neighbour, if there is any."""
        links = self._hosts.get(link.origin_host, {})
        links.pop(link, None)
        if not links:
            self._hosts.pop(link.origin_host, None)
        way = self._ways.pop(link, None)
        if way is not None:
            way.link = None

    def came(self, name: str, link: Link, realm: str) -> None:
        """A request of a session came over this connection."""
        way = self._ways.get(link)
        if way is None:
            way = self._ways[link] = Way(link)
        known = self._sessions.get(name)
        if known is None or known[0] is not way:
            put(self._sessions, name, (way, realm))

    def abort(self, key: str) -> bool:
        """
        Ask the client of a session to end it (RFC 6733 8.5.1); its CCR-T or its deadline settles it.

        Returns:
            Whether there was a connection to ask over.
        """
        return self._ask(key, n.ABORT_SESSION, b"")

    def reauthorize(self, key: str, ended: Collection[int | None] = ()) -> bool:
        """
        Ask the client of a session to report and ask anew (RFC 8506 5.5): money or prices changed.

        Args:
            ended: The rating groups that want for it; a single one is named, else the whole session is asked.
        """
        extra = codec.u32(n.RE_AUTH_REQUEST_TYPE, 0)
        group = next(iter(ended)) if len(ended) == 1 else None
        if group is not None:
            extra += codec.u32(n.RATING_GROUP, group)
        return self._ask(key, n.RE_AUTH, extra)

    def replenished(self, account_id: int) -> list[str]:
        """An account got money: ask the clients of its sessions that were told of the end; returns whom."""
        return [key for key, ended in self.waiting.take(account_id) if self.reauthorize(key, ended)]

    def unanswered(self, ask: Ask, link: Link) -> bool:
        """
        Send a request that got no answer over another connection, if it was not sent over too many.

        Returns:
            Whether it was.
        """
        tried = (*ask.tried, link)
        if len(tried) >= TRIES_MAX:
            return False
        again = ask._replace(tried=tried)
        return any(other not in tried and self._send(other, again) for other in self._others(ask, link))

    def _others(self, ask: Ask, link: Link) -> Iterator[Link]:
        """Other ways to the client of a session, the likeliest first."""
        yield from list(self._hosts.get(link.origin_host, ()))
        yield from list(self._hosts.get(session_of(ask.about)[0], ()))
        for host, links in list(self._hosts.items()):
            if host != link.origin_host:
                yield from [other for other in links if other.peer.relay]

    def _ask(self, key: str, number: int, extra: bytes) -> bool:
        host, session_id, part = session_of(key)
        known = self._sessions.get(_first_name(key, part))
        link, realm = (None, "") if known is None else (self._through(known[0]), known[1])
        if link is None:
            direct = self._hosts.get(host)
            if not direct:
                return False
            link, realm = next(reversed(direct.items()))
        if part is not None:
            extra += codec.u64(n.CC_SUB_SESSION_ID, part)
        body = (
            codec.text(n.SESSION_ID, session_id),
            self._identity.avps(),
            codec.text(n.DESTINATION_REALM, realm),
            codec.text(n.DESTINATION_HOST, host),
            codec.u32(n.AUTH_APPLICATION_ID, n.APPLICATION_CREDIT_CONTROL),
            extra,
        )
        return self._send(link, Ask(number, b"".join(body), key, self._next_end_to_end()))

    def _through(self, way: Way) -> Link | None:
        """The connection of a way, or another one of the same neighbour."""
        if way.link is not None:
            return way.link
        others = self._hosts.get(way.neighbour)
        return next(reversed(others)) if others else None

    def _send(self, link: Link, ask: Ask) -> bool:
        if not link.request(ask):
            return False
        self._counters["messages", link.origin_host, COMMANDS[ask.command], "out", ""] += 1
        return True


def _first_name(key: str, part: int | None) -> str:
    """The name a session began under before it was used again."""
    mark = f"|~s{part}" if part is not None else ""
    return key.partition("|~")[0] + mark
