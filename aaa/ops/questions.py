"""
What only the memory of a serving process knows, asked through `Control.ask`: refusals and traces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aaa.node.node import ChargingNode
from aaa.node.refusals import Refusals, newest
from aaa.ops import logs
from aaa.radius.server import RadiusServer
from aaa.radius.trace import Traces, as_documents

Question = Callable[..., list[dict[str, Any]]]


def questions(node: ChargingNode, radius: RadiusServer | None) -> dict[str, Question]:
    """Every question by its name, for a process with or without a RADIUS face."""
    if radius is None:
        return answers(node, Refusals(), Traces(_unseen))
    return answers(node, radius.service.refusals, radius.service.traces)


def answers(node: ChargingNode, faces: Refusals, traces: Traces) -> dict[str, Question]:
    """
    Every question by its name.

    Args:
        faces: What was refused before the node was asked.
    """

    def refusals(name: str) -> list[dict[str, Any]]:
        return newest((node.tally.refusals, faces), name)

    def trace(subscriber: str, until_us: int) -> list[dict[str, Any]]:
        return running() if traces.set(subscriber, until_us) else []

    def running() -> list[dict[str, Any]]:
        return as_documents(traces.running(node.now_us()))

    def first_uses() -> list[dict[str, Any]]:
        used, node.tally.first_uses = node.tally.first_uses, {}
        return [{"account_id": number, "at_us": at_us} for number, at_us in used.items()]

    def log() -> list[dict[str, Any]]:
        return [dict(event) for event in logs.recent()]

    return {"log": log, "first_uses": first_uses, "refusals": refusals, "trace": trace, "traces": running}


def _unseen(_event: str, **_fields: object) -> None:
    """There are no packets to trace here."""
