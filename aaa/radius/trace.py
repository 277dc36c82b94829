"""
Traces: the decoded packets of one subscriber on a live server, secrets hidden, off by themselves.

A request is traced when one of the texts that name its parties is the traced name; its answer is traced with it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from aaa.ops.traced import Tracer
from aaa.radius import attributes as a
from aaa.radius import names

if TYPE_CHECKING:
    from aaa.radius.request import Request

HIDDEN = "***"


_SECRET = frozenset(
    (
        a.USER_PASSWORD,
        a.CHAP_PASSWORD,
        a.CHAP_CHALLENGE,
        a.ARAP_PASSWORD,
        a.EAP_MESSAGE,
        a.DIGEST_RESPONSE,
        a.DIGEST_RESPONSE_AUTH,
        a.DIGEST_HA1,
        a.STERMAN_RESPONSE,
        a.MS_CHAP_RESPONSE,
        a.MS_CHAP2_RESPONSE,
        a.STATE,
        a.CLASS,
    )
)
_PARTIES = (
    a.USER_NAME,
    a.CALLING_STATION_ID,
    a.CALLED_STATION_ID,
    a.DIGEST_USERNAME,
    a.CHARGEABLE_USER_IDENTITY,
    a.ACCT_SESSION_ID,
)


class Traces(Tracer):
    """The packets of who is traced."""

    def request(self, request: Request) -> None:
        """Show a request if it is of a traced subscriber."""
        name = self._traced(request, request.now_us)
        if name:
            self._show("trace.request", name, request, request.packet.code, request.packet.attributes)

    def answer(self, request: Request, code: int, attributes: a.Attributes, result: str) -> None:
        """Show the answer to a request of a traced subscriber."""
        name = self._traced(request, request.now_us)
        if name:
            self._show("trace.answer", name, request, code, attributes, result=result)

    def _traced(self, request: Request, now_us: int) -> str:
        attributes = request.packet.attributes
        return self.people.find((a.text(attributes, code) for code in _PARTIES if code in attributes), now_us)

    def _show(self, event: str, name: str, request: Request, code: int, attributes: a.Attributes, **more: str) -> None:
        self.show(
            event,
            name,
            nas=request.nas.name,
            address=f"{request.address[0]}:{request.address[1]}",
            code=code,
            ident=request.packet.ident,
            attributes=shown(attributes, hides_names=request.nas.profile.takes_pins),
            **more,
        )


def shown(attributes: a.Attributes, hides_names: bool = False) -> list[str]:
    """
    The attributes as `Name = value`, those that prove something hidden.

    Args:
        hides_names: A User-Name may be a PIN.

    >>> shown({1: b"alice", 2: b"xxxxxxxxxxxxxxxx", 27: b"\\0\\0\\0\\x3c", 4: b"\\x7f\\0\\0\\x01"})
    ['User-Name = alice', 'User-Password = ***', 'Session-Timeout = 60', 'NAS-IP-Address = 127.0.0.1']
    """
    lines = []
    for code in attributes:
        name, kind = _known().get(code, (f"Attr-{code}" if code < 256 else f"Attr-26.{code >> 8}.{code & 255}", ""))
        for value in a.every(attributes, code):
            is_hidden = code in _SECRET or (hides_names and code == a.USER_NAME)
            lines.append(f"{name} = {HIDDEN if is_hidden else _text(kind, value)}")
    return lines


def _text(kind: str, value: bytes) -> str:
    if kind in ("integer", "date", "short", "byte") and len(value) <= 4:
        return str(int.from_bytes(value, "big"))
    if kind in ("ipaddr", "ipv6addr"):
        return a.address(value) or value.hex()
    if kind == "string":
        return a.as_text(value)
    return "0x" + value.hex()


@cache
def _known() -> dict[int, tuple[str, str]]:
    """Name and type of every attribute of the dictionaries, by code."""
    found: dict[int, tuple[str, str]] = {}
    for name in names.dictionary().attributes:
        code = names.code_of(name)
        if code is not None:
            found.setdefault(code, (name, names.type_of(name)))
    return found
