"""
New limits for running sessions: CoA after a report that moved them, Disconnect at the end (RADIUS.md).

A NAS is trusted with slices only after it acknowledged a CoA once: until then, and again after it refused or
stayed silent, its sessions get everything affordable at once, and a CoA merely repeats the limit to learn
whether it can (S9).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from aaa.bounded import forget_oldest
from aaa.engine.answers import Answer, Denial, Grant, LineGrant
from aaa.engine.commands import Update
from aaa.engine.model import Session
from aaa.engine.terms import Policy
from aaa.radius.dynauth import (
    UNSUPPORTED_ATTRIBUTE,
    UNSUPPORTED_EXTENSION,
    Done,
    DynauthClient,
    Outcome,
    Result,
    Target,
    names_of,
)
from aaa.radius.event_socket import call_of
from aaa.radius.profiles import answers
from aaa.value import replace

if TYPE_CHECKING:
    from aaa.radius.clients import Nas
    from aaa.radius.event_socket_port import EventSockets
    from aaa.radius.request import Request

REMEMBERED_MAX = 100_000


class Limits:
    """
    Keeps the limits of sessions at their NAS.

    Args:
        dynauth: Sends; whoever owns its socket is told by `wake` that there is something to send.
    """

    def __init__(self, dynauth: DynauthClient, counters: defaultdict[tuple[str, ...], int]) -> None:
        self.dynauth = dynauth
        self.wake = _nobody
        self.event_sockets: EventSockets | None = None
        self._counters = counters
        self._proven: set[str] = set()
        self._told: dict[str, bytes] = {}

    def policy(self, nas: Nas) -> Policy:
        """The policy for a new session: whole while the NAS has not shown that it can be refilled."""
        if nas.refill != "interim" or nas.name in self._proven:
            return nas.policy
        return replace(nas.policy, quantum="whole")

    def after_report(self, request: Request, report: Update, answer: Grant | Denial) -> None:
        """Tell the NAS what an Interim-Update led to: more, the same, or the end."""
        nas = request.nas
        key, aliases, user = report.key, report.aliases, request.user_name()
        limits = answers.changed(nas, answer) if isinstance(answer, Grant) else None
        if limits is None or (isinstance(answer, Grant) and _is_used_up(report, answer)):
            self.disconnect(nas, key, aliases, user, request.now_us, _nobody_asked)
            return
        self._change(nas, key, aliases, user, limits, request.now_us)

    def after_credit(self, nas: Nas, session: Session, answer: Answer, now_us: int) -> None:
        """Tell the NAS of a longer limit that new money bought; when it bought nothing, nothing changes."""
        limits = answers.changed(nas, answer) if isinstance(answer, Grant) else None
        if limits is not None:
            head = session.head
            self._change(nas, head.key, session.aliases, head.subscriber, limits, now_us)

    def _change(self, nas: Nas, key: str, aliases: tuple[str, ...], user: str, limits: bytes, now_us: int) -> None:
        """Send a CoA with these limits, unless the NAS was told the same before."""
        if nas.coa is None or nas.profile.refill != "interim" or self._told.get(key) == limits:
            return  # a client that asks by itself is told when it does
        self._remember(key, limits)

        def told(result: Result) -> None:
            self._counters["dynauth", nas.name, "coa", result.outcome.value] += 1
            if result.outcome is Outcome.ACK:
                self._proven.add(nas.name)
            elif result.outcome is Outcome.TIMEOUT or result.cause in (UNSUPPORTED_ATTRIBUTE, UNSUPPORTED_EXTENSION):
                self._proven.discard(nas.name)
            if result.outcome is not Outcome.ACK:
                self._told.pop(key, None)

        target = Target(nas.coa, nas.secrets[0], names_of(key, aliases, user))
        self.dynauth.change(target, limits, now_us, told)
        self.wake()

    def disconnect(self, nas: Nas, key: str, aliases: tuple[str, ...], user: str, now_us: int, done: Done) -> None:
        """Ask the NAS to end a session; only its Stop, or the deadline, says that it did."""
        if nas.coa is None:
            self._by_event_socket(nas, key, aliases, Result(Outcome.NAK), done)
            return

        def told(result: Result) -> None:
            self._counters["dynauth", nas.name, "disconnect", result.outcome.value] += 1
            if result.outcome is Outcome.ACK:
                done(result)
            else:
                self._by_event_socket(nas, key, aliases, result, done)

        self._told.pop(key, None)
        target = Target(nas.coa, nas.secrets[0], names_of(key, aliases, user))
        self.dynauth.disconnect(target, now_us, told)
        self.wake()

    def _by_event_socket(self, nas: Nas, key: str, aliases: tuple[str, ...], refused: Result, done: Done) -> None:
        """End a FreeSWITCH channel where RADIUS cannot; what RADIUS led to stands when there is no event socket."""
        channel = call_of(key, aliases)
        if nas.event_socket is None or channel is None or self.event_sockets is None:
            done(refused)
            return

        def told(result: Result) -> None:
            self._counters["dynauth", nas.name, "uuid_kill", result.outcome.value] += 1
            done(result)

        self.event_sockets.kill(nas.event_socket, nas.event_socket_password, channel, told)

    def _remember(self, key: str, limits: bytes) -> None:
        if len(self._told) >= REMEMBERED_MAX:
            forget_oldest(self._told)
        self._told[key] = limits


def _is_used_up(report: Update, grant: Grant) -> bool:
    """Tell whether a line has used all it may, however it was told."""
    used = {line.key: line.usage.units for line in report.lines if line.usage is not None}
    return any(isinstance(line, LineGrant) and line.total <= used.get(line.key, -1) for line in grant.lines)


def _nobody() -> None:
    """There is no socket yet."""


def _nobody_asked(result: Result) -> None:
    """The outcome is counted; nobody waits for it."""
