"""The users that the line knows, as an ACL file with digests for passwords.

`users.acl` says what each may do: `botrix` what the API and workers need, `viewer` to look at
everything, `scaler` to count what waits. Nobody else gets in.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_FILE = Path(__file__).with_name("users.acl")


def acl(*, botrix: str, viewer: str, scaler: str) -> str:
    """Each with their password."""
    text = _FILE.read_text()
    for name, password in {"botrix": botrix, "viewer": viewer, "scaler": scaler}.items():
        digest = hashlib.sha256(password.encode()).hexdigest()
        text = text.replace(f"#{{{name}}}", f"#{digest}")
    return text
