"""
Credentials on their way into the store: sealed where they must be read again, hashed where not (S24).

The JSON of `subscription.credential` is `{"clear": sealed, "hash": text, "ha1": {realm: sealed},
"ha1_sha256": {realm: sealed}}`, each part only when known; PINs are stored by their keyed hash alone.
"""

from __future__ import annotations

from typing import Any

from aaa.config.clients import NasTable, as_document
from aaa.keys import Keys
from aaa.provision.tables import SubscriptionTable

MD5_HEX_LENGTH = 32


def stored_value(subscription: SubscriptionTable, keys: Keys) -> str:
    """The value under which a subscription is found: itself, for a PIN its keyed hash."""
    if subscription.type == "pin":
        return keys.fingerprints("pin", subscription.value)[0]
    return subscription.value


def written_credential(subscription: SubscriptionTable) -> dict[str, Any]:
    """The written parts of a credential, still in clear."""
    credential: dict[str, Any] = {}
    if subscription.password is not None:
        credential["clear"] = subscription.password
    if subscription.password_hash is not None:
        credential["hash"] = subscription.password_hash
    if subscription.ha1 is not None and subscription.realm is not None:
        kind = "ha1" if len(subscription.ha1) == MD5_HEX_LENGTH else "ha1_sha256"
        credential[kind] = {subscription.realm: subscription.ha1}
    return credential


def merged(stored: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """
    The credential after `written` was applied; a new password replaces a hash and the other way round.
    """
    after = dict(stored)
    if "clear" in written or "hash" in written:
        after.pop("clear", None)
        after.pop("hash", None)
    for part, value in written.items():
        after[part] = {**stored.get(part, {}), **value} if isinstance(value, dict) else value
    return after


def sealed(credential: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """The stored form of a credential."""
    return _mapped(credential, lambda clear: keys.seal(clear.encode()))


def unsealed(credential: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """
    The clear form of a stored credential.

    Raises:
        ConfigError: It was sealed with another server key.
    """
    return _mapped(credential, lambda text: keys.unseal(text).decode())


def sealed_nas(nas: NasTable, keys: Keys) -> dict[str, Any]:
    """The stored document of a NAS: what `as_document` gives, its secrets sealed."""
    document = as_document(nas)
    document["secret"] = [keys.seal(secret.encode()) for secret in nas.secret or []]
    if nas.event_socket_password is not None:
        document["event_socket_password"] = keys.seal(nas.event_socket_password.encode())
    return {key: value for key, value in document.items() if value is not None}


def unsealed_nas(document: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """
    A stored NAS document with its secrets in clear, the same shape as one of `Config.nas`.

    Raises:
        ConfigError: It was sealed with another server key.
    """
    clear = document | {"secret": [keys.unseal(secret).decode() for secret in document["secret"]]}
    if "event_socket_password" in clear:
        clear["event_socket_password"] = keys.unseal(clear["event_socket_password"]).decode()
    return clear


def _mapped(credential: dict[str, Any], change: Any) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for part, value in credential.items():
        if part == "hash":
            changed[part] = value
        elif isinstance(value, dict):
            changed[part] = {realm: change(text) for realm, text in value.items()}
        else:
            changed[part] = change(value)
    return changed
