"""
The bus as one process sees it: handlers by kind of message, and links to others.

A process without links talks to itself.  A parent has a link to each of its workers and passes on what one of
them says; a Redis link connects machines.  A message is a JSON object with `kind`; it is handed on to every
link but the one it came by, and those who connect hubs in a circle are spoken to twice at most, because Redis
links do not pass on what came from Redis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

Message = dict[str, Any]
Handler = Callable[[Message], None]

MESSAGE_MAX = 65_536


class Link(Protocol):
    """A way to other processes."""

    def send(self, message: Message) -> bool:
        """Send, now or soon; False when the queue was full or the link is down, and the message is lost."""


class Hub:
    """
    The bus.

    Args:
        on_error: Told of handlers that raise; one message must not end the others.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self.counters: Counter[tuple[str, str]] = Counter()
        self._links: list[Link] = []
        self._handlers: dict[str, Handler] = {}
        self._on_error = on_error

    def join(self, link: Link) -> None:
        """Send to this link too."""
        self._links.append(link)

    def leave(self, link: Link) -> None:
        """Send to this link no more."""
        if link in self._links:
            self._links.remove(link)

    def handle(self, kind: str, handler: Handler) -> None:
        """Give messages of this kind that others publish to `handler`."""
        self._handlers[kind] = handler

    def publish(self, kind: str, *, most: int | None = None, **content: Any) -> int:
        """
        Tell the others; this process's own handlers are not called.

        Args:
            most: Tell so many links at most, the first ones.

        Returns:
            How many links took it.
        """
        return self._pass_on({"kind": kind, **content}, None, most)

    def received(self, message: Message, link: Link | None) -> None:
        """Take a message that came by a link: handle it, and pass it on to the others."""
        kind = str(message.get("kind", ""))
        self.counters["received", kind] += 1
        self._pass_on(message, link, None)
        handler = self._handlers.get(kind)
        if handler is None:
            return
        try:
            handler(message)
        except Exception as error:
            self._on_error(error)

    def _pass_on(self, message: Message, came_by: Link | None, most: int | None) -> int:
        sent = 0
        for link in list(self._links):
            if link is came_by or (most is not None and sent >= most):
                continue
            if link.send(message):
                sent += 1
            else:
                self.counters["lost", message["kind"]] += 1
        return sent
