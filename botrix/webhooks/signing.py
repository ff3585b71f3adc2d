"""Signatures after Standard Webhooks 1.0.0, "Signature scheme": HMAC-SHA256 over id, timestamp and
body, joined by full stops. While a secret is being replaced, both sign. Pure.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence

from botrix.errors import SettingsError
from botrix.sealing import Sealer

_PREFIX = "whsec_"
_BYTES = 32  # of 24 to 64 that it may have


def new_secret() -> str:
    """Drawn anew, as receivers are given it."""
    return _PREFIX + b64encode(secrets.token_bytes(_BYTES)).decode()


def signature(secret: str, ident: str, timestamp: int, body: bytes) -> str:
    """ident: holds no full stop."""
    key = b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.digest(key, f"{ident}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{b64encode(signed).decode()}"


def headers(given: Iterable[str], ident: str, timestamp: int, body: bytes) -> dict[str, str]:
    """given: the secrets that sign."""
    signatures = " ".join(signature(secret, ident, timestamp, body) for secret in given)
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures,
    }


def seal(sealer: Sealer, tenant: str, webhook_id: str, secret: str) -> str:
    """As the ledger keeps it: in base64, bound to its webhook."""
    return b64encode(sealer.seal(secret, tenant, _tag(webhook_id))).decode()


def unseal(sealer: Sealer, tenant: str, webhook_id: str, sealed: Sequence[str]) -> list[str]:
    """Raises SettingsError where they were sealed by another key."""
    try:
        raw = [b64decode(one) for one in sealed]
    except ValueError:
        raise SettingsError(
            f"the secret of webhook {webhook_id} cannot be read; rotate it"
        ) from None
    return [sealer.unseal(one, tenant, _tag(webhook_id)) for one in raw]


def _tag(webhook_id: str) -> str:
    return f"webhook:{webhook_id}"
