"""
Accounting-Requests: Start opens, Interim reports, Stop settles, On and Off end what a NAS had (RADIUS.md).

An answer says that it is stored (RFC 2866 2); so it leaves after the commit, and not at all when there was
none.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aaa.engine.answers import Answer, Denial, Grant
from aaa.engine.commands import Begin, End, Update
from aaa.engine.ports import Subscriber
from aaa.engine.terms import Reason
from aaa.radius import attributes as a
from aaa.radius.packet import ACCOUNTING_RESPONSE
from aaa.radius.profiles import accounting
from aaa.radius.profiles.accounting import Report
from aaa.radius.request import Request

if TYPE_CHECKING:
    from aaa.radius.service import RadiusService

_NAMES = {
    a.START: "start",
    a.STOP: "stop",
    a.INTERIM: "interim",
    a.ACCOUNTING_ON: "on_off",
    a.ACCOUNTING_OFF: "on_off",
    a.FAILED: "failed",
}


class _Reply:
    """Where the answer to a report goes."""

    __slots__ = ("_command", "_flow", "_request")

    def __init__(self, flow: AccountingFlow, request: Request, command: Update | End | None) -> None:
        self._flow = flow
        self._request = request
        self._command = command

    def __call__(self, answer: Answer) -> None:
        self._flow.answered(self._request, self._command, answer)


class AccountingFlow:
    """Serves Accounting-Requests."""

    def __init__(self, service: RadiusService) -> None:
        self._service = service

    def serve(self, request: Request) -> None:
        """Take one Accounting-Request; it ends in an answer or is dropped."""
        service = self._service
        nas = request.nas
        attributes = request.packet.attributes
        status = a.number(attributes, a.ACCT_STATUS_TYPE) or 0
        service.counters["requests", nas.name, _NAMES[status]] += 1
        identity = request.nas_identity()
        spoken_for = f"{nas.name}|{identity}"
        if status in (a.ACCOUNTING_ON, a.ACCOUNTING_OFF):
            event_us = accounting.event_time(attributes, request.now_us)
            service.node.restart_nas(spoken_for, event_us, partial(self._restarted, request))
            return
        report = accounting.read(nas.profile, attributes, status, request.now_us)
        if not report.is_charged:
            service.answer(request, ACCOUNTING_RESPONSE, b"", "other_leg")
            return
        prefix = f"{spoken_for}|{service.node.epoch(spoken_for)}|"
        keys = tuple([prefix + name for name in report.names])
        is_known = bool(keys) and service.node.knows(keys)
        if not is_known:
            keys = self._with_class(request, keys)
        if not keys:
            service.drop(request, "no_session")
            return
        if status == a.START:
            service.node.submit(accounting.start(report, nas, keys), None, _Reply(self, request, None))
            return
        if is_known or status == a.FAILED:  # then nobody has to be found who would pay for an orphan
            self._report(request, report, keys, None, None)
            return
        identities = request.identities()
        if identities:
            service.directory.find(identities, partial(self._found, request, report, keys))
        else:
            self._found(request, report, keys, None)

    def _with_class(self, request: Request, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The session's full names; a Class of ours adds the session it was handed for."""
        handed = a.every(request.packet.attributes, a.CLASS)
        if handed:
            ticket = self._service.tickets.open_class(request.nas.name, handed)
            if ticket is not None:
                keys = (*keys, f"#{ticket.session_id}")
        return keys

    def _found(self, request: Request, report: Report, keys: tuple[str, ...], subscriber: Subscriber | None) -> None:
        """Go on with who would pay if nobody announced the session (S19), or with whom the packet names."""
        names = request.identities()
        payer = subscriber.value if subscriber is not None else names[0][1] if names else ""
        orphan = accounting.announced_late(request.nas, request.packet.attributes, keys, payer)
        self._report(request, report, keys, orphan, None if subscriber is None else subscriber.account_id)

    def _report(
        self, request: Request, report: Report, keys: tuple[str, ...], orphan: Begin | None, account_id: int | None
    ) -> None:
        """Submit what a report says."""
        nas = request.nas
        attributes = request.packet.attributes
        command: Update | End
        if report.status == a.INTERIM:
            command = accounting.interim(report, nas, keys, orphan)
        else:
            command = accounting.stop(report, nas, keys, attributes, orphan)
        self._service.node.submit(command, account_id, _Reply(self, request, command))

    def answered(self, request: Request, command: Update | End | None, answer: Answer) -> None:
        """Answer once it is stored, whatever became of it; no answer when it is not (S12)."""
        if isinstance(answer, Denial):
            if answer.reason is Reason.STORE_DOWN:
                self._service.drop(request, answer.reason)
                return
            if answer.reason is Reason.FOREIGN_SESSION and command is not None and command.orphan is not None:
                # The session is there and somebody else pays for it: the report counts, not the name in it.
                again = replace(command, orphan=None)
                self._service.node.submit(again, None, _Reply(self, request, again))
                self._service.flush_later()
                return
        self._service.answer(request, ACCOUNTING_RESPONSE, b"", "stored")
        if request.nas.coa is not None and isinstance(command, Update) and isinstance(answer, (Grant, Denial)):
            self._service.limits.after_report(request, command, answer)

    def _restarted(self, request: Request, is_durable: bool) -> None:
        if is_durable:
            self._service.answer(request, ACCOUNTING_RESPONSE, b"", "stored")
        else:
            self._service.drop(request, Reason.STORE_DOWN)
