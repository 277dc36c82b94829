"""
FreeSWITCH's event socket, for the one thing RADIUS cannot do there: end a call now (`uuid_kill`).

Theory.  The socket greets with `Content-Type: auth/request`; the password is sent, then the command, and
each gets a message: headers, an empty line, and as many octets of body as Content-Length says.  The
command's message is an `api/response` whose body begins with `+OK` or `-ERR`.  `EventSocketKill` is this
conversation without a socket; whoever owns the connection feeds it and sends what it returns.
"""

from __future__ import annotations

import re

from aaa.radius.dynauth import Outcome

MESSAGE_MAX = 65_536
TIMEOUT_S = 5.0
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NO_CHANNEL = b"-ERR No such channel"


def call_of(key: str, aliases: tuple[str, ...]) -> str | None:
    """
    The channel of a session: the Acct-Session-Id of our configuration is its uuid.

    >>> call_of("fs|fs1|0|s:5f0a11c2-0000-4000-8000-00000000002a", ())
    '5f0a11c2-0000-4000-8000-00000000002a'
    """
    for name in (key, *aliases):
        kind, _, value = name.split("|", 3)[-1].partition(":")
        if kind in ("s", "h") and UUID.fullmatch(value.partition(":")[0]):
            return value.partition(":")[0]
    return None


class EventSocketKill:
    """
    One conversation that ends one channel.

    Args:
        channel: Its uuid; anything else could be a command of its own.

    Raises:
        ValueError: `channel` is no uuid.
    """

    def __init__(self, password: str, channel: str) -> None:
        if UUID.fullmatch(channel) is None:
            raise ValueError(f"{channel!r} is no channel uuid")
        self.outcome: Outcome | None = None
        self._password = password.replace("\r", "").replace("\n", "")
        self._channel = channel
        self._buffer = b""

    def received(self, data: bytes) -> bytes:
        """Take what came and return what is to be sent; `outcome` is set once it is known."""
        self._buffer += data
        if len(self._buffer) > MESSAGE_MAX:
            self.outcome = Outcome.NAK
            return b""
        answer = b""
        while self.outcome is None:
            message = self._next()
            if message is None:
                break
            answer += self._answer(*message)
        return answer

    def _next(self) -> tuple[dict[str, str], bytes] | None:
        """The next whole message, None while it is not there."""
        head, separator, rest = self._buffer.partition(b"\n\n")
        if not separator:
            return None
        lines = [line.partition(": ") for line in head.decode("utf-8", "replace").splitlines()]
        headers = {name.lower(): value for name, _, value in lines}
        length = headers.get("content-length", "0")
        size = int(length) if length.isdecimal() and len(length) < 7 else MESSAGE_MAX
        if len(rest) < size:
            return None
        self._buffer = rest[size:]
        return headers, rest[:size]

    def _answer(self, headers: dict[str, str], body: bytes) -> bytes:
        kind = headers.get("content-type", "")
        if kind == "auth/request":
            return f"auth {self._password}\n\n".encode()
        if kind == "command/reply" and headers.get("reply-text", "").startswith("+OK accepted"):
            return f"api uuid_kill {self._channel} ALLOTTED_TIMEOUT\n\n".encode()
        if kind == "api/response":
            is_gone = body.startswith((b"+OK", _NO_CHANNEL))  # a call that is not there any more has ended
            self.outcome = Outcome.ACK if is_gone else Outcome.NAK
        else:  # a wrong password, a refusal by address (text/rude-rejection), a goodbye
            self.outcome = Outcome.NAK
        return b""
