"""`aaactl probe diameter`: a prepaid call as an IMS node places it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from aaa.cli import diameter
from aaa.cli.errors import REFUSED, UNREACHABLE, CliError
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, show_rows

COLUMNS = columns("step", "sent", "answer", "granted_s", "used_s", "ms")
INITIAL, UPDATE, TERMINATION = 1, 2, 3
NAMES = {INITIAL: "initial", UPDATE: "update", TERMINATION: "end"}
SUCCESS = 2001
REQUESTS_MAX = 10_000


class Step(NamedTuple):
    """One exchange of the call, and where the call stands after it; `is_final` when there will be no more."""

    step: str
    sent: str
    answer: str
    granted_s: int
    used_s: int
    ms: float
    is_final: bool = False


def attach(group: click.Group) -> None:
    """Make it a verb of `probe`."""
    verb(group, "diameter")(probe)


@click.option("--server", default="127.0.0.1", show_default=True, help="Address of the server.")
@click.option("--port", type=int, default=3868, show_default=True)
@click.option("--origin-host", default="probe.example.net", show_default=True, help="As a [[peer]] of the server says.")
@click.option("--origin-realm", default="example.net", show_default=True)
@click.option("--realm", default="", help="The server's; asked of it unless given.")
@click.option("--from", "payer", default="", help="Subscription-Id (E.164); without it only CER and CEA are exchanged.")
@click.option("--to", "called", default="", help="Called-Party-Address.")
@click.option("--context", default="32260@3gpp.org", show_default=True, help="Service-Context-Id.")
@click.option("--rating-group", type=int, default=100, show_default=True)
@click.option(
    "--ask", "asked_s", type=click.IntRange(0), default=60, show_default=True, help="Seconds asked for; 0: open."
)
@click.option("--duration", "duration_s", type=click.IntRange(0), default=30, show_default=True, help="Of the call.")
@click.option("--wait", "waits", is_flag=True, help="Take the real time instead of pretending it.")
def probe(options: Options, **given: Any) -> int:
    """
    Place one prepaid call: CER, CCR-I, CCR-U as the quota runs out, CCR-T, DPR.

    Exit code 1 when the call is refused, 6 when the server does not answer.
    """
    steps: list[Step] = []
    try:
        for step in _call(**given):
            steps.append(step)
    except diameter.DiameterError as error:
        raise CliError("unreachable", str(error), UNREACHABLE) from error
    finally:
        show_rows([step._asdict() for step in steps], COLUMNS, options.form)
    return 0 if all(step.answer == str(SUCCESS) for step in steps) else REFUSED


def _call(
    server: str,
    port: int,
    origin_host: str,
    origin_realm: str,
    realm: str,
    asked_s: int,
    duration_s: int,
    waits: bool,
    **about: Any,
) -> Iterator[Step]:
    """The exchanges of a call, in order; what is granted is used up to the call's duration."""
    began = time.monotonic()
    connection = diameter.Connection((server, port), origin_host, origin_realm)
    result = diameter.number_of(connection.capabilities, diameter.RESULT_CODE)
    yield Step("connect", "CER", str(result), 0, 0, _ms(began))
    if result != SUCCESS or not about["payer"]:
        connection.close()
        return
    theirs = diameter.first(connection.capabilities, diameter.ORIGIN_REALM) or b""
    session = f"{origin_host};{int(time.time())};{os.getpid()}"
    call = diameter.Call(session, realm or theirs.decode("utf-8", "replace"), **about)
    used_s = delta_s = number = 0
    kind = INITIAL
    while number < REQUESTS_MAX:
        step = _exchange(connection, call, kind, number, delta_s, asked_s, used_s)
        yield step
        is_refused = step.answer != str(SUCCESS)
        if kind == TERMINATION or (kind == INITIAL and is_refused):
            break
        if is_refused or step.is_final:
            duration_s = min(duration_s, used_s + step.granted_s)
        delta_s = min(step.granted_s, max(0, duration_s - used_s))
        if waits:
            time.sleep(delta_s)
        used_s += delta_s
        number += 1
        kind = TERMINATION if used_s >= duration_s else UPDATE
    connection.close()


def _exchange(
    connection: diameter.Connection,
    call: diameter.Call,
    kind: int,
    number: int,
    delta_s: int,
    asked_s: int,
    used_s: int,
) -> Step:
    """One CCR; the answer counts as refused when its service is."""
    began = time.monotonic()
    used = None if kind == INITIAL else delta_s
    asked = None if kind == TERMINATION else asked_s
    answer = diameter.credit_control(connection, call, kind, number, used, asked)
    service = diameter.avps_of(diameter.first(answer, diameter.MSCC) or b"")
    granted = diameter.avps_of(diameter.first(service, diameter.GRANTED) or b"")
    result = diameter.number_of(answer, diameter.RESULT_CODE)
    if result == SUCCESS:
        result = diameter.number_of(service, diameter.RESULT_CODE) or result
    is_final = diameter.first(service, diameter.FINAL_UNIT) is not None
    told_s = diameter.number_of(granted, diameter.CC_TIME)
    return Step(NAMES[kind], f"CCR {number}", str(result), told_s, used_s, _ms(began), is_final)


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1_000, 1)
