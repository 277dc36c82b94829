"""
What the control API says when it does not do something: problem+json (RFC 9457) with a stable code.

Denials of the engine are values; here they become answers with a status that scripts can act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from aaa.config.problems import Problem
from aaa.engine.answers import Ack, Answer, Denial, Outcome
from aaa.engine.terms import Reason
from aaa.errors import StoreUnavailable

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    400: "malformed",
    401: "not_authenticated",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    422: "refused",
    503: "unavailable",
    504: "timeout",
}
_STATUS_OF_REASON = {
    Reason.UNKNOWN_ACCOUNT: 404,
    Reason.UNKNOWN_SESSION: 404,
    Reason.CONFLICT: 409,
    Reason.SESSION_CLOSED: 409,
    Reason.STORE_DOWN: 503,
}


class Refusal(Exception):
    """
    Something that is not done, with the reason.

    Args:
        status: HTTP status; the code follows from it unless given.
        errors: Every single mistake, when a file or document was refused.
    """

    def __init__(
        self, status: int, detail: str, *, code: str = "", hint: str = "", errors: Sequence[Problem] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code or _TITLES.get(status, "refused")
        self.detail = detail
        self.hint = hint
        self.errors = errors

    def body(self) -> dict[str, Any]:
        """The problem document."""
        body: dict[str, Any] = {"type": "about:blank", "title": self.code.replace("_", " "), "status": self.status}
        body |= {"code": self.code, "detail": self.detail}
        if self.hint:
            body["hint"] = self.hint
        if self.errors:
            body["errors"] = [error._asdict() | {"message": str(error)} for error in self.errors]
        return body

    def response(self) -> JSONResponse:
        """The answer that carries it."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else None
        return JSONResponse(self.body(), self.status, media_type=MEDIA_TYPE, headers=headers)


def not_found(what: str, name: object) -> Refusal:
    """Nothing of this name exists."""
    return Refusal(404, f"no {what} {name}")


def accepted(answer: Answer) -> Ack:
    """
    The answer to a command that was done, or had been done before.

    Raises:
        Refusal: It was denied, ignored or in conflict.
    """
    if isinstance(answer, Denial):
        detail = answer.detail or answer.reason.replace("_", " ")
        raise Refusal(_STATUS_OF_REASON.get(answer.reason, 422), detail, code=_code(answer.reason))
    if isinstance(answer, Ack) and answer.outcome in (Outcome.DONE, Outcome.REPEAT):
        return answer
    outcome = answer.outcome if isinstance(answer, Ack) else Outcome.CONFLICT
    if outcome is Outcome.UNKNOWN:
        raise Refusal(404, "no such session")
    raise Refusal(409, "it has ended already" if outcome is Outcome.IGNORED else outcome.value)


def _code(reason: Reason) -> str:
    status = _STATUS_OF_REASON.get(reason, 422)
    return _TITLES[status] if status != 422 else reason.value


def install(app: FastAPI) -> None:
    """Make every failure of the application a problem document."""

    @app.exception_handler(Refusal)
    def _refusal(_request: Request, error: Refusal) -> JSONResponse:
        return error.response()

    @app.exception_handler(StoreUnavailable)
    def _store(_request: Request, error: StoreUnavailable) -> JSONResponse:
        return Refusal(503, f"the store does not answer: {error}").response()

    @app.exception_handler(RequestValidationError)
    def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        found = [_validation_problem(detail) for detail in error.errors()]
        return Refusal(422, str(found[0]) if found else "malformed request", code="malformed", errors=found).response()

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return Refusal(error.status_code, str(error.detail)).response()


def _validation_problem(detail: Any) -> Problem:
    where, *path = detail["loc"]
    message = str(detail["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return Problem(str(where), None, "", ".".join(map(str, path)), message)
