"""
The server key and what is derived from it (SEMANTICS S24).

One file of 32 bytes, the same on every node; a second key after it (another 32 bytes) is accepted for
opening and verifying, so that keys can be rotated.  Each use has its own derived key: what signs a
Class attribute can open nothing that is stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aaa.errors import ConfigError

KEY_LENGTH = 32
NONCE_LENGTH = 12


class Keys:
    """
    Keys derived per use: `class`, `state`, `pin`, `token`, `webhook`, `at-rest`.

    Args:
        secrets: One or two server keys of 32 bytes; the first seals and signs, all open and verify.
    """

    def __init__(self, secrets: list[bytes]) -> None:
        if not 1 <= len(secrets) <= 2 or any(len(secret) != KEY_LENGTH for secret in secrets):
            raise ConfigError([f"server key: expected one or two keys of {KEY_LENGTH} bytes"])
        self._secrets = secrets
        self._sealers = [AESGCM(key) for key in self.derived("at-rest")]

    @classmethod
    def load(cls, path: str | Path) -> Keys:
        """
        Read the key file.

        Raises:
            ConfigError: It is missing, readable by others, or of the wrong length.
        """
        try:
            if Path(path).stat().st_mode & 0o077:
                raise ConfigError([f"[server] key_file {path}: readable by others, expected mode 0600"])
            content = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError([f"[server] key_file {path}: {error.strerror}"]) from error
        if len(content) not in (KEY_LENGTH, 2 * KEY_LENGTH):
            raise ConfigError([f"[server] key_file {path}: {len(content)} bytes, expected {KEY_LENGTH} or twice that"])
        return cls([content[i : i + KEY_LENGTH] for i in range(0, len(content), KEY_LENGTH)])

    @staticmethod
    def create(path: str | Path) -> None:
        """Write a new random key with mode 0600; refuses to replace a file."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(KEY_LENGTH))

    def derived(self, use: str) -> list[bytes]:
        """The keys for one use, the signing one first (HMAC-SHA256 as the derivation)."""
        return [hmac.new(secret, b"prepaid-aaa/" + use.encode(), hashlib.sha256).digest() for secret in self._secrets]

    def fingerprints(self, use: str, text: str) -> list[str]:
        """Keyed hashes under which a PIN or token is stored and found, the current key's first."""
        return [hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for key in self.derived(use)]

    def seal(self, clear: bytes, about: bytes = b"") -> str:
        """Encrypt a stored secret, bound to `about` (AES-256-GCM, random nonce), as text."""
        nonce = os.urandom(NONCE_LENGTH)
        return base64.b64encode(nonce + self._sealers[0].encrypt(nonce, clear, about)).decode()

    def unseal(self, sealed: str, about: bytes = b"") -> bytes:
        """
        Open what `seal` made.

        Raises:
            ConfigError: Sealed with another server key, or altered.
        """
        raw = base64.b64decode(sealed)
        for sealer in self._sealers:
            try:
                return sealer.decrypt(raw[:NONCE_LENGTH], raw[NONCE_LENGTH:], about)
            except InvalidTag:
                continue
        raise ConfigError(["a stored secret cannot be opened: it was sealed with another server key, or altered"])
