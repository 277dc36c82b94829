"""
The machine a page is followed on: its directories, its programs, its server, made in a temporary directory.

Absolute paths, addresses and dates that pages name are replaced by those of this machine and day (`Machine.names`),
nothing else of a command is.  Programs that belong to the operating system have stand-ins: `systemctl` starts, stops
and reloads the real `aaad`, `sudo` runs the command, `aaad` comes back when it is ready instead of staying in front.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aaa.keys import Keys
from tests.docs.pages import ROOT, Step

MARK = "\x1e"
TIMEOUT_S = 120.0
DATES = {"2026-11-01": -20, "2026-11-20": -1, "2027-01-01": 40}  # days from now: the pages are read on another day
DIRECTORIES = ("/etc/aaa/conf.d", "/etc/aaa", "/var/lib/aaa", "/run/aaa", "/run/secrets", "/backup", "/etc/freeswitch")

CONFIG = """
[server]
node = "aaa-1"
key_file = "/etc/aaa/server.key"
state_directory = "/var/lib/aaa"
drain_timeout = "1s"
[store]
url = "sqlite:////var/lib/aaa/aaa.db"
[radius]
auth = ["127.0.0.1:{auth}"]
acct = ["127.0.0.1:{acct}"]
[api]
socket = "/run/aaa/control.sock"
listen = "127.0.0.1:{api}"
[metrics]
listen = "127.0.0.1:{metrics}"
"""

WORLD = """
[[tariff]]
name = "retail"
currency = "EUR"
[[tariff.rate]]
prefix = "44"
destination = "United Kingdom"
price = "0.12"
pulse = "6/6"
[[account]]
id = "alice"
currency = "EUR"
tariff = "retail"
opening_balance = "10.00"
[[account.subscription]]
type = "username"
value = "alice"
password = "wonderland"
[[account]]
id = "poor"
currency = "EUR"
tariff = "retail"
[[account.subscription]]
type = "username"
value = "poor"
password = "house"
[[nas]]
name = "switch"
address = "127.0.0.1"
secret = "testing123"
numbers = { country = "44", international = ["00", "+"], national = "0" }
quantum = "fixed"
quantum_fixed = "60s"
"""

_PYTHON = """#!/bin/sh
exec {python} -c "import sys; sys.argv[0] = '{name}'; from {module} import main; sys.exit(main())" "$@"
"""

_AAAD = """#!/bin/sh
case " $* " in *" --check "*) exec aaad-itself "$@";; esac
: > {root}/aaad.log
aaad-itself "$@" 2> {root}/aaad.log & echo $! > {root}/aaad.pid
until grep -q ': ready' {root}/aaad.log; do
    grep -qs '^State:.[^Z]' "/proc/$(cat {root}/aaad.pid)/status" || { cat {root}/aaad.log >&2; exit 1; }
    sleep 0.1
done
"""

_SYSTEMCTL = """#!/bin/sh
end() {
    pid=$(cat {root}/aaad.pid 2> /dev/null) || return 0
    kill "$pid" || true
    while grep -qs '^State:.[^Z]' "/proc/$pid/status"; do sleep 0.1; done
    rm {root}/aaad.pid
}
case "$1" in
    start|enable) exec aaad --config {root}/etc/aaa/aaa.toml;;
    stop) end;;
    restart) end; exec aaad --config {root}/etc/aaa/aaa.toml;;
    reload) exec kill -HUP "$(cat {root}/aaad.pid)";;
    *) echo "systemctl $1: not here" >&2; exit 1;;
