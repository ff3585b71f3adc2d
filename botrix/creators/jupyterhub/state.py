"""What a hub keeps of an account of ours: names, and what lies in the user's auth_state. Pure.

`deployment/jupyterhub/botrix_seats.py` reads the same on the hub's side.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from botrix.creators.creator import Entry, Sighting, Wanted, Whose

_OURS = "botrix"
_N, _R, _P = 1 << 14, 8, 5  # OWASP, Password Storage: scrypt with 16 MiB
_LONGEST_NAME = 255


def hashed(password: str) -> str:
    """Takes a fifth of a second or so, outside of Python's lock."""
    salt = secrets.token_bytes(16)
    made = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=1 << 26)
    return f"scrypt:{_N}:{_R}:{_P}:{salt.hex()}:{made.hex()}"


def state(tag: str, password_hash: str) -> dict[str, Any]:
    """As it lies in the auth_state."""
    return {_OURS: {"tag": tag, "password": password_hash}}


def with_password(found: Mapping[str, Any], password_hash: str | None) -> dict[str, Any]:
    """None: nobody signs in by a password."""
    return {**found, _OURS: {**_ours(found), "password": password_hash}}


def staged(tag: str) -> str:
    """The name that a user has until all else is done."""
    return f"botrix-{hashlib.sha256(tag.encode()).hexdigest()[:32]}"


def named(username: str) -> str:
    """As the hub will call it (Authenticator.normalize_username)."""
    return username.lower()


def cannot_be(name: str) -> str:
    """Why no user can have this name, or "": dots alone lead upwards in a path."""
    if name in ("", ".", ".."):
        return f"a hub can have no user {name!r}"
    return f"longer than {_LONGEST_NAME} characters" if len(name) > _LONGEST_NAME else ""


def entry_id(user: Mapping[str, Any]) -> str | None:
    """Name and hour of birth: whoever gets the name later is somebody else."""
    name, born = user.get("name"), user.get("created")
    return f"{name} {born}" if name and isinstance(name, str) and isinstance(born, str) else None


def parted(entry: str) -> tuple[str, str]:
    """The name, and when it was created."""
    name, _, born = entry.rpartition(" ")
    return name, born


def kept(user: Mapping[str, Any]) -> Mapping[str, Any]:
    """The auth_state; empty where there is none."""
    found = user.get("auth_state")
    return found if isinstance(found, dict) else {}


def judge(one: Wanted, user: Mapping[str, Any]) -> Sighting:
    """Whose the user is that bears this name."""
    entry = entry_of(user)
    if entry is None:
        return Sighting(Whose.UNSURE, detail="the hub shows a user without a name")
    if entry.tag == one.tag:
        return entry.seen(Whose.OURS)
    if entry.is_of_botrix:
        return entry.seen(Whose.OTHER_JOB)
    if entry.tag is None and one.unguessable:  # a sign-in by other means empties the auth_state
        return entry.seen(Whose.OURS)
    return entry.seen(Whose.FOREIGN)


def entry_of(user: Mapping[str, Any]) -> Entry | None:
    """A hub keeps nothing of a person but the name; who has no password of ours signs in by none.
    None where it has no name."""
    entry, ours = entry_id(user), _ours(kept(user))
    tag = ours.get("tag")
    if entry is None:
        return None
    shown = None if tag is None else str(tag)
    return Entry(
        entry, str(user["name"]), shown, None, bool(ours.get("password")) if ours else None
    )


def _ours(found: Mapping[str, Any]) -> Mapping[str, Any]:
    ours = found.get(_OURS)
    return ours if isinstance(ours, dict) else {}
