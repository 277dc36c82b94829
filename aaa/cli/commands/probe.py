"""`aaactl probe`: place a call against a server, as a switch would."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from aaa.cli import radius
from aaa.cli.commands.probe_diameter import attach
from aaa.cli.errors import REFUSED, UNREACHABLE, USAGE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_rows

command = click.Group("probe", help="Place a call against a server.")
attach(command)

COLUMNS = columns("step", "sent", "answer", "granted_s", "used_s", "ms")
REFILLS_MAX = 10_000


class Call(NamedTuple):
    """What one probe call is about."""

    auth: tuple[str, int]
    acct: tuple[str, int]
    user: str
    password: str
    called: str
    calling: str
    session: str
    nas: str
    refill: str
    duration_s: int
    waits: bool


class Step(NamedTuple):
    """One exchange of the call, and where the call stands after it."""

    step: str
    sent: str
    answer: str
    granted_s: int
    used_s: int
    ms: float


@verb(command, "radius")
@click.option("--server", default="127.0.0.1", show_default=True, help="Address of the server.")
@click.option("--auth-port", type=int, default=1812, show_default=True)
@click.option("--acct-port", type=int, default=1813, show_default=True)
@click.option("--secret", help="Shared secret; better in AAACTL_PROBE_SECRET or a file.")
@click.option("--secret-file", type=click.Path(exists=True, dir_okay=False))
@click.option("--user", default="", help="User-Name.")
@click.option("--password", default="", help="User-Password (PAP).")
@click.option("--to", "called", default="", help="Called-Station-Id; without it only the password is checked.")
@click.option("--from", "calling", default="", help="Calling-Station-Id.")
@click.option("--nas", default="probe", show_default=True, help="NAS-Identifier.")
@click.option("--session", default="", help="Acct-Session-Id; a new one unless given.")
@click.option("--duration", type=click.IntRange(0), default=30, show_default=True, help="Seconds the call lasts.")
@click.option("--refill", type=click.Choice(["reauth", "none"]), default="reauth", show_default=True)
@click.option("--wait", "waits", is_flag=True, help="Take the real time instead of pretending it.")
@click.option("--status", "asks_status", is_flag=True, help="Only ask whether the server lives (Status-Server).")
def radius_(options: Options, secret: str | None, secret_file: str | None, asks_status: bool, **given: Any) -> int:
    """
    Place one prepaid call: Access-Request, Start, refills as the grant runs out, Stop.

    Exit code 1 when the call is refused, 6 when the server does not answer.
    """
    exchange = radius.Exchange(_secret(secret, secret_file))
    auth = (given["server"], given["auth_port"])
    try:
        if asks_status:
            steps = [_timed("status", "Status-Server", 0, 0, lambda: exchange.status(auth))[0]]
        else:
            session = given["session"] or f"probe-{os.getpid()}-{time.time_ns()}"
            place = (auth, (given["server"], given["acct_port"]), given["user"], given["password"])
            call = Call(
                *place, given["called"], given["calling"], session, given["nas"], given["refill"], given["duration"],
                given["waits"],
            )  # fmt: skip
            steps = list(_call(exchange, call))
    except radius.RadiusError as error:
        raise CliError("unreachable", str(error), UNREACHABLE) from error
    show_rows([step._asdict() for step in steps], COLUMNS, options.form)
    return REFUSED if steps[0].answer.startswith("Access-Reject") else 0


def _call(exchange: radius.Exchange, call: Call) -> Iterator[Step]:
    """The exchanges of one call, each as it happens."""
    named = [(radius.USER_NAME, call.user.encode()), (radius.NAS_IDENTIFIER, call.nas.encode())]
    session = [(radius.ACCT_SESSION_ID, call.session.encode())]
    numbers = [
        (kind, number.encode())
        for kind, number in ((radius.CALLED, call.called), (radius.CALLING, call.calling))
        if number
    ]
    password = call.password.encode() if call.password else None
    about = [*named, *session, *numbers]
    step, answer = _timed("begin", "Access-Request", 0, 0, lambda: exchange.access(call.auth, about, password))
    granted = answer.number(radius.SESSION_TIMEOUT) or 0
    yield step._replace(granted_s=granted)
    if answer.code != radius.ACCESS_ACCEPT or not call.called:
        return
    carried = [(radius.CLASS, value) for kind, value in answer.attributes if kind == radius.CLASS]

    def account(kind: int, used: int) -> radius.Answer:
        status = [(radius.ACCT_STATUS_TYPE, radius.integer(kind)), (radius.ACCT_SESSION_TIME, radius.integer(used))]
        return exchange.accounting(call.acct, [*status, *about, *carried])

    yield _timed("start", "Start", granted, 0, lambda: account(radius.START, 0))[0]
    used = 0
    for _ in range(REFILLS_MAX):
        reached = min(call.duration_s, granted)
        if call.waits:
            time.sleep(reached - used)
        used = reached
        if used >= call.duration_s or call.refill == "none":
            break
        state = [(radius.STATE, value) for kind, value in answer.attributes if kind == radius.STATE]
        again = [*about, *state, (radius.ACCT_SESSION_TIME, radius.integer(used))]
        step, answer = _timed(
            "refill", "Access-Request", granted, used, lambda a=again: exchange.access(call.auth, a, password)
        )
        more = answer.number(radius.SESSION_TIMEOUT) or 0 if answer.code == radius.ACCESS_ACCEPT else 0
        granted = used + more
        yield step._replace(granted_s=granted)
        if not more:
            break
    yield _timed("stop", "Stop", granted, used, lambda: account(radius.STOP, used))[0]


def _timed(step: str, sent: str, granted: int, used: int, exchange: Any) -> tuple[Step, radius.Answer]:
    begun = time.perf_counter()
    answer: radius.Answer = exchange()
    elapsed_ms = round((time.perf_counter() - begun) * 1000, 1)
    told = radius.NAMES.get(answer.code, f"code {answer.code}")
    message = answer.first(radius.REPLY_MESSAGE)
    if message is not None:
        told += f" ({message.decode(errors='replace')})"
    return Step(step, sent, told, granted, used, elapsed_ms), answer


def _secret(secret: str | None, secret_file: str | None) -> bytes:
    if secret_file:
        with open(secret_file, "rb") as file:
            return file.read().rstrip(b"\r\n")
    found = secret or os.environ.get("AAACTL_PROBE_SECRET", "")
    if not found:
        raise CliError("usage", "no secret: give --secret-file, --secret or AAACTL_PROBE_SECRET", USAGE)
    return found.encode()
