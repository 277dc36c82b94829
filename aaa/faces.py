"""
The protocol faces of one process: RADIUS, Diameter, both or none, with what they know of clients and peers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aaa.config import Config
from aaa.diameter.server import DiameterServer
from aaa.diameter.server import Settings as DiameterSettings
from aaa.entries import advice, configured_clients, configured_peers
from aaa.keys import Keys
from aaa.node.directory import StoreDirectory
from aaa.node.node import ChargingNode
from aaa.ops.histogram import Histogram
from aaa.provision.credentials import unsealed_nas
from aaa.radius.server import RadiusServer
from aaa.watch import Documents
from aaa.workers.inherit import Inherited
from aaa.workers.streams import Sharing

ROLES = ("all", "radius", "diameter", "api")


class Faces:
    """
    What this process serves switches with.

    Args:
        role: One of ROLES.
        documents: Clients and peers of the store.
        is_serving: False silences Status-Server.

    Raises:
        ConfigError: A client or peer that cannot be used.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        node: ChargingNode,
        directory: StoreDirectory,
        documents: Documents,
        *,
        role: str,
        is_serving: Callable[[], bool],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.radius: RadiusServer | None = None
        self.diameter: DiameterServer | None = None
        self._keys = keys
        self._config = config
        self._documents = documents
        clients, peers = self._entries(config, documents)
        self.advice = advice(config, clients.entries)
        if role in ("all", "radius"):
            self.radius = RadiusServer(node, directory, clients, keys, is_serving=is_serving, on_error=on_error)
        if role in ("all", "diameter") and config.diameter.listen:
            host, realm = config.diameter.origin_host or "", config.diameter.origin_realm or ""
            identity = DiameterSettings(host, realm, contexts=config.diameter.contexts)
            self.diameter = DiameterServer(node, directory, peers, keys, identity, on_error)

    def start(self, reactor: Any, inherited: Inherited | None = None) -> None:
        """
        Bind, or work on what the parent bound.

        Raises:
            ConfigError: An address that cannot be bound.
        """
        config = self._config
        sockets: Sequence[socket.socket] = inherited.sockets() if inherited is not None else ()
        ports = list(inherited.ports) if inherited is not None else []
        if self.radius is not None:
            made = Sharing(reactor, ports[: len(config.radius.tls)]) if inherited is not None else reactor
            auth, acct = list(config.radius.auth), list(config.radius.acct)
            self.radius.start(made, auth, acct, config.radius.tls, sockets)
            ports = ports[len(config.radius.tls) :]
        if self.diameter is not None:
            made = Sharing(reactor, ports) if inherited is not None else reactor
            self.diameter.start(made, config.diameter.listen)

    def stop(self) -> None:
        """Take leave of peers, close everything."""
        if self.diameter is not None:
            self.diameter.stop()
        if self.radius is not None:
            self.radius.stop()

    def reload(self, config: Config) -> None:
        """
        Serve with another configuration from now on.

        Raises:
            ConfigError: Its clients or peers cannot be used; nothing has changed.
        """
        self._replace(config, self._documents)

    def provisioned(self, documents: Documents) -> None:
        """
        Serve with other clients and peers of the store from now on.

        Raises:
            ConfigError: They cannot be used beside the configured ones; nothing has changed.
        """
        if documents != self._documents:
            self._replace(self._config, documents)

    def _replace(self, config: Config, documents: Documents) -> None:
        clients, peers = self._entries(config, documents)
        self._config, self._documents = config, documents
        self.advice = advice(config, clients.entries)
        if self.radius is not None:
            self.radius.reload(clients)
        if self.diameter is not None:
            self.diameter.reload(peers)

    def _entries(self, config: Config, documents: Documents) -> Any:
        clients = configured_clients(config, tuple(unsealed_nas(one, self._keys) for one in documents.nas))
        return clients, configured_peers(config, documents.peers)

    @property
    def listeners(self) -> list[str]:
        """What is served, in words: `radius auth on 127.0.0.1:1812`."""
        bound = []
        if self.radius is not None:
            bound += [f"radius {kind} on {host}:{port}" for kind, (host, port) in self.radius.bound_ports]
        if self.diameter is not None:
            bound += [f"{kind} on {host}:{port}" for kind, (host, port) in self.diameter.bound_ports]
        return bound

    @property
    def radius_counters(self) -> Mapping[tuple[str, ...], int]:
        """The RADIUS face's counters; none without it."""
        return {} if self.radius is None else self.radius.counters

    @property
    def diameter_counters(self) -> Mapping[tuple[str, ...], int]:
        """The Diameter face's counters; none without it."""
        return {} if self.diameter is None else self.diameter.counters

    @property
    def diameter_durations(self) -> Mapping[tuple[str, str], Histogram]:
        """How long the Diameter face took to answer, by command and request type."""
        return {} if self.diameter is None else self.diameter.service.durations

    def connected(self) -> dict[tuple[str, str, str], int]:
        """How many connections each Diameter peer has here: by Origin-Host, realm and address."""
        return {} if self.diameter is None else self.diameter.connected()


def listeners_of(config: Config, role: str) -> int:
    """How many listeners a process of this role has to have."""
    radius = len(config.radius.auth) + len(config.radius.acct) + len(config.radius.tls)
    return (radius if role in ("all", "radius") else 0) + (
        len(config.diameter.listen) if role in ("all", "diameter") else 0
    )
