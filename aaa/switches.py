"""
Reaching the switch of a session from whichever process can: end it, or let it ask anew.

The process that took the order is often not the one that serves the switch.  A Diameter client is reached over
its connection, which one process holds; a RADIUS client by Disconnect and CoA from the node that began the
session, which it knows, else from any.  What is ordered here is durable already: if nobody is reached, the next
report of the session is refused, and its deadline settles it (S8).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any
from uuid import uuid4

from aaa.bus.hub import Hub, Message
from aaa.diameter.server import DiameterServer
from aaa.engine.model import Session
from aaa.engine.terms import LIVE
from aaa.node.node import SESSION_BITS, ChargingNode
from aaa.radius.server import RadiusServer

TAKEN_WITHIN_S = 0.5
REMEMBERED_MAX = 10_000
EXTENDED_MOST = 1_000  # sessions of one account that are told of new money at once


class Switches:
    """
    Orders to switches.

    Args:
        number: This start's node number: the upper bits of the ids of the sessions it began.
        radius, diameter: The faces of this process, None where it has none.
    """

    def __init__(
        self,
        node: ChargingNode,
        hub: Hub,
        reactor: Any,
        number: int,
        radius: RadiusServer | None,
        diameter: DiameterServer | None,
    ) -> None:
        self.counters: Counter[tuple[str, str]] = Counter()
        self._node = node
        self._hub = hub
        self._reactor = reactor
        self._number = number
        self._radius = radius
        self._diameter = diameter
        self._waiting: OrderedDict[str, Message] = OrderedDict()
        hub.handle("end", self._asked_to_end)
        hub.handle("taken", self._taken)
        hub.handle("leave", lambda message: self._leave_here(str(message["host"])))
        hub.handle("extend", lambda message: self._extend_here(int(message["account"])))

    def end(self, session: Session) -> None:
        """Have the client of a session end it."""
        head = session.head
        order: Message = {
            "id": uuid4().hex,
            "protocol": head.protocol,
            "key": head.key,
            "aliases": list(session.aliases),
            "subscriber": head.subscriber,
            "born": head.id >> SESSION_BITS,
        }
        if self._end_here(order, False):
            return
        if self._hub.publish("end", **order):
            if len(self._waiting) >= REMEMBERED_MAX:
                self._waiting.popitem(last=False)
            self._waiting[order["id"]] = order
            self._reactor.callLater(TAKEN_WITHIN_S, self._nobody_took, order["id"])
        else:
            self._last_resort(order)

    def leave(self, origin_host: str) -> None:
        """End the connections of a Diameter peer, wherever they are."""
        self._hub.publish("leave", host=origin_host)
        self._leave_here(origin_host)

    def _leave_here(self, origin_host: str) -> None:
        if self._diameter is not None:
            self.counters["left", "diameter"] += self._diameter.disconnect(origin_host)

    def extend(self, account_id: int) -> None:
        """An account got money: have its running sessions ask anew, or be told, wherever they run."""
        self._hub.publish("extend", account=account_id)
        self._extend_here(account_id)

    # -- ending -----------------------------------------------------------------------------------

    def _asked_to_end(self, message: Message) -> None:
        if self._end_here(message, bool(message.get("anyone"))):
            self._hub.publish("taken", id=message["id"])

    def _end_here(self, order: Message, by_anyone: bool) -> bool:
        """End it if this process is the one to do it."""
        if order["protocol"] == "diameter":
            is_done = self._diameter is not None and self._diameter.abort(order["key"])
        else:
            is_ours = order["born"] == self._number or by_anyone
            is_done = self._radius is not None and is_ours
            if self._radius is not None and is_ours:
                aliases, subscriber = tuple(order["aliases"]), order["subscriber"]
                self._radius.disconnect(order["key"], aliases, subscriber, lambda result: None)
        if is_done:
            self.counters["ended", order["protocol"]] += 1
        return is_done

    def _taken(self, message: Message) -> None:
        self._waiting.pop(message["id"], None)

    def _nobody_took(self, number: str) -> None:
        order = self._waiting.pop(number, None)
        if order is not None:
            self._last_resort(order)

    def _last_resort(self, order: Message) -> None:
        """The node that knew the session is gone: any other may ask a RADIUS client."""
        if self._end_here(order, True):
            return
        if order["protocol"] == "diameter" or not self._hub.publish("end", most=1, **{**order, "anyone": True}):
            self.counters["unreachable", order["protocol"]] += 1

    # -- extending --------------------------------------------------------------------------------

    def _extend_here(self, account_id: int) -> None:
        """Have the sessions that were told here, or are cached here, ask again; the others do when they next report."""
        asked = self._diameter.replenished(account_id) if self._diameter is not None else []
        if asked:
            self.counters["extended", "diameter"] += len(asked)
        cache = self._node.cache
        paid = [cache.accounts.get(number) for number in (account_id, *cache.members(account_id))]
        known = [cache.sessions.get(number) for cached in paid if cached is not None for number in cached.sessions]
        running = [session for session in known if session is not None and session.state in LIVE and not session.cause]
        for session in running[:EXTENDED_MOST]:
            if session.head.key in asked:
                continue
            if session.head.protocol == "diameter":
                ended = {line.head.key.rating_group for line in session.lines if line.is_final}
                is_told = (  # those that are not final ask again by themselves
                    self._diameter is not None and bool(ended) and self._diameter.reauthorize(session.head.key, ended)
                )
            else:
                is_told = self._radius is not None and self._radius.extend(session)
            if is_told:
                self.counters["extended", session.head.protocol] += 1
        self._node.flush()
