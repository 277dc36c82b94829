"""Health, status and the socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat

import pytest

from aaa.api.server import ApiServer, unix_socket
from aaa.errors import ConfigError
from tests.support.control import World


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def test_ready_only_when_every_check_holds(world: World):
    """No tariff: not ready, and it says so."""
    before = world.api.get("/readyz")
    world.apply()
    after = world.api.get("/readyz?verbose")

    assert (503, ["tariff"]) == (before.status_code, [check["name"] for check in before.json()["checks"]])
    assert (200, 8) == (after.status_code, len(after.json()["checks"]))
    assert 200 == world.api.get("/livez").status_code


@pytest.mark.parametrize(
    ("said", "failed"),
    [
        ({"clock_offset_us": -2_000_001}, "clock"),
        ({"clock_offset_us": 2_000_000}, None),
        ({"workers": [{"serving": False}, {"serving": False}]}, "workers"),
        ({"workers": [{"serving": False}, {"serving": True}]}, None),
        ({"listeners_wanted": 1}, "listeners"),
    ],
)
def test_a_wrong_clock_and_dead_workers_are_not_ready(world: World, said: dict, failed: str | None):
    """Above 2 s from the store's clock nothing is served (S18); one worker of several is enough to be asked."""
    world.apply()
    world.described |= said
    answer = world.api.get("/readyz")

    assert [failed] * bool(failed) == [check["name"] for check in answer.json()["checks"]]
    assert (503 if failed else 200) == answer.status_code


def test_draining_is_not_ready(world: World):
    """A load balancer looks elsewhere at once."""
    world.apply()
    world.api.post("/v1/drain", json={"draining": True})
    drained = world.api.get("/readyz")
    world.api.post("/v1/drain", json={"draining": False})

    assert (503, ["drained"]) == (drained.status_code, [check["name"] for check in drained.json()["checks"]])
    assert 200 == world.api.get("/readyz").status_code


def test_status_answers_what_a_supporter_asks_first(world: World):
    """Version, schema, node, uptime, configuration, sessions, tariffs."""
    world.apply()
    world.begin()
    world.now_us += 3_000_000
    status = world.get("status")

    assert ("0.1", "n1", 3, 1) == (
        status["version"],
        status["node"],
        status["uptime_s"],
        status["sessions"]["EUR"]["live"],
    )
    assert world.context.config.digest == status["config"]["digest"]
    assert {"retail": 1} == status["tariffs"]


def test_clients_of_both_sources_are_listed_without_secrets(world: World):
    """Configuration and store together."""
    world.apply()
    answer = world.get("nas")

    assert [("edge", "config"), ("sbc", "store")] == [(nas["name"], nas["source"]) for nas in answer["items"]]
    assert "testing123" not in json.dumps(answer)
    assert "hush" not in json.dumps(answer)


def test_reload_reports_what_needs_a_restart_or_why_not(world: World):
    """All of a configuration is used, or none (OPERATIONS section 4)."""
    without = world.api.post("/v1/reload")
    world.context.reload = lambda: ["[store] url"]
    done = world.api.post("/v1/reload")

    def broken() -> list[str]:
        raise ConfigError(["aaa.toml:3: [log] level: should be ..."])

    world.context.reload = broken
    refused = world.api.post("/v1/reload")

    assert (503, ["[store] url"]) == (without.status_code, done.json()["needs_restart"])
    assert (422, "config_rejected") == (refused.status_code, refused.json()["code"])
    assert "aaa.toml:3: [log] level: should be ..." == refused.json()["errors"][0]["reason"]


def test_bodies_are_bounded(world: World):
    """A body that is announced too large is not read."""
    answer = world.api.post("/v1/drain", content=b"x" * (2 << 20))

    assert (413, "too_large") == (answer.status_code, answer.json()["code"])


def test_serves_on_a_unix_socket_and_knows_the_caller(world: World):
    """Mode 0660; the kernel says who asks (SO_PEERCRED)."""
    path = world.context.config.api.socket
    server = ApiServer(world.context, unix_socket(path, None))
    server.start()
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        with pytest.raises(ConfigError, match="another process listens on it"):
            unix_socket(path, None)
        connection = UnixConnection(path)
        connection.request("GET", "/v1/whoami")
        answer = json.loads(connection.getresponse().read())
        connection.close()
    finally:
        server.stop()

    assert 0o660 == mode
    assert f"uid:{os.getuid()}" == answer["actor"]
    assert not os.path.exists(path)


def test_a_stale_socket_is_replaced(tmp_path):
    """kill -9 leaves the file behind; the next start must not need an operator."""
    path = str(tmp_path / "s")
    first = unix_socket(path, None)
    first.close()
    second = unix_socket(path, None)
    second.close()

    assert stat.S_ISSOCK(os.stat(path).st_mode)
