"""
Where events go: a file of JSON lines, a webhook, a Redis stream.

A sink takes events in order and says how many of them it has; what it does not have is given to it again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, Protocol, TypedDict

from aaa.config.sections import OutboxTable
from aaa.errors import ConfigError
from aaa.keys import Keys

TIMEOUT_S = 10.0
STREAM_LENGTH_MAX = 1_000_000
_LATER = frozenset({408, 425, 429})  # 4xx that do not mean "never"


class Event(NamedTuple):
    """One row of the outbox."""

    number: int
    kind: str
    at_us: int
    body: str  # JSON object


class Envelope(TypedDict):
    """What every event says before its body."""

    kind: Annotated[str, "which event"]
    at_us: Annotated[int, "when it was written"]


class Delivered(NamedTuple):
    """How many of the events are there; why not all; and whether the first that is not there never will be."""

    taken: int
    problem: str = ""
    is_refused: bool = False


class Sink(Protocol):
    """Where one consumer's events go; used by one thread."""

    def deliver(self, events: Sequence[Event]) -> Delivered:
        """Hand events over in order; those that are counted are durable or acknowledged there."""

    def close(self) -> None:
        """Give connections back."""


def text_of(event: Event) -> str:
    """An event as every sink writes it."""
    envelope = Envelope(kind=event.kind, at_us=event.at_us)
    return json.dumps({**envelope, **json.loads(event.body)})


class FileSink:
    """Appends JSON lines; the file may be moved away at any time, as log rotation does."""

    def __init__(self, path: str) -> None:
        self._path = path

    def deliver(self, events: Sequence[Event]) -> Delivered:
        """Write all, durably, or none; what a full disk took of them is cut off again."""
        data = "".join(text_of(event) + "\n" for event in events).encode()
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                before = os.fstat(handle).st_size
                if os.write(handle, data) != len(data):
                    os.ftruncate(handle, before)
                    return Delivered(0, f"{self._path}: no space left")
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            return Delivered(0, f"{self._path}: {error.strerror}")
        return Delivered(len(events))

    def close(self) -> None:
        """Nothing is kept open."""


class WebhookSink:
    """
    Posts every event, signed.

    `X-AAA-Signature` is `v1=` and the hex HMAC-SHA256 of timestamp, a full stop and the body, under the consumer's
    key; `X-AAA-Timestamp` are seconds since the epoch, so that an old request cannot be played again.

    Args:
        key: See `webhook_key`.
        now_s: Seconds since the epoch.
    """

    def __init__(self, url: str, key: str, now_s: Callable[[], int]) -> None:
        import httpx  # noqa: PLC0415 - only who has a webhook pays for it

        self._http: Any = httpx
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)
        self._url = url
        self._key = key.encode()
        self._now_s = now_s

    def deliver(self, events: Sequence[Event]) -> Delivered:
        """Post one after the other, until one is not taken."""
        for count, event in enumerate(events):
            body = text_of(event).encode()
            stamp = str(self._now_s())
            signature = hmac.new(self._key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers = {
                "content-type": "application/json",
                "x-aaa-event": event.kind,
                "x-aaa-timestamp": stamp,
                "x-aaa-signature": f"v1={signature}",
            }
            try:
                status = self._client.post(self._url, content=body, headers=headers).status_code
            except self._http.HTTPError as error:
                return Delivered(count, f"{type(error).__name__}: {error}")
            if not 200 <= status < 300:
                return Delivered(count, f"HTTP {status}", 400 <= status < 500 and status not in _LATER)
        return Delivered(len(events))

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()


class StreamSink:
    """Adds every event to a Redis stream, which keeps about the last million."""

    def __init__(self, url: str, stream: str) -> None:
        from redis import Redis  # noqa: PLC0415 - the client is an extra
        from redis.exceptions import RedisError  # noqa: PLC0415

        self._error = RedisError
        self._stream = stream
        self._client: Any = Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)

    def deliver(self, events: Sequence[Event]) -> Delivered:
        """Add all in one exchange; if it fails, some may be there already and come again."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            for event in events:
                fields = {"kind": event.kind, "event": text_of(event)}
                pipeline.xadd(self._stream, fields, maxlen=STREAM_LENGTH_MAX, approximate=True)
            pipeline.execute()
        except (self._error, OSError) as error:
            return Delivered(0, f"{type(error).__name__}: {error}")
        return Delivered(len(events))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def webhook_key(keys: Keys, consumer: str) -> str:
    """The key a webhook's receiver checks signatures with: derived, so that it opens nothing else (S24)."""
    return hmac.new(keys.derived("webhook")[0], consumer.encode(), hashlib.sha256).hexdigest()


def sink_of(table: OutboxTable, redis_url: str | None, keys: Keys, now_s: Callable[[], int]) -> Sink:
    """
    The sink of an `[[outbox]]` table.

    Raises:
        ConfigError: The Redis client is not installed, or its URL is none.
    """
    if table.file is not None:
        return FileSink(table.file)
    if table.webhook is not None:
        return WebhookSink(table.webhook, webhook_key(keys, table.name), now_s)
    try:
        return StreamSink(redis_url or "", table.stream or "")
    except ImportError as error:
        raise ConfigError(["[[outbox]] stream: Redis needs the extra: pip install 'prepaid-aaa[redis]'"]) from error
    except ValueError as error:
        raise ConfigError([f"[redis] url: {error}"]) from error
