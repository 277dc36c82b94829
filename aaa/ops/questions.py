"""
What only the memory of a serving process knows, asked through `Control.ask`: refusals and traces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aaa.bus.hub import Hub
from aaa.diameter.server import DiameterServer
from aaa.node.node import ChargingNode
from aaa.node.refusals import Refusal, Refusals, newest
from aaa.ops import logs
from aaa.ops.traced import Traced, as_documents
from aaa.radius.server import RadiusServer

TOLD_PER_SECOND = 50  # refusals that other processes are told of

Question = Callable[..., list[dict[str, Any]]]


def questions(
    node: ChargingNode, radius: RadiusServer | None, diameter: DiameterServer | None, hub: Hub
) -> dict[str, Question]:
    """Every question by its name, for a process with the faces that it has; all of them trace the same people."""
    people = Traced()
    if radius is not None:
        radius.service.traces.people = people
    if diameter is not None:
        diameter.service.traces.people = people
    return answers(node, Refusals() if radius is None else radius.service.refusals, people, hub)


def answers(node: ChargingNode, faces: Refusals, traced: Traced, hub: Hub) -> dict[str, Question]:
    """
    Every question by its name; refusals and traces are shared with the other processes over the bus.

    Args:
        faces: What was refused before the node was asked.
    """
    elsewhere = Refusals()
    told = {"second": 0, "count": 0}

    def tell(refusal: Refusal) -> None:
        second = refusal.at_us // 1_000_000
        told["count"] = told["count"] + 1 if told["second"] == second else 1
        told["second"] = second
        if told["count"] <= TOLD_PER_SECOND:
            hub.publish("refused", refusal=list(refusal))

    node.tally.refusals.told = faces.told = tell
    hub.handle("refused", lambda message: elsewhere.note(Refusal(*message["refusal"])))
    hub.handle("trace", lambda message: _discarded(traced.set(message["subscriber"], message["until_us"])))

    def refusals(name: str) -> list[dict[str, Any]]:
        return newest((node.tally.refusals, faces, elsewhere), name)

    def trace(subscriber: str, until_us: int) -> list[dict[str, Any]]:
        if not traced.set(subscriber, until_us):
            return []
        hub.publish("trace", subscriber=subscriber, until_us=until_us)
        return running()

    def running() -> list[dict[str, Any]]:
        return as_documents(traced.running(node.now_us()))

    def first_uses() -> list[dict[str, Any]]:
        used, node.tally.first_uses = node.tally.first_uses, {}
        return [{"account_id": number, "at_us": at_us} for number, at_us in used.items()]

    def log() -> list[dict[str, Any]]:
        return [dict(event) for event in logs.recent()]

    return {"log": log, "first_uses": first_uses, "refusals": refusals, "trace": trace, "traces": running}


def _discarded(_is_set: bool) -> None:
    """Whoever asked was answered by the process that was asked."""
