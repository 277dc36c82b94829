"""
Listeners by their text: Twisted server endpoints, and TLS that asks its peers for certificates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString

from aaa.errors import ConfigError

_FILES = ("privateKey", "certKey", "caKey")


def endpoint(text: str, reactor: Any) -> Any:
    """
    Build a listening endpoint.

    `ssl:5868:privateKey=/etc/aaa/key.pem:certKey=/etc/aaa/cert.pem:caKey=/etc/aaa/peers.pem` has one key more than
    Twisted's: the authority that signs the peers' certificates, which every peer must show (RFC 6733 13.1).  Every
    other text is a Twisted endpoint string.

    Raises:
        ConfigError: A text or a file that cannot be used; it is named.
    """
    if text.startswith("ssl:"):
        return _mutual(text, reactor)
    made: Any = serverFromString
    try:
        return made(reactor, text)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ConfigError([f"[diameter] listen: {text}: {error}"]) from error


def _mutual(text: str, reactor: Any) -> Any:
    from OpenSSL import crypto  # noqa: PLC0415 - brings OpenSSL along, which few installations need
    from twisted.internet import ssl  # noqa: PLC0415
    from twisted.internet.endpoints import SSL4ServerEndpoint  # noqa: PLC0415

    parts = text.replace("\\:", "\0").split(":")
    values = dict(part.replace("\0", ":").partition("=")[::2] for part in parts[2:])
    missing = [key for key in _FILES if not values.get(key)]
    if len(parts) < 2 or not parts[1].isdecimal() or missing:
        expected = "expected ssl:5868:privateKey=FILE:certKey=FILE:caKey=FILE"
        raise ConfigError([f"[diameter] listen: {text}: {', '.join(missing) or 'port'} missing, {expected}"])
    tls: Any = ssl  # untyped for the most part
    try:
        own = tls.PrivateCertificate.loadPEM(
            Path(values["privateKey"]).read_bytes() + b"\n" + Path(values["certKey"]).read_bytes()
        )
        authority = tls.Certificate.loadPEM(Path(values["caKey"]).read_bytes())
    except (OSError, crypto.Error, ValueError) as error:
        raise ConfigError([f"[diameter] listen: {text}: {error}"]) from error
    options = tls.CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        trustRoot=tls.trustRootFromCertificates([authority]),
        raiseMinimumTo=tls.TLSVersion.TLSv1_2,
    )
    listening: Any = SSL4ServerEndpoint
    return listening(reactor, int(parts[1]), options, interface=values.get("interface", ""))
