"""
The live page: three static files under a policy that lets nothing else in.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from aaa.api.problems import not_found

router = APIRouter(include_in_schema=False)

_TYPES = {"index.html": "text/html; charset=utf-8", "app.js": "text/javascript", "style.css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
@router.get("/ui")
def home() -> RedirectResponse:
    """Where people look first."""
    return RedirectResponse("/ui/")


@router.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask; there is none."""
    return Response(status_code=204)


@router.get("/ui/")
@router.get("/ui/{name}")
def page(name: str = "index.html") -> Response:
    """One of the files; they hold no data, so they need no token."""
    if name not in _TYPES:
        raise not_found("file", name)
    content = (files("aaa.api") / "static" / name).read_bytes()
    return Response(content, media_type=_TYPES[name], headers=_HEADERS)
