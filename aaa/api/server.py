"""
The control API in its own thread with its own event loop, on a unix socket (DESIGN section 6).

It shares nothing with the reactor but the `Control` port: writes go there, reads have their own
connection, so that no report can hold up a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import stat
import struct
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from aaa.api.app import make_app
from aaa.api.context import AdviseNas, ApiContext
from aaa.api.guesses import GuessLock
from aaa.api.housekeeping import Housekeeper
from aaa.config import Config
from aaa.config.values import split_host_port
from aaa.engine.ports import Control
from aaa.errors import ConfigError
from aaa.keys import Keys
from aaa.provision.parse import CheckNas
from aaa.store.outbox import Consumer
from aaa.store.read import open_reader

SOCKET_MODE = 0o660
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 75
CONNECTIONS_MAX = 256
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


class PeerProtocol(H11Protocol):
    """HTTP/1.1 that knows who is at the other end of a unix socket, from the kernel."""

    def connection_made(self, transport: Any) -> None:
        """Name the client by its user id where the connection has one."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family == socket.AF_UNIX:
            raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _gid = _CREDENTIALS.unpack(raw)
            self.client = (f"uid:{uid}", pid)


class ApiServer:
    """
    The running API thread.

    Args:
        local: The unix socket, bound already so that a refusal is a start-up error.
        remote: The TCP socket, if there is one; with the certificate of the `[api]` table it speaks TLS.
    """

    def __init__(self, context: ApiContext, local: socket.socket, remote: socket.socket | None = None) -> None:
        self._context = context
        self._path: str = local.getsockname()
        app = make_app(context)
        self._servers = [(_server(app), local)]
        if remote is not None:
            api = context.config.api
            self._servers.append((_server(app, ssl_certfile=api.tls_certificate, ssl_keyfile=api.tls_key), remote))
        self._thread = threading.Thread(target=self._run, name="control-api", daemon=True)
        self._housekeeper = Housekeeper(context)

    @property
    def context(self) -> ApiContext:
        """What the endpoints work with; `config` may be replaced after a reload."""
        return self._context

    def start(self) -> None:
        """
        Begin to serve; returns once requests are taken.

        Raises:
            ConfigError: It did not start.
        """
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_TIMEOUT_S / 0.01)):
            if all(server.started for server, _ in self._servers):
                self._housekeeper.start()
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.01)
        raise ConfigError([f"[api] socket {self._path}: the control API did not start"])

    def stop(self) -> None:
        """Finish the requests that run, close the sockets, remove the socket file."""
        self._housekeeper.stop()
        for server, _ in self._servers:
            server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S)
        self._context.engine.dispose()
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        # Outside the main thread uvicorn leaves the signals alone: they belong to the reactor.
        await asyncio.gather(*(server.serve([bound]) for server, bound in self._servers))


def _server(app: FastAPI, **settings: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=int(STOP_TIMEOUT_S) - 2,
        **settings,
    )
    return uvicorn.Server(config)


def start_api(
    config: Config,
    control: Control,
    *,
    keys: Keys,
    clock: Callable[[], int],
    version: str,
    reload: Callable[[], list[str]] | None = None,
    disconnect_peer: Callable[[str], None] | None = None,
    check_nas: CheckNas | None = None,
    advise_nas: AdviseNas | None = None,
    consumers: tuple[Consumer, ...] = (),
    guesses: GuessLock | None = None,
) -> ApiServer:
    """
    Serve the control API of this configuration.

    Args:
        clock: Integer microseconds since the epoch.
        reload: Takes up the changed configuration and returns what needs a restart; raises ConfigError.
        disconnect_peer: Ends the connections of a Diameter peer.
        check_nas: Raises ConfigError for a client document that the RADIUS face cannot use.
        advise_nas: What a client document asks for in vain, in words.
        consumers: Who is told that accounts were changed.
        guesses: Counts wrong PINs; given where other processes count along.

    Raises:
        ConfigError: The socket cannot be made.
    """
    local = unix_socket(config.api.socket, config.api.socket_group)
    remote = None if config.api.listen is None else tcp_socket(config.api.listen)
    context = ApiContext(
        config=config,
        control=control,
        keys=keys,
        engine=open_reader(config.store.url),
        clock=clock,
        version=version,
        started_us=clock(),
        reload=reload,
        disconnect_peer=disconnect_peer,
        check_nas=check_nas,
        advise_nas=advise_nas,
        consumers=consumers,
        guesses=guesses or GuessLock(),
    )
    server = ApiServer(context, local, remote)
    server.start()
    return server


def unix_socket(path: str, group: str | None) -> socket.socket:
    """
    A listening unix socket with mode 0660, of this group if one is given.

    A stale file of a process that died is replaced; a socket somebody listens on is not.

    Raises:
        ConfigError: It is taken, or cannot be made there.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o750, exist_ok=True)
        if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
            if _is_served(path):
                raise ConfigError([f"[api] socket {path}: another process listens on it"])
            os.unlink(path)
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        if group is not None:
            shutil.chown(path, group=group)
        listener.listen(CONNECTIONS_MAX)
    except (OSError, LookupError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([f"[api] socket {path}: {reason}"]) from error
    except ConfigError:
        listener.close()
        raise
    return listener


def tcp_socket(address: str) -> socket.socket:
    """
    A listening TCP socket.

    Raises:
        ConfigError: The address is taken or not ours.
    """
    host, port = split_host_port(address)
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=CONNECTIONS_MAX
        )
    except OSError as error:
        raise ConfigError([f"[api] listen {address}: {error.strerror or error}"]) from error


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True
