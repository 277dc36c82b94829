"""
Who may do what: everything on the unix socket, by role with a token over TCP.

The socket's file mode says who reaches it; the kernel says who that is.  Tokens are stored as keyed
hashes (SEMANTICS S24) and carry roles: `read` sees, `operate` ends sessions and drains, `money` moves
money, `admin` does everything, provisioning and tokens included.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Request

from aaa.api.context import ApiContext, Caller, context_of
from aaa.api.problems import Refusal
from aaa.store import read

Role = Literal["read", "operate", "money", "admin"]
ROLES: tuple[Role, ...] = ("read", "operate", "money", "admin")
TOKEN_MAX = 200

_INCLUDED: dict[str, frozenset[str]] = {
    "read": frozenset(("read",)),
    "operate": frozenset(("read", "operate")),
    "money": frozenset(("read", "money")),
    "admin": frozenset(ROLES),
}


def caller_of(request: Request) -> Caller:
    """
    Who asks, and with which roles.

    Raises:
        Refusal: Over TCP without a valid token.
    """
    reason = request.headers.get("X-Reason", "")
    host = request.client.host if request.client else ""
    if host.startswith("uid:"):  # set by the server from the kernel's word, never by the client
        return Caller(host, reason, _INCLUDED["admin"])
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MAX:
        raise Refusal(401, "a bearer token is needed here; `aaactl token create` makes one")
    context = context_of(request)
    row = _token(context, token)
    if row is None:
        raise Refusal(401, "the token is unknown, revoked or expired")
    roles = frozenset[str]().union(*(_INCLUDED.get(role, frozenset()) for role in row.roles.split()))
    return Caller(f"token:{row.name}", reason, roles)


def needs(role: Role) -> Any:
    """A dependency that lets callers with a role pass."""

    def check(caller: Annotated[Caller, Depends(caller_of)]) -> None:
        if role not in caller.roles:
            raise Refusal(403, f"{caller.actor} lacks the role {role}")

    check.role = role  # type: ignore[attr-defined]  # what the test of all routes looks at
    return Depends(check)


def _token(context: ApiContext, token: str) -> Any:
    with context.read() as connection:
        row = read.token(connection, context.keys.fingerprints("token", token))
    if row is None or row.revoked_at is not None:
        return None
    return None if row.expires_at is not None and row.expires_at <= context.clock() else row


Who = Annotated[Caller, Depends(caller_of)]
READ, OPERATE, MONEY, ADMIN = (needs(role) for role in ROLES)
