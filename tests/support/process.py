"""
The installed server as a process: started on free ports, asked over its sockets, killed as crashes do.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from aaa.keys import Keys
from aaa.store import schema

START_TIMEOUT_S = 30.0
LISTENING = re.compile(r"(?:radius )?(auth|acct|tls|diameter) on ([^ ]+):(\d+)")

NAS = """
[[nas]]
name = "test"
address = "127.0.0.0/8"
secret = "testing123"
require_message_authenticator = "no"
limit_proxy_state = "no"
"""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("control", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Aaad:
    """
    One `aaad` in a directory of its own.

    Args:
        config: TOML appended to the skeleton (store, sockets, key); clients and charging belong here.
        url: Another store than a SQLite file of its own.
        arguments: More of the command line, such as `--workers 2`.
        node: Its name among the nodes of one store.
    """

    def __init__(
        self,
        directory: Path,
        config: str = NAS,
        url: str | None = None,
        arguments: Sequence[str] = (),
        node: str = "test-1",
    ) -> None:
        self.directory = directory
        self.config = directory / "aaa.toml"
        self.socket = str(directory / "s")
        self.database = directory / "aaa.db"
        self.url = url or f"sqlite:///{self.database}"
        self.ports: dict[str, int] = {}
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        Keys.create(directory / "server.key")
        self.config.write_text(
            f'[server]\nnode = "{node}"\nkey_file = "{directory}/server.key"\ndrain_timeout = "1s"\n'
            f'[store]\nurl = "{self.url}"\n'
            f'[radius]\nauth = ["127.0.0.1:0"]\nacct = ["127.0.0.1:0"]\n'
            f'[api]\nsocket = "{self.socket}"\n{config}'
        )
        schema.upgrade(self.url)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it serves; a restart takes the ports it had."""
        if self.ports:
            text = self.config.read_text()
            for kind, port in self.ports.items():
                text = text.replace(f'{kind} = ["127.0.0.1:0"]', f'{kind} = ["127.0.0.1:{port}"]')
            self.config.write_text(text)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aaa", "--config", str(self.config), *self._arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "AAA__LOG__REQUESTS": os.environ.get("AAA__LOG__REQUESTS", "false")},
        )
        seen = self._read_until_ready()
        for kind, _, port in LISTENING.findall(seen):
            self.ports[kind] = int(port)

    def _read_until_ready(self) -> str:
        assert self._process is not None and self._process.stderr is not None
        handle = self._process.stderr.fileno()
        os.set_blocking(handle, False)
        seen = b""
        deadline = time.monotonic() + START_TIMEOUT_S
        while b": ready" not in seen:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"aaad did not start: {seen.decode()}")
            if select.select([handle], [], [], 0.2)[0]:
                seen += os.read(handle, 65536)
        return seen.decode()

    def log(self, until: str = "", timeout_s: float = 5.0) -> str:
        """What it wrote to standard error since the last look, at least up to a word."""
        assert self._process is not None and self._process.stderr is not None
        handle = self._process.stderr.fileno()
        seen = b""
        deadline = time.monotonic() + timeout_s
        while until.encode() not in seen or not seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"{until!r} is not in the log: {seen.decode()}")
            if select.select([handle], [], [], 0.1)[0]:
                seen += os.read(handle, 1 << 16)
        return seen.decode()

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        code = self._process.wait(timeout=20)
        self._close()
        return code

    def wait(self, timeout_s: float = 20.0) -> int:
        """Until it has ended by itself; returns the exit code."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        self._close()
        return code

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def _close(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        self._process.stderr.close()
        self._process = None

    # -- asking -----------------------------------------------------------------------------------

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the control API; returns the JSON of a success."""
        status, text = self.request(method, path, body)
        assert status < 400, f"{method} {path}: {status} {text}"
        return json.loads(text) if text else None

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """One request to the control API; returns the status and the body of the answer."""
        connection = _UnixConnection(self.socket)
        connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def apply(self, text: str) -> Any:
        """Provision."""
        return self.api("POST", "/v1/apply", {"file": "test.toml", "text": text})

    def balance(self, account: str) -> tuple[str, str, str]:
        """Balance, reserved, available of an account."""
        shown = self.api("GET", f"/v1/accounts/{account}/balance")
        return tuple(shown[name]["amount"] for name in ("balance", "reserved", "available"))  # type: ignore[return-value]

    def sessions(self, state: str = "live") -> list[Any]:
        """Sessions as the control API shows them."""
        found: list[Any] = self.api("GET", f"/v1/sessions?limit=1000&state={state}")["items"]
        return found

    def mismatches(self) -> int:
        """What `ledger verify` finds."""
        found: int = self.api("GET", "/v1/ledger/verify")["mismatches"]
        return found

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Read the database beside the server."""
        if not self.url.startswith("sqlite"):
            with psycopg.connect(self.url.replace("+psycopg", "")) as beside:
                return beside.execute(sql.encode(), values or None).fetchall()
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def radclient(self, kind: str, *packets: str, parallel: int = 1) -> list[dict[str, str]]:
        """
        Send packets with Debian's radclient, one after the other unless `parallel`.

        Args:
            kind: `auth` or `acct`.
            packets: Attributes, as radclient reads them.

        Returns:
            The answers in the order in which they came: attributes, and `code`.
        """
        command = ["radclient", "-x", "-r", "2", "-t", "3", "-p", str(parallel)]
        result = subprocess.run(
            [*command, f"127.0.0.1:{self.ports[kind]}", kind, "testing123"],
            input="\n\n".join(packets),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return _answers(result.stdout)

    def ask(self, data: bytes, kind: str = "auth", timeout_s: float = 3.0, source: str = "127.0.0.1") -> bytes | None:
        """Send one datagram from a socket of its own and wait for the answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((source, 0))
            client.settimeout(timeout_s)
            client.sendto(data, ("127.0.0.1", self.ports[kind]))
            try:
                return client.recv(5000)
            except TimeoutError:
                return None


def _answers(text: str) -> list[dict[str, str]]:
    answers: list[dict[str, str]] = []
    is_answer = False
    for line in text.splitlines():
        received = re.match(r"Received ([\w-]+) Id", line)
        if received:
            answers.append({"code": received[1]})
            is_answer = True
        elif line.startswith("Sent "):
            is_answer = False
        elif is_answer and line.startswith("\t") and " = " in line:
            name, _, value = line.strip().partition(" = ")
            answers[-1][name] = value.strip('"')
    return answers


def provisioned(balances: dict[str, str], price: str = "0.60", pulse: str = "1/1") -> str:
    """An apply file: one flat voice tariff and accounts whose user name and password are their id."""
    text = (
        '[[tariff]]\nname = "retail"\ncurrency = "EUR"\ntimezone = "Europe/Berlin"\n'
        '[[tariff.rate]]\nprefix = ""\ndestination = "World"\nservice = "voice"\n'
        f'price = "{price}"\nprice_unit = "60s"\npulse = "{pulse}"\n'
    )
    for name, balance in balances.items():
        text += (
            f'[[account]]\nid = "{name}"\ncurrency = "EUR"\ntariff = "retail"\nopening_balance = "{balance}"\n'
            f'[[account.subscription]]\ntype = "username"\nvalue = "{name}"\npassword = "{name}"\n'
        )
    return text
