"""
What the log tells beside the line per request: every event once, as a function whose parameters are its fields.

The reference page of events is made of these definitions, so nothing can be logged that it does not name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, NamedTuple, ParamSpec

import structlog
from structlog.typing import FilteringBoundLogger

ALWAYS = 0
"""The level of what somebody asked for just now: it is shown whatever the level is."""

Told = ParamSpec("Told")


class Defined(NamedTuple):
    """An event of the log; no level: what tells it says how bad it is."""

    level: int | None
    told: Callable[..., None]


EVENTS: dict[str, Defined] = {}


def logger() -> FilteringBoundLogger:
    """What lines are written with, as `aaa.ops.logs.configure` has set it up."""
    found: FilteringBoundLogger = structlog.get_logger()
    return found


def _event(name: str, level: int | None) -> Callable[[Callable[Told, None]], Callable[Told, None]]:
    """Make a function log its keyword arguments under a name; without a level its first argument is the level."""

    def defined(told: Callable[Told, None]) -> Callable[Told, None]:
        @wraps(told)
        def log(*arguments: Told.args, **fields: Told.kwargs) -> None:
            told(*arguments, **fields)  # Python says which field is none of them
            if level == ALWAYS:
                structlog.get_logger(wrapper_class=structlog.BoundLogger).debug(name, **fields)
            else:
                at: Any = arguments[0] if level is None else level
                logger().log(at, name, **fields)

        EVENTS[name] = Defined(level, told)
        return log

    return defined


Nas = Annotated[str, "name of the client's entry"]
Address = Annotated[str, "where the packet came from: address and port"]
Subscriber = Annotated[str, "the name that is traced"]


@_event("radius.dropped", logging.WARNING)
def radius_dropped(
    *,
    reason: Annotated[str, "what was wrong with it"],
    nas: Annotated[str, "name of the client's entry, empty when the address is none's"],
    address: Annotated[str, "where it came from"],
    left_out: Annotated[int, "how many more of this reason and client there were since the last line"] = 0,
) -> None:
    """A packet was not answered; once a second for each reason and client."""


@_event("config.advice", logging.WARNING)
def config_advice(*, advice: Annotated[str, "which setting, and why"]) -> None:
    """A setting can never do what it says."""


@_event("config.rejected", logging.ERROR)
def config_rejected(*, problems: Annotated[list[str], "every problem, with its place"]) -> None:
    """A changed configuration was not taken up; the old one stays in force."""


@_event("housekeeping.failed", logging.ERROR)
def housekeeping_failed(*, job: Annotated[str, "which one"], error: Annotated[str, "what it failed of"]) -> None:
    """Work that is done from time to time failed; it is tried again."""


@_event("store.row_unreadable", logging.ERROR)
def row_unreadable(*, problem: Annotated[str, "which row, and why"]) -> None:
    """A row of the database cannot be read: requests that name its session or account are refused, no others."""


@_event("library", None)
def library(
    _level: int,
    *,
    name: Annotated[str, "which library"],
    message: Annotated[str, "what it says"],
    exc_info: Annotated[Any, "an exception; the line has its text as `exception`"] = None,
) -> None:
    """Something a library reports: Twisted, SQLAlchemy, uvicorn."""


@_event("trace.request", ALWAYS)
def trace_request(
    *,
    subscriber: Subscriber,
    nas: Nas = "",
    address: Address = "",
    code: Annotated[int, "RADIUS packet code"] = 0,
    ident: Annotated[int, "RADIUS Identifier"] = 0,
    attributes: Annotated[list[str], "RADIUS attributes, decoded"] = [],  # noqa: B006 - never changed
    peer: Annotated[str, "Origin-Host of the connection"] = "",
    message: Annotated[list[str], "Diameter message, decoded"] = [],  # noqa: B006 - never changed
) -> None:
    """A request of a traced subscriber."""


@_event("trace.answer", ALWAYS)
def trace_answer(
    *,
    subscriber: Subscriber,
    nas: Nas = "",
    address: Address = "",
    code: Annotated[int, "RADIUS packet code"] = 0,
    ident: Annotated[int, "RADIUS Identifier of the request"] = 0,
    attributes: Annotated[list[str], "RADIUS attributes, decoded"] = [],  # noqa: B006 - never changed
    result: Annotated[str, "what it was answered with, in a word"] = "",
    peer: Annotated[str, "Origin-Host of the connection"] = "",
    message: Annotated[list[str], "Diameter message, decoded"] = [],  # noqa: B006 - never changed
) -> None:
    """The answer to it."""
