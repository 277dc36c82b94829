"""
Listeners over TLS that ask their clients for certificates, for every face alike (RFC 6614 2.3, RFC 6733 13.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aaa.errors import ConfigError

_FILES = ("privateKey", "certKey", "caKey")


def endpoint(text: str, reactor: Any, key: str, usual_port: int) -> Any:
    """
    Build a listening endpoint from its text.

    A Twisted `ssl:` endpoint with one key more, the authority that signs clients:
    `ssl:2083:privateKey=/etc/aaa/key.pem:certKey=/etc/aaa/cert.pem:caKey=/etc/aaa/clients.pem`, and
    `interface=` for an address other than all.

    Args:
        key, usual_port: The configuration key it stands under and the port of its protocol, for errors.

    Raises:
        ConfigError: A part is missing or a file cannot be used; the text names it.
    """
    from OpenSSL import crypto  # noqa: PLC0415 - brings OpenSSL along, which few installations need
    from twisted.internet import ssl  # noqa: PLC0415
    from twisted.internet.endpoints import SSL4ServerEndpoint  # noqa: PLC0415

    parts = text.replace("\\:", "\0").split(":")
    values = dict(part.replace("\0", ":").partition("=")[::2] for part in parts[2:])
    if parts[0] != "ssl" or len(parts) < 2 or not parts[1].isdecimal():
        expected = f"ssl:{usual_port}:privateKey=FILE:certKey=FILE:caKey=FILE"
        raise ConfigError([f"{key}: {text!r}, expected {expected}"])
    missing = [name for name in _FILES if not values.get(name)]
    if missing:
        raise ConfigError([f"{key}: {text!r}: {', '.join(missing)} missing; clients are known by certificates"])
    tls: Any = ssl  # untyped for the most part
    try:
        own = tls.PrivateCertificate.loadPEM(
            Path(values["privateKey"]).read_bytes() + b"\n" + Path(values["certKey"]).read_bytes()
        )
        authority = tls.Certificate.loadPEM(Path(values["caKey"]).read_bytes())
    except (OSError, crypto.Error, ValueError) as error:
        raise ConfigError([f"{key}: {text!r}: {error}"]) from error
    options = tls.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        trustRoot=tls.trustRootFromCertificates([authority]),
        raiseMinimumTo=tls.TLSVersion.TLSv1_2,
    )
    listening: Any = SSL4ServerEndpoint
    return listening(reactor, int(parts[1]), options, interface=values.get("interface", ""))
