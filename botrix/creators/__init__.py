"""Creators: one module for each kind of directory. `KINDS` names them all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, cast

from botrix.creators.creator import Creator, Secret
from botrix.errors import DirectoryError
from botrix.passwords import PasswordPolicy

KINDS = {
    "local": "botrix.creators.local",
    "scim": "botrix.creators.scim.creator",
    "simulated": "botrix.creators.simulated",
}

_SEALED = {"scim": ("token",)}
"""By kind: the settings that may come sealed."""
_CANNOT_DEMAND_A_CHANGE = ("scim",)


def check_policy(kind: str, policy: PasswordPolicy) -> None:
    """Raises DirectoryError where directories of this kind cannot do what it asks for."""
    if policy.must_change and kind in _CANNOT_DEMAND_A_CHANGE:
        raise DirectoryError(
            f"{kind} has no standard way to demand a new password at the first sign-in; "
            "leave must_change out and set that at the directory itself"
        )


def check_secrets(kind: str, names: Iterable[str]) -> None:
    """Raises DirectoryError for one that directories of this kind do not have."""
    allowed = _SEALED.get(kind, ())
    if any(name not in allowed for name in names):
        known = ", ".join(allowed) or "none"
        raise DirectoryError(f"of a {kind} directory, these may be sealed: {known}")


async def open_creator(kind: str, config: Mapping[str, Any], *, timeout: float = 30.0) -> Creator:
    """timeout: seconds for one request. Raises DirectoryError for an unknown kind or settings
    that cannot be used."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise DirectoryError(f"there is no kind of directory {kind!r}; choose one of: {known}")
    check_secrets(kind, [name for name, value in config.items() if isinstance(value, Secret)])
    # In a thread: the libraries of some kinds take long to import, and beats must go on.
    module = await asyncio.to_thread(import_module, KINDS[kind])
    return cast(Creator, await module.open_creator(config, timeout))
