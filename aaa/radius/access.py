"""
Access-Requests: who asks, may they, and what can be granted (RADIUS.md).

The order is fixed: emergency calls before anything is looked up (S21); then the payer; then the proof;
then the engine, whose answer becomes an Accept, a Reject, or by policy silence.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aaa.engine.answers import Ack, Answer, Denial, Grant, LineGrant
from aaa.engine.commands import Action, Event, Identity
from aaa.engine.ports import Subscriber
from aaa.engine.terms import Reason
from aaa.node.refusals import Refusal
from aaa.radius import attributes as a
from aaa.radius import digest as sip_digest
from aaa.radius.auth import ACCEPTED, Outcome, Verdict, rejected
from aaa.radius.packet import ACCESS_ACCEPT, ACCESS_CHALLENGE, ACCESS_REJECT
from aaa.radius.profiles import access, answers
from aaa.radius.profiles.access import Ask
from aaa.radius.request import Request
from aaa.radius.tickets import Ticket

if TYPE_CHECKING:
    from aaa.radius.service import RadiusService

_SINGLE = (a.USER_NAME, a.STATE, a.ACCT_SESSION_ID, a.CALLED_STATION_ID, a.CALLING_STATION_ID)


class AccessFlow:
    """Serves Access-Requests."""

    def __init__(self, service: RadiusService) -> None:
        self._service = service
        self._keys = service.keys

    def serve(self, request: Request) -> None:
        """Take one Access-Request; it ends in an answer or is dropped."""
        service = self._service
        nas = request.nas
        attributes = request.packet.attributes
        service.counters["requests", nas.name, "access"] += 1
        if request.packet.repeats and any(isinstance(attributes.get(code), list) for code in _SINGLE):
            self._reject(request, rejected("repeated_attribute"))
            return
        state = a.first(attributes, a.STATE)
        ticket = service.tickets.open_state(nas.name, state) if state else None
        ask = access.read(nas, attributes, request.packet.authenticator)
        if nas.emergency and not ask.only_authenticates and not nas.emergency.isdisjoint(ask.called):
            self._begin(request, ask, ticket, None, ACCEPTED, is_emergency=True)
            return
        if ticket is None and a.number(attributes, a.SERVICE_TYPE) == a.AUTHORIZE_ONLY:
            self._reject(request, rejected("authorize_only"))  # RFC 5080 2.1.1
            return
        if a.DIGEST_METHOD in attributes:
            digest = sip_digest.read(attributes)
            if digest is not None and digest.asks_for_nonce:
                verdict = service.authenticator.challenge(nas, attributes, digest, request.now_us, is_stale=False)
                self._decided(request, ask, ticket, None, verdict)
                return
        identities = request.identities()
        if not identities:
            self._found(request, ask, ticket, None)
            return
        if nas.profile.takes_pins:
            identities = self._with_pins(identities)
        service.directory.find(identities, partial(self._found, request, ask, ticket))

    def _with_pins(self, identities: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """PINs are stored by their keyed hashes alone (S24)."""
        found = [identity for identity in identities if identity[0] != "pin"]
        for kind, value in identities:
            if kind == "pin":
                found.extend(("pin", hashed) for hashed in self._keys.fingerprints("pin", value))
        return found

    def _found(self, request: Request, ask: Ask, ticket: Ticket | None, subscriber: Subscriber | None) -> None:
        """Go on with the payer, or with nobody known by that name."""
        service = self._service
        attributes = request.packet.attributes
        if service.authenticator.has_proof(attributes):
            decided = partial(self._decided, request, ask, ticket, subscriber)
            service.authenticator.verify(
                request.nas, request.packet, request.secret, subscriber, request.now_us, decided
            )
            return
        self._decided(request, ask, ticket, subscriber, self._without_proof(request, ticket, subscriber))

    def _without_proof(self, request: Request, ticket: Ticket | None, subscriber: Subscriber | None) -> Verdict:
        """
        Decide on a request that proves nothing: a renewal by State, a trusted client, or a caller's number.

        State was handed to this client with a grant and carries our MAC.  Call-Check (RFC 2865 5.6) is
        authorized by the calling number, where the client's numbers are trusted, and only signed.
        """
        nas = request.nas
        if ticket is not None:
            return ACCEPTED
        if subscriber is None:
            return rejected("unknown_subscriber")
        if nas.authorize_without_credentials:
            return ACCEPTED
        if a.number(request.packet.attributes, a.SERVICE_TYPE) == a.CALL_CHECK and nas.trust_calling_station_id:
            return ACCEPTED if request.packet.signature_at else rejected("unsigned_call_check")
        return rejected("no_proof")

    def _decided(
        self, request: Request, ask: Ask, ticket: Ticket | None, subscriber: Subscriber | None, verdict: Verdict
    ) -> None:
        """Go on after the proof."""
        if verdict.secret is not None:
            request.secret = verdict.secret
        if verdict.outcome is Outcome.CHALLENGED:
            self._service.answer(request, ACCESS_CHALLENGE, verdict.body, verdict.reason)
        elif verdict.outcome is Outcome.OVERLOADED:
            self._service.drop(request, verdict.reason)
        elif verdict.outcome is Outcome.REJECTED:
            self._reject(request, verdict)
        elif not ask.only_authenticates:
            self._begin(request, ask, ticket, subscriber, verdict)
        elif request.nas.profile.shows_balance and subscriber is not None:
            self._tell_balance(request, subscriber, verdict)
        else:
            payer = subscriber.value if subscriber else ""
            body = verdict.body + answers.authenticated(request.nas.profile, payer)
            self._service.answer(request, ACCESS_ACCEPT, body, "authenticated")

    # -- asking the engine ------------------------------------------------------------------------

    def _begin(
        self,
        request: Request,
        ask: Ask,
        ticket: Ticket | None,
        subscriber: Subscriber | None,
        verdict: Verdict,
        is_emergency: bool = False,
    ) -> None:
        """Ask for service; who holds a State asks for the session it names."""
        node = self._service.node
        nas = request.nas
        identity = request.nas_identity()
        prefix = f"{nas.name}|{identity}|{node.epoch(f'{nas.name}|{identity}')}|"
        if ask.names:
            keys = tuple([prefix + name for name in ask.names])
        else:
            keys = (f"{prefix}a:{request.packet.authenticator.hex()}",)
        asked_as = Identity(ask.number, ask.digest)
        if ticket is not None:
            keys = (*keys, f"#{ticket.session_id}")
            asked_as = Identity(f"g{ticket.grant}")
        command = access.begin(ask, nas, keys, asked_as, subscriber.value if subscriber else "")
        if nas.refill == "interim":
            command = replace(command, policy=self._service.limits.policy(nas))
        if is_emergency:
            command = replace(command, emergency=True)
        account_id = subscriber.account_id if subscriber else None
        node.submit(command, account_id, partial(self._answered, request, ask, verdict.body, subscriber))

    def _answered(
        self, request: Request, ask: Ask, proof: bytes, subscriber: Subscriber | None, answer: Answer
    ) -> None:
        """Turn the engine's answer into a packet."""
        if not isinstance(answer, Grant):
            self._refuse(request, answer if isinstance(answer, Denial) else Denial(Reason.CONFLICT))
            return
        if answer.number > 1 and ask.number[0] == "d":
            # Another INVITE under the Call-ID of a running call: it would ride on that call's hold.
            self._refuse(request, Denial(Reason.NOT_ALLOWED))
            return
        nas = request.nas
        handed = (b"", b"")
        if nas.profile.takes is None and answer.session_id:
            tickets = self._service.tickets
            handed = (
                tickets.class_for(nas.name, answer.session_id),
                tickets.state_for(nas.name, answer.session_id, answer.number) if nas.refill == "reauth" else b"",
            )
        body = answers.granted(nas, answer, handed)
        if body is None:
            reasons = [line.reason for line in answer.lines if not isinstance(line, LineGrant)]
            denial = Denial(reasons[0] if reasons else Reason.NO_CREDIT, "", answer.session_id)
            self._refuse(request, denial)
            return
        if subscriber is not None:
            body += answers.authenticated(nas.profile, subscriber.value)
        self._service.answer(request, ACCESS_ACCEPT, proof + body, "granted")

    def _tell_balance(self, request: Request, subscriber: Subscriber, verdict: Verdict) -> None:
        """Answer a request that only authenticates with the balance (debit card, first request)."""
        command = Event(
            key=f"{request.nas.name}|balance|{request.packet.authenticator.hex()}",
            identity=Identity("b"),
            action=Action.CHECK_BALANCE,
            lines=(),
            origin=request.nas.name,
            protocol="radius",
            subscriber=subscriber.value,
        )
        told = partial(self._balance_told, request, verdict.body)
        self._service.node.submit(command, subscriber.account_id, told)

    def _balance_told(self, request: Request, proof: bytes, answer: Answer) -> None:
        if isinstance(answer, Denial):
            self._refuse(request, answer)
            return
        shown_micro = answer.balance_micro if isinstance(answer, Ack) else answer.shown_micro
        body = answers.shown(request.nas.profile, shown_micro, answer.currency)
        self._service.answer(request, ACCESS_ACCEPT, proof + body, "authenticated")

    # -- refusing ---------------------------------------------------------------------------------

    def _refuse(self, request: Request, denial: Denial) -> None:
        """Say no as the profile says it, or nothing where silence is the policy (S12, drain)."""
        nas = request.nas
        is_told = nas.on_store_down == "deny" or (nas.on_store_down == "allow_capped" and nas.profile.always_answers)
        if denial.reason is Reason.STORE_DOWN and not is_told:
            self._service.drop(request, denial.reason)
            return
        if denial.reason is Reason.DRAINING and not nas.profile.always_answers:
            self._service.drop(request, denial.reason)
            return
        as_accept, body = answers.refused(nas.profile, denial)
        self._service.answer(request, ACCESS_ACCEPT if as_accept else ACCESS_REJECT, body, denial.reason)

    def _reject(self, request: Request, verdict: Verdict) -> None:
        """Reject for want of proof: the same answer whatever was wrong (DIGEST R-RAD-38)."""
        service, attributes = self._service, request.packet.attributes
        service.counters["unproved", request.nas.name, verdict.reason] += 1
        profile = request.nas.profile
        called, caller = a.first_text(attributes, profile.called), a.first_text(attributes, profile.calling)
        names = dict(reversed(request.identities()))
        who = f"**{names['pin'][-2:]}" if "pin" in names else next(iter(names.values()), request.user_name())
        refusal = Refusal(request.now_us, "radius", request.nas.name, who, caller, "", called, verdict.reason)
        service.refusals.note(refusal)
        self._refuse(request, Denial(Reason.NOT_ALLOWED))
