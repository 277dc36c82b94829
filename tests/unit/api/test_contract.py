"""The API keeps its own document: no 5xx, no undocumented status, answers of the shapes it promises."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from aaa.api.app import ROUTERS
from aaa.keys import Keys
from tests.support.control import World, make_config


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(make_config(tmp_path_factory.mktemp("contract")), Keys([bytes(range(32))]))
    world.context.reload = list
    world.context.disconnect_peer = len  # whatever the host
    world.apply()
    world.begin()
    world.begin("ended")
    world.end("ended")
    yield world
    world.close()


@pytest.fixture(scope="module")
def document(world):
    return schemathesis.openapi.from_asgi("/v1/openapi.json", AsOwner(world.api.app))


class AsOwner:
    """The application as seen from the unix socket."""

    def __init__(self, app) -> None:
        self._app = app

    async def __call__(self, scope, receive, send) -> None:
        await self._app({**scope, "client": ("uid:0", 1)}, receive, send)


ENDLESS = {"/v1/live/stream"}
OPERATIONS = sorted(
    (route.path, method)
    for router in ROUTERS
    for route in router.routes
    for method in route.methods
    if route.path not in ENDLESS
)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_keeps_the_document(world, document, path, method):
    """Random requests, valid and not: whatever comes back is documented."""
    operation = document[path.replace(":path", "")][method]

    @given(case=operation.as_strategy())
    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        case.call_and_validate(
            checks=[
                schemathesis.checks.not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ]
        )

    ask()
    assert [] == world.errors
