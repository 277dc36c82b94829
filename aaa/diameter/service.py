"""
The Diameter service without sockets: requests of open connections in, answers in the order they came.

Every request gets exactly one answer.  A session belongs to its Origin-Host and Session-Id, never to a
connection, so a request that was sent again over another connection, to another node or after a restart
is answered alike.  A Session-Id that is used again begins another session under a name made of the old
one's id: the way there is in the store, and remembered here to save the detour.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.capabilities import Identity
from aaa.diameter.cca import CODE_OF, answer, of_invalid, refusal, result_of
from aaa.diameter.ccr import EVENT, INITIAL, TERMINATION, UPDATE, Ccr, Reading
from aaa.diameter.codec import ERROR, Invalid, Message
from aaa.diameter.credit_control import asked, command, host_key, identities, next_key, session_key
from aaa.diameter.links import Links
from aaa.diameter.pattern import Patterns
from aaa.diameter.plan import CONTEXTS, plan_of
from aaa.diameter.text import COMMANDS
from aaa.diameter.trace import Traces
from aaa.diameter.turns import InOrder, Link, Turn
from aaa.diameter.units import SECOND_US
from aaa.diameter.waiting import put
from aaa.engine.answers import Ack, Answer, Denial, Outcome
from aaa.engine.commands import End, Expire
from aaa.engine.commands import Identity as EngineIdentity
from aaa.engine.ports import Directory, Node, Subscriber
from aaa.engine.terms import REPLACED, Reason
from aaa.ops.histogram import Histogram

WAITING_MAX = 4_096
REUSES_MAX = 16
OTHER = "other"
LOST = "lost"  # why a session ended whose client does not know it
CREDIT_CONTROL = COMMANDS[n.CREDIT_CONTROL]
KINDS = ("", "initial", "update", "termination", "event")
NEVER_REPORTED = 1 << 32  # beyond every CC-Request-Number


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
        self.counters: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.durations: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)  # by command, request type
        self.links = Links(identity, self.counters, node.now_us())
        self.traces = Traces()
        self._patterns = Patterns()
        self._arrived: list[tuple[Sequence[bytes], Link, InOrder, int]] = []
        self._contexts = {**CONTEXTS, **(contexts or {})}
        self._on_error = on_error or _raised
        self._current: dict[str, str] = {}  # by a session's first name, the name in use
        self._states: dict[str, int] = {}  # by Origin-Host, the Origin-State-Id it told last
        self._behind: dict[str, deque[Turn]] = {}  # requests behind one whose payer is looked up
        self._settling: dict[str, int] = {}  # by Origin-Host, how often it is asked which of its sessions are lost
        self._held: dict[str, list[Turn]] = {}  # what such a client asked meanwhile

    def handle(self, messages: Sequence[bytes], link: Link, order: InOrder, now_us: int) -> None:
        """
        Take what came together on one connection; the caller calls `flush` when it has no more.

        Args:
            order: Of the answers of this connection.
        """
        self._arrived.append((messages, link, order, now_us))

    def take(self) -> None:
        """
        Decide what has arrived, before anything happens that came behind it.

        All of it is read first, and then decided: what many connections bring in one turn takes a tenth less time
        so, because the code that reads and the code that decides do not drive each other out of the caches.
        """
        if not self._arrived:
            return
        arrived, self._arrived = self._arrived, []
        read = self._patterns.read
        requests = [
            (data, read(data), link, order, now_us) for messages, link, order, now_us in arrived for data in messages
        ]
        for data, ccr, link, order, now_us in requests:
            self._handle(data, ccr, link, order, now_us)

    def _handle(self, data: bytes, ccr: Ccr | None, link: Link, order: InOrder, now_us: int) -> None:
        turn = Turn(self, link, data, now_us, order)
        order.append(turn)
        if self.traces.people.until:
            turn.traced = self.traces.request(codec.decode(data), link.origin_host, now_us)
        try:
            if ccr is None:
                self._read(turn)
            else:
                self.counters["messages", link.origin_host, CREDIT_CONTROL, "in", ""] += 1
                self._credit_control(turn, ccr)
        except Invalid as error:
            self._reply(turn, of_invalid(codec.decode(data), self.identity, error))
        except Exception as error:
            self._reply(turn, refusal(codec.decode(data), self.identity, codec.UNABLE_TO_COMPLY))
            self._on_error(error)

    def flush(self) -> None:
        """Have everything that was taken committed and answered."""
        self.take()
        self.node.flush()

    def in_state(self, origin_host: str, state_id: int) -> None:
        """
        A client told its Origin-State-Id: a higher one means that its older sessions are lost (RFC 6733 8.16).

        What it asks meanwhile waits until that is settled.
        """
        if state_id and self._states.get(origin_host) != state_id:
            put(self._states, origin_host, state_id)
            self._settling[origin_host] = self._settling.get(origin_host, 0) + 1
            self.node.restart_peer(host_key(origin_host), state_id, partial(self._settled, origin_host))

    def _settled(self, origin_host: str) -> None:
        """Which sessions of a client are lost is settled: go on with what it asked."""
        left = self._settling.pop(origin_host) - 1
        if left:
            self._settling[origin_host] = left
            return
        held = self._held.pop(origin_host, ())
        for turn in held:
            try:
                self._take(turn)
            except Exception as error:
                self._reply(turn, refusal(codec.decode(turn.request), self.identity, codec.UNABLE_TO_COMPLY))
                self._on_error(error)
        if held:
            self.node.flush()

    def joined(self, link: Link, realm: str, state_id: int) -> None:
        """A connection is open; `state_id` is the Origin-State-Id its CER told, or 0."""
        self.take()
        self.links.joined(link, realm)
        self.in_state(link.origin_host, state_id)

    def lost(self, key: str) -> None:
        """
        A client that was asked about a session answers that it knows none: it is settled at its last report.

        Nobody else will end it (RFC 6733 8.3, 8.5); a CCR-T that comes all the same charges the difference (S8).
        """
        self.take()
        self.node.submit(Expire(key, LOST), None, _nobody)

    # -- requests ---------------------------------------------------------------------------------

    def _read(self, turn: Turn) -> None:
        """
        Read a request AVP by AVP, and learn how its client writes.

        Raises:
            Invalid: The first rule broken.
        """
        message = codec.decode(turn.request)
        self.counters["messages", turn.link.origin_host, COMMANDS.get(message.command, OTHER), "in", ""] += 1
        self._checked(message)
        if message.command == n.SESSION_TERMINATION:
            self._end_session(turn, message)
            return
        reading = Reading(turn.request, message)
        self._patterns.learn(turn.request, reading)
        self._credit_control(turn, reading.ccr)

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

    def _credit_control(self, turn: Turn, ccr: Ccr) -> None:
        """Have a CCR decided; `Invalid` when it is not for this client to send."""
        if len(turn.order) > WAITING_MAX:
            raise Invalid(codec.TOO_BUSY)
        turn.ccr = ccr
        link, form = turn.link, ccr.form
        peer, kind, host = link.peer, form.kind, ccr.origin_host
        if host != link.origin_host and not peer.relay:
            if kind in (INITIAL, EVENT):
                raise Invalid(codec.INVALID_AVP_VALUE, codec.text(n.ORIGIN_HOST, host))
            raise Invalid(codec.UNKNOWN_SESSION_ID)
        if self._states.get(host) != ccr.state_id:
            self.in_state(host, ccr.state_id)
        turn.asked = asked(ccr, plan_of(ccr, peer, self._contexts))
        name = turn.name = session_key(ccr)
        if kind != EVENT:
            self.links.came(name, link, ccr.origin_realm)
        # If neither we nor the store know the session that ends, the one the request names pays.
        turn.is_report = kind == UPDATE or (kind == TERMINATION and self.node.knows((self._current.get(name, name),)))
        if self._settling and host in self._settling:
            self._held.setdefault(host, []).append(turn)  # bounded by what may wait on each connection
        else:
            self._take(turn)

    def _take(self, turn: Turn) -> None:
        """Look the payer up where one is needed; what comes for the same session meanwhile waits behind it."""
        if self._behind:
            behind = self._behind.get(turn.name)
            if behind is not None:
                behind.append(turn)
                return
        if turn.is_report:
            self._submit(turn)
            return
        self.directory.find(identities(turn.asked.ccr.identities, turn.asked.plan.numbers), turn.found)
        if not turn.is_found:
            self._behind[turn.name] = deque()

    def found(self, turn: Turn, payer: Subscriber | None) -> None:
        """The payer of a request is known, or nobody is: go on with it, and with what waited behind it."""
        turn.payer = payer
        waiting = self._behind.pop(turn.name, ()) if self._behind else ()
        self._submit(turn)
        for other in waiting:
            self._take(other)

    def _submit(self, turn: Turn) -> None:
        """Give a request to the node; its answer, or the way to another session of this name, comes back."""
        wanted, payer = turn.asked, turn.payer
        key = turn.key = self._current.get(turn.name, turn.name)
        asks = command(wanted, key, turn.since_us, payer is not None)
        if payer is None:
            self.node.submit(asks, None, turn.answered)
            return
        if wanted.ccr.form.kind == INITIAL:
            self.links.waiting.begun(key, payer.payer_id)
        self.node.submit(asks, payer.account_id, turn.answered)

    def answered(self, turn: Turn, decided: Answer) -> None:
        """The engine has decided: answer, or ask the session that its name means now."""
        wanted = turn.asked
        kind = wanted.ccr.form.kind
        if kind != EVENT:
            if isinstance(decided, Denial) and turn.reuses < REUSES_MAX and self._is_asked_elsewhere(turn, decided):
                return
            self.links.waiting.answered(turn.key, decided, kind == TERMINATION)
        try:
            data = answer(wanted, self.identity, decided)
        except Exception as error:
            data = refusal(wanted.ccr.message, self.identity, codec.UNABLE_TO_COMPLY)
            self._on_error(error)
        self._reply(turn, data)

    def _is_asked_elsewhere(self, turn: Turn, denial: Denial) -> bool:
        """Whether a request of a session that is over, or not its own, goes to another one (S7)."""
        kind, reason = turn.asked.ccr.form.kind, denial.reason
        if reason is Reason.SESSION_REPLACED:
            put(self._current, turn.name, next_key(turn.key, denial.session_id))
            self._once_more(turn)
            return True
        if kind == TERMINATION and turn.payer is not None and reason is Reason.FOREIGN_SESSION:
            turn.payer = None  # it names another payer than the one who began: the session's own pays
            self._once_more(turn)
            return True
        if kind == INITIAL and reason in (Reason.SESSION_REUSED, Reason.FOREIGN_SESSION):
            self.node.submit(Expire(turn.key, REPLACED), None, partial(self._replaced, turn))
            self.node.flush()
            return True
        return False

    def _replaced(self, turn: Turn, decided: Answer) -> None:
        """The old session of a name is over: begin the next one."""
        if isinstance(decided, Ack):
            put(self._current, turn.name, next_key(turn.key, decided.session_id))
        self._once_more(turn)

    def _once_more(self, turn: Turn) -> None:
        turn.reuses += 1
        self._submit(turn)
        self.node.flush()

    def _end_session(self, turn: Turn, message: Message) -> None:
        """
        Settle a session its client gave up without a last report (STR, RFC 6733 8.4.1).

        Raises:
            Invalid: What every such request must have is missing, or it is not for this client.
        """
        if len(turn.order) > WAITING_MAX:
            raise Invalid(codec.TOO_BUSY)
        for code in (n.SESSION_ID, n.ORIGIN_HOST):
            if message.first(code) is None:
                raise codec.missing(code)
        host, session_id = message.text(n.ORIGIN_HOST).lower(), message.text(n.SESSION_ID)
        if host != turn.link.origin_host and not turn.link.peer.relay:
            raise Invalid(codec.UNKNOWN_SESSION_ID)
        name = f"{host_key(host)}|{session_id}"
        identity = EngineIdentity("str", "", NEVER_REPORTED)
        self.node.submit(End(self._current.get(name, name), identity, (), host), None, partial(self._ended, turn))

    def _ended(self, turn: Turn, decided: Answer) -> None:
        """Answer an STR."""
        code = codec.SUCCESS
        if isinstance(decided, Denial):
            code = CODE_OF[decided.reason]
        elif isinstance(decided, Ack) and decided.outcome not in (Outcome.DONE, Outcome.REPEAT):
            code = codec.UNKNOWN_SESSION_ID
        self._reply(turn, refusal(codec.decode(turn.request), self.identity, code))

    # -- counting ---------------------------------------------------------------------------------

    def _reply(self, turn: Turn, data: bytes) -> None:
        """Count an answer and send it when its turn has come."""
        host, ccr = turn.link.origin_host, turn.ccr
        kind = KINDS[ccr.form.kind] if ccr is not None else ""
        name = CREDIT_CONTROL if ccr is not None else COMMANDS.get(int.from_bytes(data[5:8], "big"), OTHER)
        self.counters["messages", host, name, "out", result_of(data)] += 1
        self.durations[name, kind].observe((self.node.now_us() - turn.since_us) / SECOND_US)
        if turn.traced:
            self.traces.answer(turn.traced, host, data)
        turn.fill(data)


def _nobody(_decided: Answer) -> None:
    """Nobody waits for this answer."""


def _raised(error: Exception) -> None:
    """Nobody wants to know: let it be seen where it happened."""
    raise error
