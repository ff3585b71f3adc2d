"""Creators: one module (or folder) for each kind of directory.

`kinds()` has those of this package and those of others, found by the entry points of the group
`botrix.creators`. docs/creators.md tells how to write one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from botrix.creators.creator import Creator, Kind, Secret
from botrix.creators.gate import Gate
from botrix.creators.limits import read_limits
from botrix.errors import DirectoryError
from botrix.passwords import PasswordPolicy

OWN = {
    "jupyterhub": "botrix.creators.jupyterhub.creator",
    "keycloak": "botrix.creators.keycloak.creator",
    "local": "botrix.creators.local",
    "ldap": "botrix.creators.ldap.creator",
    "scim": "botrix.creators.scim.creator",
    "simulated": "botrix.creators.simulated",
}
GROUP = "botrix.creators"
_PARTS = ("SEALED", "DEMANDS_A_CHANGE", "GATED", "open_creator")


def kinds() -> list[str]:
    """The names of all that can be used here."""
    return sorted({*OWN, *_plugins()})


def load(kind: str) -> Kind:
    """Raises DirectoryError where there is no such kind, or its package cannot be imported."""
    plugin = _plugins().get(kind)
    if kind not in OWN and plugin is None:
        raise DirectoryError(
            f"there is no kind of directory {kind!r}; choose one of: {', '.join(kinds())}"
        )
    try:
        module = plugin.load() if plugin else import_module(OWN[kind])
    except Exception as error:  # a package of others may raise anything
        problem = " ".join(str(error).split()) or type(error).__name__
        raise DirectoryError(f"the kind {kind} cannot be used here: {problem}") from None
    missing = [name for name in _PARTS if not hasattr(module, name)]
    if missing:
        raise DirectoryError(
            f"the kind {kind} cannot be used here: it has no {missing[0]}; ask whoever made it"
        )
    return cast(Kind, module)


def check_policy(kind: str, policy: PasswordPolicy) -> None:
    """Raises DirectoryError where directories of this kind cannot do what it asks for."""
    if policy.must_change and not load(kind).DEMANDS_A_CHANGE:
        raise DirectoryError(
            f"{kind} has no standard way to demand a new password at the first sign-in; "
            "leave must_change out and set that at the directory itself"
        )


def check_secrets(kind: str, names: Iterable[str]) -> None:
    """Raises DirectoryError for one that directories of this kind do not have."""
    allowed = load(kind).SEALED
    if any(name not in allowed for name in names):
        known = ", ".join(allowed) or "none"
        raise DirectoryError(f"of a {kind} directory, these may be sealed: {known}")


async def open_creator(
    kind: str, config: Mapping[str, Any], *, timeout: float = 30.0, gate: Gate | None = None
) -> Creator:
    """timeout: seconds for one request. gate: through which all requests go; its limits are set
    from the settings. Raises DirectoryError for an unknown kind or settings that cannot be used."""
    # In a thread: the libraries of some kinds take long to import, and beats must go on.
    module = await asyncio.to_thread(load, kind)
    check_secrets(kind, [name for name, value in config.items() if isinstance(value, Secret)])
    gate = gate or Gate()
    if module.GATED:
        limits = read_limits(config)
        gate.rate, gate.most, gate.governed = limits.rate, limits.most, True
    return await module.open_creator(config, timeout, gate)


def _plugins() -> dict[str, EntryPoint]:
    """Those of other packages; none takes the name of one of ours."""
    return {found.name: found for found in entry_points(group=GROUP) if found.name not in OWN}
