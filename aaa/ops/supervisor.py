"""
What systemd is told (sd_notify(3)): ready, reloading, stopping, still alive.

Without `NOTIFY_SOCKET` in the environment nothing is sent; under another supervisor nothing is missed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Supervisor:
    """
    The supervisor that started this process, if it wants to know.

    Args:
        environ: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` when signs of life are expected.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.interval_s = int(watchdog_us) / 2e6 if watchdog_us.isdigit() and is_ours else 0.0
        """How often to call `alive`; 0: never."""

    def ready(self, status: str) -> None:
        """Everything is bound and served; also after a reload."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """No new sessions from here on."""
        self._send("STOPPING=1\nSTATUS=draining")

    def alive(self) -> None:
        """The reactor turned."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(message.encode(), self._address)
