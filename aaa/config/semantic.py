"""
What no single key can tell: keys that contradict each other, files that are missing, names given twice.

Runs once every table is sound by itself, and collects everything it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from aaa.config.clients import check_secrets
from aaa.config.locate import Path
from aaa.config.sections import Charging, Root

Finding = tuple[Path, str]

SECRET_FILE_MAX = 65_536
_ENDPOINTS = ("tcp:", "tcp6:", "tls:", "ssl:", "unix:")


def findings(root: Root, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Every contradiction between sound tables."""
    yield from _charging(root.charging)
    yield from _listeners(root)
    yield from _secret_sources(root, environ)
    yield from _nas(root, environ)
    yield from _peers(root)
    directory = root.export.directory
    if directory is not None and not FilePath(directory).is_dir():
        yield ("export", "directory"), f"{directory}: no such directory"
    yield from _outbox(root)


def read_secret(file: str | None, variable: str | None, environ: Mapping[str, str]) -> str:
    """
    The secret a file or an environment variable holds, without its final line end.

    Raises:
        ValueError: It is not there, or empty; the text never contains the secret.
    """
    if file is not None:
        try:
            if FilePath(file).stat().st_size > SECRET_FILE_MAX:
                raise ValueError(f"{file}: too large for a secret")
            secret = FilePath(file).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{file}: not UTF-8 text") from None
        if not secret:
            raise ValueError(f"{file}: empty")
        return secret
    secret = environ.get(variable or "", "")
    if not secret:
        raise ValueError(f"environment variable {variable} is not set or empty")
    return secret


def _charging(charging: Charging) -> Iterator[Finding]:
    if charging.quantum_min > charging.quantum_max:
        reason = f"{charging.quantum_min}s is above quantum_max ({charging.quantum_max}s)"
        yield ("charging", "quantum_min"), reason
    if charging.quantum_max > charging.session_cap:
        reason = f"{charging.quantum_max}s is above session_cap ({charging.session_cap}s)"
        yield ("charging", "quantum_max"), reason


def _listeners(root: Root) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for key in ("auth", "acct"):
        for address in getattr(root.radius, key):
            if address in taken and not address.endswith(":0"):  # port 0 is a free one each time
                yield ("radius", key), f"{address} is listened on twice (also in {taken[address]})"
            taken[address] = f"[radius] {key}"
    tcp: dict[str, str] = {}
    for table, address in (("api", root.api.listen), ("metrics", root.metrics.listen)):
        if address and address in tcp:
            yield (table, "listen"), f"{address} is listened on twice (also in {tcp[address]})"
        if address:
            tcp[address] = f"[{table}] listen"
    for key, section in (("tls", root.radius), ("listen", root.diameter)):
        for endpoint in getattr(section, key):
            if not endpoint.startswith(_ENDPOINTS):
                table = "radius" if key == "tls" else "diameter"
                yield (
                    (table, key),
                    f'{endpoint!r} is no Twisted endpoint: expected such as "tcp:3868:interface=0.0.0.0"',
                )
    if root.diameter.listen:
        for key in ("origin_host", "origin_realm"):
            if getattr(root.diameter, key) is None:
                yield ("diameter", key), "is required when Diameter listens (RFC 6733 section 5.3)"
    if (root.api.tls_certificate is None) != (root.api.tls_key is None):
        yield ("api", "tls_certificate"), "tls_certificate and tls_key are only of use together"
    for key in ("tls_certificate", "tls_key"):
        file = getattr(root.api, key)
        if file is not None and not FilePath(file).is_file():
            yield ("api", key), f"{file}: no such file"


def _secret_sources(root: Root, environ: Mapping[str, str]) -> Iterator[Finding]:
    if not FilePath(root.server.key_file).is_file():
        yield ("server", "key_file"), f"{root.server.key_file}: no such file"
    for table, section in (("store", root.store), ("redis", root.redis)):
        file, variable = section.url_password_file, section.url_password_env
        if file is not None and variable is not None:
            yield (table, "url_password_file"), "url_password_file and url_password_env exclude each other"
        elif file is not None or variable is not None:
            try:
                read_secret(file, variable, environ)
            except ValueError as error:
                yield (table, "url_password_file" if file is not None else "url_password_env"), str(error)


def _outbox(root: Root) -> Iterator[Finding]:
    names: set[str] = set()
    for index, table in enumerate(root.outbox):
        if table.name in names:
            yield ("outbox", index, "name"), f"{table.name} is there twice"
        names.add(table.name)
        sinks = [key for key in ("file", "webhook", "stream") if getattr(table, key) is not None]
        if len(sinks) != 1:
            yield ("outbox", index), f"exactly one of file, webhook and stream is needed, found {len(sinks)}"
        if table.stream is not None and root.redis.url is None:
            yield ("outbox", index, "stream"), "needs [redis] url"


def _nas(root: Root, environ: Mapping[str, str]) -> Iterator[Finding]:
    names: set[str] = set()
    networks: dict[str, str] = {}
    for index, nas in enumerate(root.nas):
        if nas.name in names:
            yield ("nas", index, "name"), f"{nas.name} is there twice"
        names.add(nas.name)
        if nas.address in networks:
            yield ("nas", index, "address"), f"{nas.address} is already the network of {networks[nas.address]}"
        networks.setdefault(nas.address, nas.name)
        low, high = nas.quantum_min or root.charging.quantum_min, nas.quantum_max or root.charging.quantum_max
        if low > high and (nas.quantum_min or nas.quantum_max):
            yield ("nas", index, "quantum_min"), f"{low}s is above quantum_max ({high}s)"
        if nas.event_socket_password_file is not None:
            try:
                read_secret(nas.event_socket_password_file, None, environ)
            except ValueError as error:
                yield ("nas", index, "event_socket_password_file"), str(error)
        if nas.secret is None:
            try:
                check_secrets([read_secret(nas.secret_file, nas.secret_env, environ)], nas.address)
            except ValueError as error:
                yield ("nas", index, "secret_file" if nas.secret_file else "secret_env"), str(error)


def _peers(root: Root) -> Iterator[Finding]:
    known: set[tuple[str, str]] = set()
    for index, peer in enumerate(root.peer):
        if (peer.origin_host, peer.realm) in known:
            yield ("peer", index, "origin_host"), f"{peer.origin_host} of realm {peer.realm} is there twice"
        known.add((peer.origin_host, peer.realm))
