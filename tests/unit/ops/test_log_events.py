"""What can be logged is what is defined, and what is defined can be logged."""

from __future__ import annotations

import json

import pytest

from aaa.ops import event_page
from aaa.ops.log_events import config_advice, trace_request
from aaa.ops.logs import configure
from aaa.ops.request_log import FIELDS, MEANINGS
from tests.unit.ops.test_logs import lines, stream

__all__ = ["stream"]


def test_a_field_that_is_not_defined_is_refused(stream):
    configure("info", "json", stream=stream)
    with pytest.raises(TypeError, match="number"):
        config_advice(advice="x", number=1)  # type: ignore[call-arg]

    assert [] == lines(stream)


def test_a_trace_shows_at_every_level(stream):
    """Somebody asked for just this one."""
    configure("error", "json", stream=stream)
    config_advice(advice="x")
    trace_request(subscriber="alice", code=1)
    (line,) = lines(stream)

    assert ("trace.request", "debug", "alice", 1) == tuple(
        line[key] for key in ("event", "level", "subscriber", "code")
    )


def test_every_event_and_field_of_requests_is_reached():
    """A meaning that no line can have is a leftover."""
    made: list[str] = []
    log = event_page.RequestLog(made.extend, lambda _number: "alice", lambda _session: 600_000)
    log(list(event_page._samples()), 0)
    told = [json.loads(line) for line in made]

    assert set(MEANINGS) == {line["event"] for line in told}
    assert set(FIELDS) == {event_page._family(field) for line in told for field in line} - {
        "ts", "level", "event", "granted_*", "used_*",
    }  # fmt: skip


def test_a_grant_tells_what_its_session_holds():
    made: list[str] = []
    request = next(one for one in event_page._samples() if isinstance(one.answer, event_page.Grant))
    event_page.RequestLog(made.extend, str, {request.answer.session_id: 600_000}.get)([request], 0)
    event_page.RequestLog(made.extend, str, {}.get)([request], 0)

    assert ["0.6000", None] == [json.loads(line).get("reserved") for line in made]
