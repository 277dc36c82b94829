"""
The Diameter service without sockets: requests of open connections in, answers in the order they came.

Every request gets exactly one answer.  A session belongs to its Origin-Host and Session-Id, never to a
connection, so a request that was sent again over another connection, to another node or after a restart
is answered alike.  A Session-Id that is used again begins another session under a name made of the old
one's id: the way there is in the store, and remembered here to save the detour.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.cca import CODE_OF, Asked, answer, of_invalid, refusal, result_of
from aaa.diameter.ccr import EVENT, INITIAL, TERMINATION, Ccr, read
from aaa.diameter.codec import ERROR, Invalid, Message
from aaa.diameter.credit_control import (
    CONTEXTS,
    asked,
    command,
    host_key,
    identities,
    next_key,
    service_of,
    session_key,
    session_of,
)
from aaa.diameter.peer import Identity
from aaa.diameter.peers import Peer
from aaa.diameter.text import COMMANDS
from aaa.diameter.trace import Traces
from aaa.diameter.units import SECOND_US
from aaa.diameter.waiting import Waiting, put
from aaa.engine.answers import Ack, Answer, Denial, Outcome
from aaa.engine.commands import End, Expire
from aaa.engine.commands import Identity as EngineIdentity
from aaa.engine.ports import Directory, Node, Subscriber
from aaa.engine.terms import REPLACED, Reason
from aaa.ops.histogram import Histogram

WAITING_MAX = 4_096
REUSES_MAX = 16
OTHER = "other"
KINDS = {b"\0\0\0\1": "initial", b"\0\0\0\2": "update", b"\0\0\0\3": "termination", b"\0\0\0\4": "event"}
NEVER_REPORTED = 1 << 32  # beyond every CC-Request-Number

Reply = Callable[[bytes], None]


class Link(Protocol):
    """An open connection, as far as the service needs it."""

    @property
    def peer(self) -> Peer: ...

    @property
    def origin_host(self) -> str: ...

    def request(self, command: int, body: bytes) -> bool: ...


class InOrder:
    """Answers of one connection, given out in the order of their requests."""

    def __init__(self, send: Reply) -> None:
        self._send = send
        self._slots: deque[list[bytes]] = deque()

    def __len__(self) -> int:
        return len(self._slots)

    def slot(self) -> Reply:
        """A place in the order; what it is called with is sent once everything before it was."""
        place: list[bytes] = []
        self._slots.append(place)

        def fill(data: bytes) -> None:
            place.append(data)
            while self._slots and self._slots[0]:
                self._send(self._slots.popleft()[0])

        return fill


class DiameterService:
    """
    Everything of the Diameter face but the connections.

    Args:
        contexts: Services by Service-Context-Id, beside those of 3GPP.
        on_error: Told of an exception that one request led to: a bug, which must not end the service.
    """

    def __init__(
        self,
        node: Node,
        directory: Directory,
        identity: Identity,
        contexts: Mapping[str, str] | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.node = node
        self.directory = directory
        self.identity = identity
        self.counters: Counter[tuple[str, ...]] = Counter()
        self.durations: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)  # by command, request type
        self._contexts = {**CONTEXTS, **(contexts or {})}
        self._on_error = on_error or _raised
        self._current: dict[str, str] = {}  # by a session's first name, the name in use
        self._links: dict[str, tuple[Link, str]] = {}  # by a session's first name, the way to its client
        self._hosts: dict[str, tuple[Link, str]] = {}  # by Origin-Host, an open connection to it and its realm
        self._waiting = Waiting()
        self.traces = Traces(_unseen)
        self._states: dict[str, int] = {}  # by Origin-Host, the Origin-State-Id it told last
        self._behind: dict[str, deque[Callable[[], None]]] = {}  # requests behind one whose payer is looked up

    def handle(self, message: Message, link: Link, waiting: int, reply: Reply) -> None:
        """
        Take one request; the caller calls `flush` when it has no more.

        Args:
            waiting: Requests of this connection that are not answered yet.
            reply: Gets the answer, now or after a commit.
        """
        host = link.origin_host
        self.counters["messages", host, COMMANDS.get(message.command, OTHER), "in", ""] += 1
        now_us = self.node.now_us()
        traced = self.traces.request(message, host, now_us) if self.traces else ""
        counted = partial(self._reply, host, message, now_us, traced, reply)
        try:
            self._checked(message)
            if waiting > WAITING_MAX:
                raise Invalid(codec.TOO_BUSY)
            if message.command == n.SESSION_TERMINATION:
                self._end_session(message, link, counted)
            else:
                self._credit_control(read(message), link, counted)
        except Invalid as error:
            counted(of_invalid(message, self.identity, error))
        except Exception as error:
            counted(refusal(message, self.identity, codec.UNABLE_TO_COMPLY))
            self._on_error(error)

    def flush(self) -> None:
        """Have everything that was taken committed and answered."""
        self.node.flush()

    def in_state(self, origin_host: str, state_id: int) -> None:
        """A client told its Origin-State-Id: a higher one means that its older sessions are lost (RFC 6733 8.16)."""
        if state_id and self._states.get(origin_host) != state_id:
            put(self._states, origin_host, state_id)
            self.node.restart_peer(host_key(origin_host), state_id)

    def abort(self, key: str) -> bool:
        """
        Ask the client of a session to end it (RFC 6733 8.5.1); its CCR-T or its deadline settles it.

        Returns:
            Whether there was a connection to ask over.
        """
        return self._ask(key, n.ABORT_SESSION, b"")

    def reauthorize(self, key: str) -> bool:
        """Ask the client of a session to report and ask anew (RFC 8506 5.5): money or prices changed."""
        return self._ask(key, n.RE_AUTH, codec.u32(n.RE_AUTH_REQUEST_TYPE, 0))

    def replenished(self, account_id: int) -> list[str]:
        """An account got money: ask the clients of its sessions that were told of the end; returns whom."""
        return [key for key in self._waiting.take(account_id) if self.reauthorize(key)]

    def joined(self, link: Link, realm: str, state_id: int) -> None:
        """A connection is open; `state_id` is the Origin-State-Id its CER told, or 0."""
        put(self._hosts, link.origin_host, (link, realm))
        self.in_state(link.origin_host, state_id)

    def forget(self, link: Link) -> None:
        """A connection is gone."""
        if self._hosts.get(link.origin_host, (None,))[0] is link:
            del self._hosts[link.origin_host]
        self._links = {name: known for name, known in self._links.items() if known[0] is not link}

    # -- requests ---------------------------------------------------------------------------------

    def _checked(self, message: Message) -> None:
        """
        Whether a request is sound and for us (DIGEST section 3, first match wins).

        Raises:
            Invalid: With the code of the answer.
        """
        if message.flags & ERROR:
            raise Invalid(codec.INVALID_HEADER_BITS)
        if message.problem is not None:
            raise message.problem
        if message.application != n.APPLICATION_CREDIT_CONTROL:
            raise Invalid(codec.APPLICATION_UNSUPPORTED if message.application else codec.COMMAND_UNSUPPORTED)
        if message.command not in (n.CREDIT_CONTROL, n.SESSION_TERMINATION):
            raise Invalid(codec.COMMAND_UNSUPPORTED)
        our_host, our_realm = self.identity.origin_host.lower(), self.identity.origin_realm.lower()
        for one in message.avps:
            if one.key == n.ROUTE_RECORD and one.payload.decode("utf-8", "replace").lower() == our_host:
                raise Invalid(codec.LOOP_DETECTED)
        realm = message.first(n.DESTINATION_REALM)
        if realm is not None and message.text(n.DESTINATION_REALM).lower() != our_realm:
            raise Invalid(codec.REALM_NOT_SERVED)
        if message.first(n.DESTINATION_HOST) is not None and message.text(n.DESTINATION_HOST).lower() != our_host:
            raise Invalid(codec.UNABLE_TO_DELIVER)

    def _credit_control(self, ccr: Ccr, link: Link, reply: Reply) -> None:
        peer = link.peer
        if ccr.origin_host != link.origin_host and not peer.relay:
            if ccr.kind in (INITIAL, EVENT):
                raise Invalid(codec.INVALID_AVP_VALUE, codec.text(n.ORIGIN_HOST, ccr.origin_host))
            raise Invalid(codec.UNKNOWN_SESSION_ID)
        self.in_state(ccr.origin_host, ccr.state_id)
        service = service_of(ccr.context, self._contexts)
        if service is None:
            raise Invalid(codec.RATING_FAILED, codec.text(n.SERVICE_CONTEXT_ID, ccr.context))
        wanted = asked(ccr, peer, service)
        name = session_key(ccr)
        run = partial(self._submit, wanted, peer, service, name, reply)
        if ccr.kind != EVENT:
            put(self._links, name, (link, ccr.origin_realm))
        is_report = ccr.kind not in (INITIAL, EVENT)
        if ccr.kind == TERMINATION and not self.node.knows((self._current.get(name, name),)):
            is_report = False  # if the store knows no such session either, the one it names pays
        if is_report:
            behind = self._behind.get(name)
            if behind is not None:
                behind.append(partial(run, None))
            else:
                run(None)
            return
        self._find_payer(name, identities(ccr, peer.numbers), run)

    def _end_session(self, message: Message, link: Link, reply: Reply) -> None:
        """
        Settle a session its client gave up without a last report (STR, RFC 6733 8.4.1).

        Raises:
            Invalid: What every such request must have is missing, or it is not for this client.
        """
        for code in (n.SESSION_ID, n.ORIGIN_HOST):
            if message.first(code) is None:
                raise codec.missing(code)
        host, session_id = message.text(n.ORIGIN_HOST).lower(), message.text(n.SESSION_ID)
        if host != link.origin_host and not link.peer.relay:
            raise Invalid(codec.UNKNOWN_SESSION_ID)
        name = f"{host_key(host)}|{session_id}"

        def ended(decided: Answer) -> None:
            code = codec.SUCCESS
            if isinstance(decided, Denial):
                code = CODE_OF[decided.reason]
            elif isinstance(decided, Ack) and decided.outcome not in (Outcome.DONE, Outcome.REPEAT):
                code = codec.UNKNOWN_SESSION_ID
            reply(refusal(message, self.identity, code))

        identity = EngineIdentity("str", "", NEVER_REPORTED)
        self.node.submit(End(self._current.get(name, name), identity, (), host), None, ended)

    def _find_payer(self, name: str, sought: list[tuple[str, str]], run: Callable[[Subscriber | None], None]) -> None:
        """Look the payer up; what comes for the same session meanwhile waits behind it."""
        behind = self._behind.get(name)
        if behind is not None:
            behind.append(partial(self._find_payer, name, sought, run))
            return
        self._behind[name] = deque()

        def found(payer: Subscriber | None) -> None:
            run(payer)
            waiting = self._behind.pop(name)
            for work in waiting:
                work()

        self.directory.find(sought, found)

    def _submit(
        self,
        wanted: Asked,
        peer: Peer,
        service: str,
        name: str,
        reply: Reply,
        payer: Subscriber | None,
        reuses: int = 0,
    ) -> None:
        """Give a request to the node; its answer, or the way to another session of this name, comes back."""
        key = self._current.get(name, name)
        try:
            asks = command(wanted, peer, service, key, self.node.now_us(), payer is not None)
        except Invalid as error:
            reply(of_invalid(wanted.ccr.message, self.identity, error))
            return
        again = partial(self._submit, wanted, peer, service, name, reply, payer, reuses + 1)

        def answered(decided: Answer) -> None:
            if isinstance(decided, Denial) and wanted.ccr.kind != EVENT and reuses < REUSES_MAX:
                if decided.reason is Reason.SESSION_REPLACED:
                    put(self._current, name, next_key(key, decided.session_id))
                    self._once_more(again)
                    return
                if wanted.ccr.kind == TERMINATION and payer is not None and decided.reason is Reason.FOREIGN_SESSION:
                    # It names another payer than the one who began: the session's own pays.
                    self._submit(wanted, peer, service, name, reply, None, reuses + 1)
                    self.node.flush()
                    return
                is_new = decided.reason in (Reason.SESSION_REUSED, Reason.FOREIGN_SESSION)
                if is_new and wanted.ccr.kind == INITIAL:
                    self.node.submit(Expire(key, REPLACED), None, partial(self._replaced, name, key, again))
                    self.node.flush()
                    return
            if wanted.ccr.kind != EVENT:
                self._waiting.answered(key, decided, wanted.ccr.kind == TERMINATION)
            self._decided(wanted, decided, reply)

        if wanted.ccr.kind == INITIAL and payer is not None:
            self._waiting.begun(key, payer.account_id)
        self.node.submit(asks, payer.account_id if payer is not None else None, answered)

    def _replaced(self, name: str, key: str, again: Callable[[], None], decided: Answer) -> None:
        """The old session of a name is over: begin the next one."""
        if isinstance(decided, Ack):
            put(self._current, name, next_key(key, decided.session_id))
        self._once_more(again)

    def _once_more(self, again: Callable[[], None]) -> None:
        again()
        self.node.flush()

    def _decided(self, wanted: Asked, decided: Answer, reply: Reply) -> None:
        try:
            reply(answer(wanted, self.identity, decided))
        except Exception as error:
            reply(refusal(wanted.ccr.message, self.identity, codec.UNABLE_TO_COMPLY))
            self._on_error(error)

    def _reply(self, host: str, message: Message, since_us: int, traced: str, reply: Reply, data: bytes) -> None:
        name = COMMANDS.get(message.command, OTHER)
        self.counters["messages", host, name, "out", str(result_of(data))] += 1
        kind = message.first(n.CC_REQUEST_TYPE)
        took_s = (self.node.now_us() - since_us) / SECOND_US
        self.durations[name, KINDS.get(kind.payload, OTHER) if kind else ""].observe(took_s)
        if traced:
            self.traces.answer(traced, host, data)
        reply(data)

    # -- requests of ours -------------------------------------------------------------------------

    def _ask(self, key: str, number: int, extra: bytes) -> bool:
        host, session_id, part = session_of(key)
        # The way its last request came, which may lead through relays; else straight to its host.
        known = self._links.get(_first_name(key, part)) or self._hosts.get(host)
        if known is None:
            return False
        if part is not None:
            extra += codec.u64(n.CC_SUB_SESSION_ID, part)
        link, realm = known
        body = (
            codec.text(n.SESSION_ID, session_id),
            self.identity.avps(),
            codec.text(n.DESTINATION_REALM, realm),
            codec.text(n.DESTINATION_HOST, host),
            codec.u32(n.AUTH_APPLICATION_ID, n.APPLICATION_CREDIT_CONTROL),
            extra,
        )
        self.counters["messages", link.origin_host, COMMANDS[number], "out", ""] += 1
        return link.request(number, b"".join(body))


def _unseen(_event: str, **_fields: object) -> None:
    """Nobody looks at traces."""


def _first_name(key: str, part: int | None) -> str:
    """The name a session began under before it was used again."""
    mark = f"|~s{part}" if part is not None else ""
    return key.partition("|~")[0] + mark


def _raised(error: Exception) -> None:
    """Nobody wants to know: let it be seen where it happened."""
    raise error
