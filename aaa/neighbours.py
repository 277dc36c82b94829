"""
The processes beside this one: its workers, its parent, and through Redis the nodes on other machines.

What goes back and forth are hints (`aaa.bus`), the figures of workers, and a parent's commands to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aaa.bus.hub import Hub, Message
from aaa.bus.pipe import PipeLink
from aaa.config import Config
from aaa.errors import ConfigError
from aaa.faces import Faces
from aaa.ops.figures import Told
from aaa.watch import Watch
from aaa.workers.group import WorkerGroup
from aaa.workers.inherit import Inherited


class Neighbours:
    """
    The bus of this process and everyone on it.

    Args:
        watch: Looks at the store when somebody says that it changed; None when nobody else writes it.
        commands: What a parent may order by name.
        orphaned: Called when the parent is gone.
    """

    def __init__(
        self,
        hub: Hub,
        reactor: Any,
        faces: Faces,
        watch: Watch | None,
        commands: Mapping[str, Callable[[], None]],
        orphaned: Callable[[], None],
    ) -> None:
        self.hub = hub
        self.group: WorkerGroup | None = None
        self._reactor = reactor
        self._faces = faces
        self._watch = watch
        self._commands = commands
        self._orphaned = orphaned
        self._parent: PipeLink | None = None
        self._redis: Any = None
        hub.handle("look", lambda message: self._look())
        hub.handle("guess", self._guessed_elsewhere)
        if faces.radius is not None:
            faces.radius.service.authenticator.tell_failure = self._tell

    def join(self, config: Config, inherited: Inherited | None) -> None:
        """
        Be on the bus: a worker through its parent, everybody else through Redis where one is configured.

        Raises:
            ConfigError: The Redis client is not installed, or the URL is none.
        """
        if inherited is not None:
            self._parent = PipeLink(self._reactor, inherited.pipe(), self._from_parent, self._orphaned)
            self.hub.join(self._parent)
        elif config.redis.url is not None:
            try:
                from aaa.bus.redis import RedisLink  # noqa: PLC0415 - the client is an extra
            except ImportError as error:
                raise ConfigError(["[redis] url: Redis needs the extra: pip install 'prepaid-aaa[redis]'"]) from error
            try:
                self._redis = RedisLink(
                    config.redis.url, self._reactor.callFromThread, self.hub.received, self._look_all
                )
            except ValueError as error:
                raise ConfigError([f"[redis] url: {error}"]) from error
            self.hub.join(self._redis)

    def stop(self) -> None:
        """Leave the bus; what is left of the workers ends."""
        if self.group is not None:
            self.group.close()
        if self._redis is not None:
            self._redis.stop()
        if self._parent is not None:
            self._parent.close()

    def changed(self) -> None:
        """This process changed the store: have the others look at once."""
        self.hub.publish("look")

    def is_serving(self, listeners: list[str]) -> None:
        """Tell the parent that this worker serves."""
        if self._parent is not None:
            self._parent.send({"kind": "ready", "listeners": listeners})

    def tell_figures(self, figures: Told) -> None:
        """Tell the parent what this worker has counted; a sign of life in any case."""
        if self._parent is not None and not self._parent.send({"kind": "figures", "figures": figures}):
            self._parent.send({"kind": "alive"})

    def gauges(self) -> dict[str, float]:
        """What the metrics show of the neighbours."""
        found: dict[str, float] = {}
        if self.group is not None:
            found["aaa_workers_serving"] = self.group.serving
        if self._redis is not None:
            found["aaa_redis_up"] = float(self._redis.is_up)
        return found

    def describe(self) -> dict[str, Any]:
        """What the status shows of the neighbours."""
        found: dict[str, Any] = {}
        if self.group is not None:
            found["workers"] = [worker.describe() for worker in self.group.workers]
        if self._redis is not None:
            found["redis_up"] = self._redis.is_up
        return found

    # -- what the others say ----------------------------------------------------------------------

    def _from_parent(self, message: Message, link: PipeLink) -> None:
        if message.get("kind") == "command":
            command = self._commands.get(message["command"])
            if command is not None:
                command()
        else:
            self.hub.received(message, link)

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.look()

    def _look_all(self) -> None:
        """Redis is there again: whatever was said meanwhile was missed."""
        self._look()
        if self.group is not None:
            self.hub.publish("look", most=len(self.group.workers))

    def _tell(self, who: tuple[str, ...]) -> None:
        self.hub.publish("guess", who=list(who))

    def _guessed_elsewhere(self, message: Message) -> None:
        """Count a wrong password that another node saw (S24)."""
        if self._faces.radius is not None:
            service = self._faces.radius.service
            service.authenticator.guesses.failed(tuple(message["who"]), service.node.now_us())
