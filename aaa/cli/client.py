"""
The control API over a unix socket or HTTPS, with nothing but the standard library (it must start fast).
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from aaa.cli.errors import EXIT_OF_STATUS, INVALID_CONFIG, REFUSED, UNREACHABLE, CliError

DEFAULT_SOCKET = "/run/aaa/control.sock"
TIMEOUT_S = 130.0
PAGE = 1_000
_PROGRESS = "application/x-ndjson"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def path_of(*parts: str | int) -> str:
    """
    A path under /v1 whose parts may hold any character.

    >>> path_of("accounts", "a/b", "balance")
    '/v1/accounts/a%2Fb/balance'
    """
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


class Client:
    """
    One server.

    Args:
        url: `http://...` or `https://...`; empty: the unix socket.
        token: Bearer token for a URL.
        reason: Goes into the audit log with every write.
    """

    def __init__(self, socket_path: str, url: str = "", token: str = "", reason: str = "") -> None:
        self._socket_path = socket_path
        self._url = url
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if reason:
            self._headers["X-Reason"] = reason
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, **query: Any) -> Any:
        """Read one document."""
        return self.request("GET", path, query=query)

    def text(self, path: str) -> str:
        """Read something that is no JSON."""
        response = self._send("GET", path, None, {}, {})
        content = response.read()
        if response.status >= 400:
            raise _error(response.status, content)
        return content.decode()

    def pages(self, path: str, most: int | None = None, **query: Any) -> Iterator[Any]:
        """
        Read a list to its end, a page at a time; nothing but one page is held in memory.

        Args:
            most: Stop after so many items.
        """
        cursor_name = query.pop("cursor_name", "after")
        left = most
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self.get(path, **{**query, "limit": size})
            yield from page["items"][:left]
            left = None if left is None else left - len(page["items"])
            if page["next"] is None:
                return
            query[cursor_name] = page["next"]

    def request(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """
        Ask for something.

        Raises:
            CliError: Refused, not found, unreachable; with its exit code.
        """
        response = self._send(method, path, body, query or {}, {})
        content = response.read()
        if response.status >= 400:
            raise _error(response.status, content)
        return json.loads(content) if content else None

    def probe(self, path: str) -> Any:
        """Read a document whatever its status: the answer of a health check that failed is an answer too."""
        return json.loads(self._send("GET", path, None, {}, {}).read())

    def progress(self, path: str, body: Any, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """
        Ask for something long: yields progress documents, the result last.

        Raises:
            CliError: Refused, also in the middle.
        """
        response = self._send("POST", path, body, query, {"Accept": _PROGRESS})
        if response.status >= 400:
            raise _error(response.status, response.read())
        while line := response.readline():
            document = json.loads(line)
            if "problem" in document:
                raise _error(document["problem"]["status"], json.dumps(document["problem"]).encode())
            yield document

    def _send(
        self, method: str, path: str, body: Any, query: dict[str, Any], headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        given = {key: _query_text(value) for key, value in query.items() if value not in (None, "")}
        target = f"{path}?{urlencode(given)}" if given else path
        content = None if body is None else json.dumps(body).encode()
        sent = {**self._headers, **headers} | ({"Content-Type": "application/json"} if content is not None else {})
        try:
            connection = self._connection = self._connection or self._connect()
            connection.request(method, target, content, sent)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            where = self._url or self._socket_path
            hint = "is aaad running, and is the socket the one of its [api] table?"
            raise CliError("unreachable", f"{where}: {reason}", UNREACHABLE, hint=hint) from error

    def _connect(self) -> http.client.HTTPConnection:
        if not self._url:
            return _UnixConnection(self._socket_path, TIMEOUT_S)
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CliError("usage", f"{self._url}: expected http://host:port or https://host:port", 2)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname, parts.port, timeout=TIMEOUT_S)


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(status: int, content: bytes) -> CliError:
    """The problem document of an answer as an error with its exit code."""
    try:
        problem = json.loads(content)
        code, detail = problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        return CliError("refused", f"HTTP {status}", EXIT_OF_STATUS.get(status, REFUSED))
    exit_code = INVALID_CONFIG if code == "config_rejected" else EXIT_OF_STATUS.get(status, REFUSED)
    lines = [str(error["message"]) for error in problem.get("errors") or ()]
    return CliError(code, detail, exit_code, hint=problem.get("hint") or "", lines=lines)
