"""
What a worker is handed by its parent: one environment variable and a few open sockets.

The parent binds everything before it starts a worker, so that an address that is taken is a start-up error, told
once, and the sockets outlive a worker that dies.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twisted.internet.protocol import Factory

from aaa import mutual_tls
from aaa.config import Config
from aaa.diameter.listen import endpoint as diameter_endpoint
from aaa.errors import ConfigError
from aaa.workers.steering import shared
from aaa.workers.streams import Reserving

VARIABLE = "AAAD_WORKER"


@dataclass(frozen=True)
class Inherited:
    """
    One worker's share.

    Args:
        index: Which worker, from 0.
        bus: The file descriptor of its end of the pipe to the parent.
        udp: File descriptors of its RADIUS sockets, in the order of the configuration.
        ports: The ports of RadSec and Diameter listeners, likewise.
    """

    index: int
    bus: int
    udp: tuple[int, ...]
    ports: tuple[int, ...]

    def environment(self) -> dict[str, str]:
        """As the variable a worker is started with."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Inherited | None:
        """What this process was handed; None when it is no worker."""
        text = environ.get(VARIABLE)
        if text is None:
            return None
        told = json.loads(text)
        return cls(told["index"], told["bus"], tuple(told["udp"]), tuple(told["ports"]))

    def pipe(self) -> socket.socket:
        """The end of the pipe."""
        return socket.socket(fileno=self.bus)

    def sockets(self) -> list[socket.socket]:
        """The RADIUS sockets."""
        return [socket.socket(fileno=handle) for handle in self.udp]


class Reserved:
    """
    Everything the workers of this configuration share, bound.

    Raises:
        ConfigError: An address that cannot be bound, or a listener that cannot be shared.
    """

    def __init__(self, config: Config, role: str, workers: int, reactor: Any) -> None:
        self._reserving = Reserving(reactor)
        self._groups: list[list[socket.socket]] = []
        self._problems: list[str] = []
        try:
            self._bind(config, role, workers)
        except ConfigError:
            self.close()
            raise

    def _bind(self, config: Config, role: str, workers: int) -> None:
        if role in ("all", "radius"):
            for address in (*config.radius.auth, *config.radius.acct):
                try:
                    self._groups.append(shared(address, workers))
                except OSError as error:
                    raise ConfigError([f"[radius] {address}: {error.strerror or error}"]) from error
            for text in config.radius.tls:
                self._hold("[radius] tls", mutual_tls.endpoint(text, self._reserving, "[radius] tls", 2083))
        if role in ("all", "diameter"):
            for text in config.diameter.listen:
                self._hold("[diameter] listen", diameter_endpoint(text, self._reserving))
        if self._problems:
            raise ConfigError(self._problems)

    def _hold(self, table: str, endpoint: Any) -> None:
        def refused(failure: Any) -> None:
            self._problems.append(f"{table}: {failure.value}")

        endpoint.listen(Factory()).addErrback(refused)

    def udp(self, index: int) -> tuple[int, ...]:
        """The file descriptors of one worker's RADIUS sockets."""
        return tuple(group[index].fileno() for group in self._groups)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the stream listeners."""
        return tuple(held.getsockname()[1] for held in self._reserving.held)

    def close(self) -> None:
        """Give all addresses back."""
        for group in self._groups:
            for made in group:
                made.close()
        for held in self._reserving.held:
            held.close()
