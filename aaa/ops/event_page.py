"""
The reference page of events: those of the outbox and those of the log, with their fields.

Bodies of the outbox and events of the log are defined where they are made.  A line per request is text made at once, so
its fields are read from lines made here, of every command with every answer it can get.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NotRequired, get_args, get_origin, get_type_hints

from aaa.engine.answers import Ack, Answer, Denial, Grant, LineDenial, LineGrant, Outcome
from aaa.engine.commands import (
    Action,
    Adjust,
    Begin,
    Capped,
    Command,
    End,
    Event,
    Expire,
    Identity,
    Kill,
    LineRequest,
    Total,
    Update,
)
from aaa.engine.terms import ChargeKey, Policy, Reason
from aaa.node.desk import Request
from aaa.ops.log_events import ALWAYS, EVENTS, Defined
from aaa.ops.request_log import FIELDS, MEANINGS, UNITS, RequestLog
from aaa.outbox.sinks import Envelope
from aaa.store.happenings import BODIES
from aaa.value import replace

_OF_EVERY_LINE = {"ts", "level", "event"}
_MEASURED = {"granted": "what the first service was granted, in its unit", "used": "what was reported of it"}


def events() -> str:
    """The page, but for the line that says who made it."""
    envelope = get_type_hints(Envelope, include_extras=True)
    parts = [
        "# Events\n",
        "Amounts ending in `_micro` are millionths of the currency, instants ending in `_us` microseconds since the "
        "epoch. Fields in italics are there only where they are known.\n",
        "## Of the outbox\n",
        "What `[[outbox]]` consumers are told ([receive events](../how-to/receive-events.md)). Every event has:\n",
        _table([_row(name, hint, False) for name, hint in envelope.items()]),
    ]
    for kind, body in BODIES.items():
        hints = get_type_hints(body, include_extras=True)
        rows = [_row(name, hint, get_origin(hint) is NotRequired) for name, hint in hints.items()]
        parts.append(f"### `{kind}`\n\n{_text(body)}\n\n{_table(rows)}")
    parts += [
        "## Of the log\n",
        "Every line has `ts`, `level` and `event`. Warnings and errors that repeat are limited: the next line says how "
        "many were `left_out`.\n",
        "### One line per request\n",
        _requests(),
        "### Others\n",
        *[_other(name, defined) for name, defined in sorted(EVENTS.items())],
    ]
    return "\n".join(parts)


def _other(name: str, defined: Defined) -> str:
    """An event that is logged by a call."""
    hints = get_type_hints(defined.told, include_extras=True)
    parameters = inspect.signature(defined.told).parameters.values()
    fields = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    rows = [_row(one.name, hints[one.name], one.default is not one.empty) for one in fields]
    if defined.level is None:
        level = "level as it says"
    else:
        level = "at every level" if defined.level == ALWAYS else logging.getLevelName(defined.level).lower()
    return f"#### `{name}`\n\n{_text(defined.told)} ({level})\n\n{_table(rows)}"


def _requests() -> str:
    """The events of requests, each with the fields of its lines; then what the fields mean."""
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in MEANINGS}
    written: list[str] = []
    for reserved_micro in (None, 600_000):
        RequestLog(written.extend, lambda _number: "", partial(_same, reserved_micro))(list(_samples()), 0)
    for line in map(json.loads, written):
        lines[line["event"]].append(line)
    rows, seen = ["| event | when | level | fields |", "|---|---|---|---|"], set()
    for name, found in lines.items():
        told = [{_family(field) for field in line} - _OF_EVERY_LINE for line in found]
        always, ever = set.intersection(*told), set.union(*told)
        seen |= ever
        fields = ", ".join(f"`{field}`" if field in always else f"*`{field}`*" for field in sorted(ever))
        levels = " or ".join(sorted({line["level"] for line in found}, reverse=True))
        rows.append(f"| `{name}` | {MEANINGS[name]} | {levels} | {fields} |")
    meanings = [f"| `{field}` | {_meaning(field)} |" for field in sorted(seen)]
    return "\n".join([*rows, "", _table(meanings)])


def _same(reserved_micro: int | None, _session_id: int) -> int | None:
    return reserved_micro


def _family(field: str) -> str:
    """The name of a field, the same for every unit it may be in."""
    start, _, unit = field.partition("_")
    return f"{start}_*" if start in _MEASURED and unit in UNITS.values() else field


def _meaning(field: str) -> str:
    if not field.endswith("_*"):
        return FIELDS[field]
    start = field.removesuffix("_*")
    return f"{', '.join(f'`{start}_{unit}`' for unit in UNITS.values())}: {_MEASURED[start]}"


def _samples() -> Iterator[Request]:
    """Every command with every kind of answer, telling little and much."""
    for unit in UNITS:
        key = ChargeKey(unit=unit)
        told = (LineGrant(key, 60, 60), LineGrant(key, 60, 60, is_final=True), LineDenial(key, Reason.NO_CREDIT))
        for lines in ((), *((line,) for line in told)):
            grant = Grant(1, lines, 0, "EUR", 1)
            ack = Ack(Outcome.DONE, 1, 0, 0, "EUR", lines)
            for usage in (None, Total(30)):
                for command in _commands(LineRequest(key, usage, destination="4420")):
                    for answer in _answers(command, grant, ack):
                        for account_id in (None, 1):
                            request = Request(command, account_id, lambda _answer: None, 0, 0)
                            request.answer = answer
                            yield request


def _commands(line: LineRequest) -> Iterator[Command]:
    identity, policy = Identity("1"), Policy()
    bare = replace(line, destination="")
    begin = Begin("k", identity, policy, (line,), "nas")
    yield from (begin, replace(begin, caller="4930"), replace(begin, lines=(bare,)))
    yield Capped(begin, 1, 60)
    yield from (Update("k", identity, lines, "nas") for lines in ((), (line,), (bare,)))
    yield from (Update("k", identity, lines, "nas", is_start=True) for lines in ((), (line,)))
    yield from (End("k", identity, lines, "nas") for lines in ((), (line,), (bare,)))
    yield from (Event("k", identity, action, lines, "nas") for action in Action for lines in ((line,), (bare,)))
    yield from (Expire("k"), Kill("k"), Adjust(1, "topup", "i"))


def _answers(command: Command, grant: Grant, ack: Ack) -> Iterator[Answer]:
    yield from (Denial(Reason.NO_CREDIT), Denial(Reason.STORE_DOWN))
    if isinstance(command, Begin | Update):
        yield from (grant, replace(grant, number=2))
    if isinstance(command, Kill | Expire | Adjust):
        yield replace(ack, lines=())
    elif not isinstance(command, Begin):
        yield ack


def _row(name: str, hint: Any, is_optional: bool) -> str:
    told = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
    (meaning,) = [text for text in told.__metadata__ if isinstance(text, str)]
    return f"| {f'*`{name}`*' if is_optional else f'`{name}`'} | {meaning} |"


def _table(rows: Sequence[str]) -> str:
    return "\n".join(["| field | meaning |", "|---|---|", *rows, ""])


def _text(defined: Any) -> str:
    return " ".join((inspect.getdoc(defined) or "").partition("\n\n")[0].split())
