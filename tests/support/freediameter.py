"""
freeDiameter of the Debian packages as client and as DRA, with the extensions of tests/data/freediameter.

freeDiameterd ends with 0 even when calls fail; what counts is the line per answer in `fdctf.out`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parents[1] / "data" / "freediameter"
EXTENSIONS = Path("/usr/lib/freeDiameter")
HEADERS = Path("/usr/include/freeDiameter")
REASON = "freeDiameter is not installed (Debian packages freediameterd freediameter-extensions libfreediameter-dev)"
CLIENT = "fdclient.example.net"
DRA = "dra.example.net"
ANSWER = re.compile(r"CCA #(\d+) rc=(\d+) gsu=(\d+) validity=(\d+) fui=(-?\d+) flags=0x(..) from (\S+)")


def is_installed() -> bool:
    """Whether freeDiameter can be run and extended here."""
    return all((shutil.which("freeDiameterd"), shutil.which("gcc"), EXTENSIONS.is_dir(), HEADERS.is_dir()))


class Answered(NamedTuple):
    """One line of the client: an answer as freeDiameter understood it; `final` -1 without Final-Unit-Indication."""

    number: int
    code: int
    granted: int
    validity: int
    final: int
    flags: int
    origin: str


class FreeDiameter:
    """
    One freeDiameterd in a directory of its own.

    Args:
        peers: ConnectPeer entries: name, port, whether over TLS.
        extensions: Further LoadExtension lines.
        credentials: Certificate, key and authority; freeDiameter wants them also where no connection uses TLS.
    """

    def __init__(
        self,
        directory: Path,
        identity: str,
        port: int,
        peers: list[tuple[str, int, bool]],
        extensions: list[str],
        credentials: tuple[Path, Path, Path],
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        certificate, key, authority = credentials
        lines = [
            f'Identity = "{identity}"; Realm = "example.net"; Port = {port}; SecPort = 0;',
            'No_SCTP; No_IPv6; ListenOn = "127.0.0.1"; TcTimer = 5; TwTimer = 6;',
            f'TLS_Cred = "{certificate}", "{key}"; TLS_CA = "{authority}";',
            *extensions,
        ]
        for name, peer_port, is_tls in peers:
            security = "" if is_tls else "No_TLS; "
            lines.append(
                f'ConnectPeer = "{name}" {{ ConnectTo = "127.0.0.1"; {security}Port = {peer_port}; No_SCTP; }};'
            )
        self.config = directory / f"{identity}.conf"
        self.config.write_text("\n".join(lines) + "\n")
        self.log = directory / f"{identity}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it connects on its own."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(["freeDiameterd", "-c", str(self.config)], stdout=log, stderr=log)

    def wait(self, timeout_s: float) -> None:
        """Wait until it ends by itself."""
        assert self._process is not None
        self._process.wait(timeout=timeout_s)

    def stop(self) -> None:
        """End it, in the end by force."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def built(directory: Path, name: str) -> Path:
    """The extension `name`, compiled."""
    made = directory / f"{name}.fdx"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(made), str(DATA / f"{name}.c")], check=True)
    return made


def loaded(name: str, argument: str = "") -> str:
    """A LoadExtension line for an extension of the packages or a path of one's own."""
    path = name if name.startswith("/") else str(EXTENSIONS / f"{name}.fdx")
    return f'LoadExtension = "{path}"' + (f' : "{argument}";' if argument else ";")


def client(
    directory: Path,
    port: int,
    peer: tuple[str, int, bool],
    credentials: tuple[Path, Path, Path],
    default_route: str = "",
    **wanted: object,
) -> FreeDiameter:
    """
    A client that makes calls on its own and ends then.

    Args:
        default_route: The peer that everything is sent to (a DRA), else routing is by realm.
        wanted: Keys of the extension `fdctf`: calls, updates, interval, rsu, event, root, exit.
    """
    directory.mkdir(parents=True, exist_ok=True)
    settings = {"realm": "example.org", "out": directory / "fdctf.out", **wanted}
    (directory / "fdctf.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    extensions = [loaded(name) for name in ("dict_nasreq", "dict_dcca", "dict_dcca_3gpp")]
    if default_route:
        (directory / "route.conf").write_text(f'* : "{default_route}" += 100 ;\n')
        extensions.append(loaded("rt_default", str(directory / "route.conf")))
    extensions.append(loaded(str(built(directory, "fdctf")), str(directory / "fdctf.conf")))
    return FreeDiameter(directory, CLIENT, port, [peer], ["NoRelay;", *extensions], credentials)


def dra(
    directory: Path, port: int, peers: list[tuple[str, int, bool]], credentials: tuple[Path, Path, Path]
) -> FreeDiameter:
    """A relay that adds Proxy-Info to what it forwards, prefers the first peer, and fails over to the next."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "acl.conf").write_text("ALLOW_IPSEC *.example.net\n")
    routes = [f'dr="example.org" : "{name}" += {100 - 50 * place} ;\n' for place, (name, _, _) in enumerate(peers)]
    (directory / "routes.conf").write_text("".join(routes))
    extensions = [
        loaded("acl_wl", str(directory / "acl.conf")),
        loaded("rt_default", str(directory / "routes.conf")),
        loaded(str(built(directory, "fdproxy")), str(directory / "fdproxy.out")),
    ]
    return FreeDiameter(directory, DRA, port, peers, extensions, credentials)


def answers(directory: Path) -> list[Answered]:
    """What the client was answered so far."""
    found = ANSWER.findall(written(directory))
    return [Answered(*map(int, one[:5]), int(one[5], 16), one[6]) for one in found]


def written(directory: Path) -> str:
    """What the client wrote so far."""
    path = directory / "fdctf.out"
    return path.read_text() if path.exists() else ""


def wait_for(directory: Path, count: int, timeout_s: float = 20) -> list[Answered]:
    """Wait for so many answers."""
    deadline = time.monotonic() + timeout_s
    while len(found := answers(directory)) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(found)} of {count} answers: {written(directory)}")
        time.sleep(0.05)
    return found
