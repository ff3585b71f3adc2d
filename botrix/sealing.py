"""Passwords at rest: AES-256-GCM with a random nonce, bound to tenant and account.

Sealed form: one version byte, 12 bytes of nonce, ciphertext with its 16-byte tag (NIST SP 800-38D).
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from botrix.entropy import random_bytes
from botrix.errors import SettingsError

_VERSION = b"\x01"


class Sealer:
    """Seals and opens passwords with one 32-byte key."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, password: str, tenant_id: str, tag: str) -> bytes:
        nonce = random_bytes(12)
        return (
            _VERSION + nonce + self._aead.encrypt(nonce, password.encode(), _bound(tenant_id, tag))
        )

    def unseal(self, sealed: bytes, tenant_id: str, tag: str) -> str:
        """Raises SettingsError where the key is another one or the text was changed."""
        try:
            return self._aead.decrypt(sealed[1:13], sealed[13:], _bound(tenant_id, tag)).decode()
        except InvalidTag:
            raise SettingsError(
                f"the password of {tag} was sealed with another key; put the old sealing key back"
            ) from None


def _bound(tenant_id: str, tag: str) -> bytes:
    return f"{tenant_id}\0{tag}".encode()


def load_sealer(path: Path) -> Sealer:
    """Reads the key file, or makes it (mode 0600) on first start; safe side by side."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != 32:
        raise SettingsError(f"{path} is no sealing key (32 bytes); restore it from your backup")
    return Sealer(key)


def _make_key(path: Path) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # unlike rename, never replaces the key that another process made
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
