"""
A PostgreSQL server of the tests' own: a free port on loopback, an unprivileged user, a temporary directory.
"""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
USER = "aaa"


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Postgres:
    """
    One cluster.

    Started as the user `postgres` when the tests run as root, since the server refuses root.

    Args:
        base: Where its files go; memory-backed where that exists, unless told.
    """

    def __init__(self, base: Path | None = None) -> None:
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="aaa-pg-", dir=base or (memory if memory.is_dir() else None)))
        self.port = free_port()
        self._as = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
        if self._as:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        initdb = [
            str(BINARIES[0] / "initdb"),
            "-D",
            str(self.directory / "data"),
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run([*self._as, *initdb], check=True, stdout=subprocess.DEVNULL)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "max_connections": "60",
            "log_lock_waits": "on",
            "shared_buffers": "64MB",
        }
        command = [str(BINARIES[0] / "postgres"), "-D", str(self.directory / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen([*self._as, *command], stdout=log, stderr=log, start_new_session=True)
        log.close()
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.conninfo("postgres"), connect_timeout=1).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={database}"

    def create(self, database: str) -> str:
        """A new empty database; returns its URL."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The postmaster."""
        return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])

    def signal(self, number: int) -> None:
        """Signal the postmaster and all its children."""
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
        for pid in [self.pid, *map(int, children.stdout.split())]:
            os.kill(pid, number)
        if number == signal.SIGCONT and self._process is not None:
            self._process.send_signal(number)  # whoever runs it as another user stops when it does

    def kill(self) -> None:
        """kill -9 of the whole server."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def stop(self) -> None:
        """Stop it and remove its files."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGINT)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
