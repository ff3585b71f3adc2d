"""API keys: `btx_<id>_<secret>`, of 64 random bits to look it up by and 256 to prove it with.

Of the secret only SHA-256 is kept: against 256 random bits nobody can guess, so that a slow hash
would protect nothing (NIST SP 800-63B-4, look-up secrets).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

from botrix.errors import SettingsError

_KEY = re.compile(r"btx_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODYS = hashlib.sha256(b"").hexdigest()


class Key(NamedTuple):
    """Its two halves; the text is shown once, when the key is made."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        return f"btx_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        return digest_of(self.secret)

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


def new_key() -> Key:
    """Drawn anew."""
    return Key(secrets.token_hex(8), secrets.token_urlsafe(32))


def read_key(text: str) -> Key | None:
    """None for what is no key at all."""
    found = _KEY.fullmatch(text)
    return Key(*found.groups()) if found else None


def first_key(text: str) -> Key:
    """That of a setting. Raises SettingsError for what is no key."""
    key = read_key(text)
    if key is None:
        raise SettingsError("BOTRIX_API_KEY is no key; make one: botrix key create --help")
    return key


def digest_of(secret: str) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def proves(secret: str, digest: str | None) -> bool:
    """In a time that tells nothing; None is nobody's digest."""
    return hmac.compare_digest(digest_of(secret), digest or _NOBODYS) and digest is not None
