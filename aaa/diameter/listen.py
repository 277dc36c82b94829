"""
Listeners by their text: Twisted server endpoints, and TLS that asks its peers for certificates.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import serverFromString

from aaa import mutual_tls
from aaa.errors import ConfigError


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
        return mutual_tls.endpoint(text, reactor, "[diameter] listen", 5868)
    made: Any = serverFromString
    try:
        return made(reactor, text)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ConfigError([f"[diameter] listen: {text}: {error}"]) from error
