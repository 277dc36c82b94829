"""
The tables of the configuration file, as OPERATIONS section 3 names them.

Durations are written with their unit and kept as whole seconds.  A value out of its range is refused
here; what concerns several keys at once is the semantic pass's business (`aaa.config.semantic`).
"""

from __future__ import annotations

import socket
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from aaa.config.clients import Name, NasTable, Outage, PeerTable, Prefixes, ProfileTable, Quantum, Table, YesAutoNo
from aaa.config.values import HostPort, Micro, Seconds
from aaa.engine.terms import Policy

EventKind = Literal["session.started", "session.settled", "balance.low", "balance.exhausted", "account.changed"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
PositiveSeconds = Annotated[Seconds, Field(gt=0)]
Text = Annotated[str, StringConstraints(min_length=1)]


class Server(Table):
    """This node: its name, its key, how long it takes leave."""

    node: Name = Field(default_factory=socket.gethostname)
    key_file: Text = "/etc/aaa/server.key"
    state_directory: Text = "/var/lib/aaa"
    drain_timeout: Seconds = 90


class Store(Table):
    """The database (SQLAlchemy URL); the password may come from a file or the environment instead."""

    url: Text = "sqlite:////var/lib/aaa/aaa.db"
    url_password_file: Text | None = None
    url_password_env: Text | None = None


class Radius(Table):
    """RADIUS listeners, plain `host:port`, and what all clients must do."""

    auth: tuple[HostPort, ...] = ()
    acct: tuple[HostPort, ...] = ()
    tls: tuple[Text, ...] = ()
    require_message_authenticator: YesAutoNo = "yes"
    status_server: bool = True
    status_per_second: Annotated[int, Field(ge=1, le=10_000)] = 10


class Diameter(Table):
    """Diameter identity and listeners (Twisted server endpoint strings)."""

    origin_host: Name | None = None
    origin_realm: Name | None = None
    listen: tuple[Text, ...] = ()
    contexts: dict[Text, Literal["voice", "data", "message", "event"]] = Field(default_factory=dict)


class Api(Table):
    """The control API: a unix socket, and TCP with tokens when `listen` is given."""

    socket: Text = "/run/aaa/control.sock"
    socket_group: Name | None = None
    listen: HostPort | None = None
    tls_certificate: Text | None = None
    tls_key: Text | None = None


class Charging(Table):
    """Defaults of granting and settling (SEMANTICS S5, S8, S9, S11, S12, S21)."""

    quantum: Quantum = "adaptive"
    quantum_fixed: PositiveSeconds = 60
    quantum_min: PositiveSeconds = 30
    quantum_max: PositiveSeconds = 300
    validity: PositiveSeconds = 600
    hold: PositiveSeconds = 180
    setup: Seconds = 180
    grace: Seconds = 20
    session_cap: PositiveSeconds = 14_400
    assume: Literal["reported", "granted"] = "reported"
    emergency: Prefixes = Field(default_factory=list)
    on_store_down: Outage = "silence"
    outage_call: PositiveSeconds = 60
    outage_exposure: Annotated[Micro, Field(ge=0)] = 0
    overrun_tolerance: Seconds = 1

    def policy(self) -> Policy:
        """The engine's policy these defaults make; a profile and a client entry refine it."""
        return Policy(
            quantum=self.quantum,
            quantum_fixed=self.quantum_fixed,
            quantum_min=self.quantum_min,
            quantum_max=self.quantum_max,
            validity_s=self.validity,
            hold_s=self.hold,
            setup_s=self.setup,
            grace_s=self.grace,
            session_cap_s=self.session_cap,
            assume_granted=self.assume == "granted",
        )


class Redis(Table):
    """The nodes' shared volatile memory; without a URL it stays in the process."""

    url: Text | None = None
    url_password_file: Text | None = None
    url_password_env: Text | None = None


class Metrics(Table):
    """The Prometheus listener."""

    listen: HostPort | None = None


class Log(Table):
    """What is logged and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    requests: bool = True
    mask_numbers: bool = False


class Export(Table):
    """Scheduled export of CDRs into closed files; without a directory there is none."""

    directory: Text | None = None
    interval: PositiveSeconds = 3_600
    format: Literal["csv", "jsonl"] = "csv"


class Retention(Table):
    """How long finished things are kept."""

    session_closed: Annotated[Seconds, Field(ge=3600)] = 86_400
    cdr: PositiveSeconds = 400 * 86_400
    outbox: PositiveSeconds = 7 * 86_400


class OutboxTable(Table):
    """One who wants events: exactly one of `file` (JSON lines), `webhook` (signed POST) and `stream` (Redis)."""

    name: Name
    file: Text | None = None
    webhook: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    stream: Text | None = None
    events: Annotated[tuple[EventKind, ...], Field(min_length=1)] = EVENT_KINDS
    balance_low: Micro | None = None
    balance_exhausted: Micro = 0


class Root(Table):
    """The whole file."""

    server: Server = Server()
    store: Store = Store()
    radius: Radius = Radius()
    diameter: Diameter = Diameter()
    api: Api = Api()
    charging: Charging = Charging()
    redis: Redis = Redis()
    metrics: Metrics = Metrics()
    log: Log = Log()
    export: Export = Export()
    retention: Retention = Retention()
    outbox: tuple[OutboxTable, ...] = ()
    nas: tuple[NasTable, ...] = ()
    peer: tuple[PeerTable, ...] = ()
    profile: tuple[ProfileTable, ...] = ()
