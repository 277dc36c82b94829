"""
A TCP proxy that reads the Diameter messages it passes on, and can lose an answer with its connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from aaa.diameter import codec
from aaa.diameter.codec import Message


class RecordingProxy:
    """
    Between a peer and a server on loopback.

    Args:
        target: The server's port.
    """

    def __init__(self, target: int) -> None:
        self.requests: list[Message] = []
        self.answers: list[Message] = []
        self._target = target
        self._cut = 0  # the command whose next answer is lost
        self._lost: Message | None = None
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_before_answer(self, command: int) -> Callable[[], Message]:
        """Lose the next answer of this command and the connection with it; the result gives that answer."""
        self._cut = command
        return lambda: self._found(lambda: self._lost)

    def wait_for_answer(self, command: int) -> Message:
        """Wait until the server has answered such a request."""
        return self._found(lambda: next((one for one in self.answers if one.command == command), None))

    def stop(self) -> None:
        """Close everything."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _found(self, find: Callable[[], Message | None], timeout_s: float = 20) -> Message:
        deadline = time.monotonic() + timeout_s
        while (found := find()) is None:
            if time.monotonic() > deadline:
                raise AssertionError("no such message")
            time.sleep(0.02)
        return found

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                rest += data
                while len(rest) >= codec.HEADER_SIZE and len(rest) >= (size := int.from_bytes(rest[1:4], "big")):
                    one, rest = codec.decode(rest[:size]), rest[size:]
                    if not one.is_request and one.command == self._cut:
                        self._cut, self._lost = 0, one
                        return self._end(source, sink)
                    (self.requests if one.is_request else self.answers).append(one)
                sink.sendall(data)
        return self._end(source, sink)

    def _end(self, *ends: socket.socket) -> None:
        for one in ends:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