esac
"""

_SUDO = """#!/bin/sh
[ "$1" != -u ] || shift 2
exec "$@"
"""


class Machine:
    """
    One machine with the server installed, running, and provisioned with `WORLD`.

    Args:
        installed: The directory that another machine kept (`keep`); the server is then set up by copying it.
        url: Another store than a SQLite file of its own.
        environ: More of what its programs find in their environment.
    """

    def __init__(
        self, installed: Path | None = None, url: str | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._environ = environ or {}
        self.root = Path(tempfile.mkdtemp(prefix="aaa-docs-"))
        self.ports = dict(zip(("auth", "acct", "api", "metrics"), _free_ports(4), strict=True))
        self.names = {
            **{name: f"{self.root}{name}" for name in DIRECTORIES},
            "https://ocs.example.net:8443": f"http://127.0.0.1:{self.ports['api']}",
            **{date: str(datetime.now(UTC).date() + timedelta(days)) for date, days in DATES.items()},
        }
        for name in DIRECTORIES:
            Path(self.names[name]).mkdir(parents=True, exist_ok=True)
        self._make_programs()
        self.here = self.root / "here"
        self.here.mkdir()
        for name in ("conf", "docs"):
            (self.here / name).symlink_to(ROOT / name)
        (self.here / "world.toml").write_text(WORLD)
        config = self.local(CONFIG.format(**self.ports))
        if url is not None:
            config = config.replace(f"sqlite:///{self.root}/var/lib/aaa/aaa.db", url)
        (self.root / "etc/aaa/aaa.toml").write_text(config)
        try:
            self._install(installed)
        except BaseException:
            self.close()
            raise

    def _install(self, installed: Path | None) -> None:
        """Have the server run, provisioned; nothing stays behind when it does not."""
        if installed is None:
            Keys.create(self.root / "etc/aaa/server.key")
            self._do("aaactl db upgrade && systemctl start aaad && aaactl apply world.toml")
        else:
            shutil.copy(installed / "server.key", self.root / "etc/aaa/server.key")
            shutil.copy(installed / "aaa.db", self.root / "var/lib/aaa/aaa.db")
            self._do("systemctl start aaad")

    def _do(self, commands: str) -> None:
        self.run([Step("given", commands, "")])

    def _make_programs(self) -> None:
        place = self.root / "bin"
        place.mkdir()
        program(place, "aaactl", "aaa.cli")
        program(place, "aaad-itself", "aaa.app")
        for name, text in (("aaad", _AAAD), ("systemctl", _SYSTEMCTL), ("sudo", _SUDO)):
            (place / name).write_text(text.replace("{root}", str(self.root)))
            (place / name).chmod(0o755)

    def local(self, text: str) -> str:
        """A text with the paths and addresses of this machine."""
        return re.sub("|".join(self.names), lambda found: self.names[found[0]], text)

    def run(self, steps: Sequence[Step]) -> list[str]:
        """
        Do what the steps say, all commands in one shell that stops at the first that fails.

        Returns:
            What each step printed, errors too.
        """
        script = "".join(f"printf '{MARK}'\n{self._shell(step)}\n" for step in steps)
        environ = {
            **os.environ,
            **self._environ,
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.root / "here"),
            "AAACTL_CONFIG": f"{self.root}/etc/aaa/aaa.toml",
            "AAACTL_SOCKET": f"{self.root}/run/aaa/control.sock",
            "AAACTL_PROBE_SECRET": "testing123",
            "AAACTL_PROBE_RADIUS_AUTH_PORT": str(self.ports["auth"]),
            "AAACTL_PROBE_RADIUS_ACCT_PORT": str(self.ports["acct"]),
        }
        with (self.root / "printed").open("w+b") as printed:  # a pipe would be held open by the server
            done = subprocess.run(
                ["sh", "-euc", script],
                cwd=self.here,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
            printed.seek(0)
            _, *outputs = printed.read().decode().split(MARK)
        if done.returncode:
            raise AssertionError(f"exit code {done.returncode} of\n{steps[len(outputs) - 1].text}\n{outputs[-1]}")
        return outputs

    def _shell(self, step: Step) -> str:
        """The shell's part of a step: its commands, or writing its file."""
        if step.is_run:
            return self.local(step.text)
        if step.kind == "toml" and step.words:
            path = self.local(step.words)
            return f"cat > '{path}' <<'END OF FILE'\n{self.local(step.text)}END OF FILE"
        return ":"

    def keep(self, directory: Path) -> None:
        """Stop the server and copy what another machine can be installed from."""
        self._do("systemctl stop aaad && aaactl db backup aaa.db")
        shutil.copy(self.here / "aaa.db", directory)
        shutil.copy(self.root / "etc/aaa/server.key", directory)

    def close(self) -> None:
        """End the server, remove everything."""
        pid = self.root / "aaad.pid"
        number = int(pid.read_text() or 0) if pid.exists() else 0
        if number:
            for sent in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):  # the second one cuts the drain short
                try:
                    os.kill(number, sent)
                except ProcessLookupError:
                    break
                _wait_for(number)
        shutil.rmtree(self.root)


def program(directory: Path, name: str, module: str) -> None:
    """Make an entry point of the sources a program, as an installation would."""
    path = directory / name
    path.write_text(_PYTHON.format(python=sys.executable, name=name.partition("-")[0], module=module))
    path.chmod(0o755)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, each another one."""
    with ExitStack() as open_at_once:
        sockets = [open_at_once.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _wait_for(pid: int, timeout_s: float = 3.0) -> None:
    """Until a process that is not our child has ended, reaped or not."""
    status = Path(f"/proc/{pid}/status")
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and status.exists() and "State:\tZ" not in status.read_text():
        time.sleep(0.05)
