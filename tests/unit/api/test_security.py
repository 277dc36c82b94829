"""Over TCP nothing happens without a token whose role allows it."""

from __future__ import annotations

import http.client
import json

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from aaa.api.app import ROUTERS, make_app
from aaa.api.server import ApiServer, tcp_socket, unix_socket
from aaa.errors import ConfigError
from tests.support.control import World

PUBLIC = {"/livez", "/readyz"}
ENDLESS = {"/v1/live/stream"}


def token(world: World, *roles: str, **more: str) -> str:
    made = world.api.post("/v1/tokens", json={"name": "-".join(roles), "roles": list(roles), **more})
    assert 201 == made.status_code, made.text
    return made.json()["token"]


def stranger(world: World, token: str = "") -> TestClient:
    """A client that comes over TCP."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return TestClient(make_app(world.context), client=("192.0.2.1", 4711), headers=headers)


def routes() -> list[tuple[APIRoute, set[str]]]:
    """All routes with the roles they demand."""
    found = []
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        calls = [dependency.call for dependency in route.dependant.dependencies]
        found.append((route, {call.role for call in calls if hasattr(call, "role")}))
    return found


def test_every_write_demands_more_than_reading():
    """No route is forgotten: each is public health, or reads with `read`, or writes with another role."""
    found = routes()

    assert len(found) > 30
    for route, roles in found:
        if route.path in PUBLIC:
            continue
        assert roles, route.path
        if route.methods != {"GET"}:
            assert roles & {"operate", "money", "admin"}, route.path


def test_without_a_token_nothing_is_told(world: World):
    """401 with the scheme; health stays public."""
    world.apply()
    client = stranger(world)
    refused = client.get("/v1/accounts")

    assert (401, "Bearer") == (refused.status_code, refused.headers["www-authenticate"])
    assert 401 == stranger(world, "aaa_wrong").get("/v1/accounts").status_code
    assert 200 == client.get("/readyz").status_code


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("read", {"read"}),
        ("operate", {"read", "operate"}),
        ("money", {"read", "money"}),
        ("admin", {"read", "operate", "money", "admin"}),
    ],
)
def test_a_token_does_what_its_role_allows_and_gets_403_for_every_other_write(world: World, role, allowed):
    """All routes are tried with every role."""
    world.apply()
    client = stranger(world, token(world, role))
    for route, roles in routes():
        if route.path in PUBLIC | ENDLESS:
            continue
        method = next(iter(route.methods))
        path = route.path.replace("{name}", "nobody").replace("{number}", "1").replace("{format}", "csv")
        path = path.replace("{version}", "1").replace("{kind}", "ip").replace("{value:path}", "x")
        path = path.replace("{ref}", "x").replace("{serial}", "x").replace("{subscriber:path}", "x")
        answer = client.request(method, path, json={} if method != "GET" else None)
        if roles <= allowed:
            assert answer.status_code not in (401, 403), (method, path, answer.text)
        else:
            assert (403, "not_permitted") == (answer.status_code, answer.json()["code"]), (method, path)


def test_a_token_is_revoked_at_once_and_expires(world: World):
    """Neither needs a restart."""
    world.apply()
    client = stranger(world, token(world, "read"))
    before = client.get("/v1/accounts").status_code
    world.api.delete("/v1/tokens/read")
    soon = stranger(world, token(world, "money", expires_at="2026-09-21T13:20:00Z"))
    world.now_us += 1

    assert (200, 401) == (before, client.get("/v1/accounts").status_code)
    world.now_us += 10**15
    assert 401 == soon.get("/v1/accounts").status_code


def test_tokens_are_stored_as_hashes_and_named_in_the_audit_log(world: World):
    """A copy of the database opens nothing."""
    world.apply()
    secret = token(world, "money")
    stranger(world, secret).post("/v1/accounts/alice/topups", json={"amount": "1", "idempotency_key": "k"})
    dump = "\n".join(world.store._db.iterdump())

    assert secret not in dump
    assert ("balance.topup", "token:money") == tuple(world.get("audit")["items"][0][key] for key in ("action", "actor"))
    assert secret not in json.dumps(world.get("tokens"))


def test_serves_tcp_beside_the_unix_socket(world: World):
    """One application, two doors."""
    world.apply()
    secret = token(world, "read")
    remote = tcp_socket("127.0.0.1:0")
    port = remote.getsockname()[1]
    server = ApiServer(world.context, unix_socket(world.context.config.api.socket, None), remote)
    server.start()
    try:
        with pytest.raises(ConfigError, match="Address already in use"):
            tcp_socket(f"127.0.0.1:{port}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/v1/whoami", headers={"Authorization": f"Bearer {secret}"})
        answer = json.loads(connection.getresponse().read())
        connection.request("GET", "/v1/whoami")
        refused = connection.getresponse().status
        connection.close()
    finally:
        server.stop()

    assert ({"actor": "token:read", "roles": ["read"]}, 401) == (answer, refused)
