"""
The link between machines: Redis publish and subscribe, on a thread with an event loop of its own.

Redis keeps nothing here that is missed when it is lost: it connects, or it does not, and is tried again with
growing pauses.  The reactor only puts messages into a bounded queue and takes them from `callFromThread`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from msgspec import DecodeError
from msgspec.json import decode, encode
from redis.asyncio import Redis
from redis.exceptions import RedisError

from aaa.bus.hub import MESSAGE_MAX, Message

CHANNEL = "prepaid-aaa:bus"
QUEUE_MAX = 1_000
PAUSE_FIRST_S = 0.1
PAUSE_MOST_S = 5.0
TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 3.0
_Queue = asyncio.Queue[bytes]


class RedisLink:
    """
    A link over one Redis.

    Args:
        call_in_reactor: `reactor.callFromThread`.
        received: Gets every message of other processes, on the reactor thread.
        reached: Called on the reactor thread whenever the connection is made: what was missed is to be looked for.
    """

    def __init__(
        self,
        url: str,
        call_in_reactor: Callable[..., Any],
        received: Callable[[Message, RedisLink], None],
        reached: Callable[[], None],
    ) -> None:
        self.is_up = False
        self._url = url
        self._name = uuid4().hex
        self._call = call_in_reactor
        self._received = received
        self._reached = reached
        self._loop = asyncio.new_event_loop()
        self._queued = 0
        self._outbound: _Queue | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="redis", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> bool:
        """Queue a message; False while Redis is not there, or does not keep up."""
        data = encode({"from": self._name, "message": message})
        if not self.is_up or self._queued >= QUEUE_MAX or len(data) > MESSAGE_MAX:
            return False
        self._queued += 1
        self._loop.call_soon_threadsafe(self._put, data)
        return True

    def stop(self) -> None:
        """End the connection and the thread."""
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(STOP_TIMEOUT_S)

    # -- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._keep())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _put(self, data: bytes) -> None:
        if self._outbound is not None:
            self._outbound.put_nowait(data)
        else:
            self._queued -= 1

    async def _keep(self) -> None:
        """Be connected, again and again."""
        pause_s = PAUSE_FIRST_S
        while True:
            client: Any = Redis.from_url(
                self._url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, health_check_interval=5
            )
            try:
                async with client, client.pubsub(ignore_subscribe_messages=True) as listening:
                    await listening.subscribe(CHANNEL)
                    await client.ping()
                    pause_s = PAUSE_FIRST_S
                    await self._serve(client, listening)
            except (TimeoutError, RedisError, OSError):
                self._down()
            except asyncio.CancelledError:
                self._down()
                raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MOST_S)

    async def _serve(self, client: Any, listening: Any) -> None:
        """Send and receive until one of them fails."""
        self._outbound = asyncio.Queue()
        self.is_up = True
        self._call(self._reached)
        tasks = [
            asyncio.ensure_future(self._send_all(client, self._outbound)),
            asyncio.ensure_future(self._receive_all(listening)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, client: Any, outbound: _Queue) -> None:
        while True:
            data = await outbound.get()
            self._queued -= 1
            await client.publish(CHANNEL, data)

    async def _receive_all(self, listening: Any) -> None:
        while True:
            taken = await listening.get_message(timeout=1.0)
            if taken is None:
                continue
            try:
                told = decode(taken["data"])
                name, message = told["from"], told["message"]
            except (DecodeError, TypeError, KeyError):
                continue  # somebody else publishes there
            if name != self._name and isinstance(message, dict):
                self._call(self._received, message, self)

    def _down(self) -> None:
        self.is_up = False
        if self._outbound is not None:
            self._queued -= self._outbound.qsize()
            self._outbound = None
