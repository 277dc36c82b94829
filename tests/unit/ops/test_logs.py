"""Logs are lines a machine can read, without anything that must stay secret."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from aaa.ops.log_events import logger
from aaa.ops.logs import BURST, configure


@pytest.fixture
def stream():
    yield io.StringIO()
    structlog.reset_defaults()
    logging.getLogger().handlers = []


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_time_and_level(stream):
    """The canonical line of OPERATIONS section 7."""
    configure("info", "json", stream=stream)
    logger().info("session.granted", session_id="7", granted_s=60)
    (line,) = lines(stream)

    assert ("session.granted", "info", "7", 60) == (line["event"], line["level"], line["session_id"], line["granted_s"])
    assert line["ts"].endswith("Z")


def test_secrets_are_hidden_and_pins_keep_two_digits(stream):
    """Whatever a caller passes (S24)."""
    configure("info", "json", stream=stream)
    logger().info("x", secret="a", user_password="b", chap_challenge="c", pin="123456", token="d", user="alice")
    (line,) = lines(stream)

    assert {"***"} == {line[key] for key in ("secret", "user_password", "chap_challenge", "token")}
    assert ("***56", "alice") == (line["pin"], line["user"])


def test_numbers_are_masked_when_asked(stream):
    """The rated prefix stays readable."""
    configure("info", "json", mask_numbers=True, stream=stream)
    logger().info("x", destination="442071234567", session_id="442071234567")

    assert ("44207*******", "442071234567") == (lines(stream)[0]["destination"], lines(stream)[0]["session_id"])


def test_levels_below_are_silent(stream):
    """DEBUG costs nothing at INFO."""
    configure("warning", "json", stream=stream)
    logger().info("x")
    logger().warning("y")

    assert ["y"] == [line["event"] for line in lines(stream)]


def test_a_flood_is_limited_per_event_and_nas_and_says_so(stream):
    """A broken switch must not fill the disk, nor hide another."""
    now = [0.0]
    configure("info", "json", stream=stream, clock=lambda: now[0])
    for _ in range(BURST + 30):
        logger().warning("radius.bad_authenticator", nas="a")
    logger().warning("radius.bad_authenticator", nas="b")
    now[0] = 1.0
    logger().warning("radius.bad_authenticator", nas="a")
    found = lines(stream)

    assert BURST + 2 == len(found)
    assert ("b", 30) == (found[-2]["nas"], found[-1]["left_out"])


def test_libraries_log_in_the_same_form(stream):
    """One format on stderr."""
    configure("info", "json", stream=stream)
    logging.getLogger("uvicorn.error").warning("socket %s", "gone")

    assert ("uvicorn.error", "socket gone") == (lines(stream)[0]["name"], lines(stream)[0]["message"])


def test_a_terminal_gets_key_value(stream):
    """For people."""
    configure("info", "console", stream=stream)
    logger().info("session.granted", granted_s=60)

    assert "granted_s=60" in stream.getvalue()
