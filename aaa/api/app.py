"""
The control API as one application; its OpenAPI document is the reference.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aaa.api import (
    accounts,
    apply,
    clients,
    exports,
    ledger,
    live,
    outbox,
    peers,
    problems,
    rates,
    rerating,
    sessions,
    shapes,
    system,
    tariff_import,
    tariffs,
    tokens,
    transfers,
    ui,
    vouchers,
    watch,
)
from aaa.api.context import ApiContext
from aaa.api.problems import MEDIA_TYPE, Refusal

_MONEY = (accounts, transfers, vouchers, ledger)
_CALLS = (rerating, sessions, exports, live, watch)
ROUTERS = tuple(
    module.router
    for module in (apply, *_MONEY, *_CALLS, tariffs, tariff_import, rates, clients, tokens, outbox, peers, system)
)
BODY_OCTETS_MAX = 1 << 20
APPLY_OCTETS_MAX = 1 << 29
FILE_PATHS = frozenset(("/v1/apply", "/v1/tariffs"))
_PROBLEM = {"model": shapes.Problem, "content": {MEDIA_TYPE: {}}}
_RESPONSES: dict[int | str, dict[str, object]] = {
    status: {**_PROBLEM, "description": text}
    for status, text in {
        400: "Malformed request",
        401: "No valid token",
        403: "The token lacks the role",
        404: "Not found",
        409: "Conflict",
        413: "Body too large",
        422: "Refused, with the reasons",
        503: "Node or store unavailable",
        504: "The node did not answer in time",
    }.items()
}


def make_app(context: ApiContext) -> FastAPI:
    """The application over one context."""
    app = describe(context.version)
    app.state.context = context
    app.state.gallery = live.Gallery()
    app.add_middleware(BodyLimit)
    return app


def describe(version: str) -> FastAPI:
    """The application without anything behind it: its routes and their document."""
    app = FastAPI(
        title="prepaid-aaa control API",
        version=version,
        description="Accounts, balances, sessions, tariffs and health of a prepaid AAA server.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses=_RESPONSES,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(ui.router)
    problems.install(app)
    return app


class BodyLimit:
    """Refuse bodies above a bound before they are read: 1 MiB, for apply files 512 MiB."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received; answer 413 when it is announced or becomes too much."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = APPLY_OCTETS_MAX if scope["path"] in FILE_PATHS else BODY_OCTETS_MAX
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise Refusal(413, f"the body is larger than {limit} octets")
            return message

        await self._app(scope, counted, send)


def _too_large(limit: int) -> ASGIApp:
    return Refusal(413, f"the body is larger than {limit} octets").response()
