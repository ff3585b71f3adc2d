"""Creators: one module (or folder) for each kind of directory.

`kinds()` has those of this package and those of others, found by the entry points of the group
`botrix.creators` (plugins.py). docs/creators.md tells how to write one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from botrix import __version__
from botrix.creators import plugins
from botrix.creators.creator import Creator, Kind, Secret
from botrix.creators.declared import Setting
from botrix.creators.gate import Gate
from botrix.creators.limits import LIMITS, ON_UNDO, UNDOING, read_limits, read_on_undo
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

_DECLARED = {
    "jupyterhub": "botrix.creators.jupyterhub.declared",
    "keycloak": "botrix.creators.keycloak.declared",
    "local": "botrix.creators.local",
    "ldap": "botrix.creators.ldap.declared",
    "scim": "botrix.creators.scim.declared",
    "simulated": "botrix.creators.simulated",
}
"""Where the settings of each stand: in modules that load no client of anything."""
FOR_TRIALS = frozenset({"simulated"})
"""Takes the memory of workers, which all tenants share."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A kind, the package that it comes from, and why it cannot be used, if so."""

    kind: str
    package: str
    problem: str = ""


def kinds() -> list[str]:
    """The names of all that there are here."""
    return sorted({*OWN, *plugins.plugins()})


def brought() -> list[Brought]:
    """All that there are here, and those that are not used because one of ours has the name."""
    found = [Brought(kind, f"botrix {__version__}", _problem(kind)) for kind in sorted(OWN)]
    for kind, plugin in sorted(plugins.plugins().items()):
        problem = "not used: Botrix has a kind of this name" if kind in OWN else _problem(kind)
        found.append(Brought(kind, plugin.package, problem))
    return found


def load(kind: str) -> Kind:
    """Raises DirectoryError where there is no such kind, or its package cannot be used."""
    if kind not in OWN:
        plugin = plugins.plugins().get(kind)
        if plugin is None:
            raise DirectoryError(
                f"there is no kind of directory {kind!r}; choose one of: {', '.join(kinds())}"
            )
        return plugins.load(plugin)
    try:
        return cast(Kind, import_module(OWN[kind]))
    except ImportError as error:
        raise DirectoryError(f"the kind {kind} cannot be used here: {error}") from None


def settings_of(kind: str) -> tuple[Setting, ...] | None:
    """All that a directory of this kind has. None: its package does not say. Raises DirectoryError
    as `load` does."""
    if kind in OWN:
        return (*import_module(_DECLARED[kind]).SETTINGS, UNDOING)
    held = load(kind)
    said: tuple[Setting, ...] | None = getattr(held, "SETTINGS", None)
    if said is None:
        return None
    return (*said, *(LIMITS if held.GATED else ()), UNDOING)


def described() -> list[tuple[Brought, tuple[Setting, ...] | None]]:
    """All that can be used or should be, with their settings. Loads the packages of others, and no
    kind of ours."""
    found = [(Brought(kind, f"botrix {__version__}"), settings_of(kind)) for kind in sorted(OWN)]
    for kind, plugin in sorted(plugins.plugins().items()):
        if kind not in OWN:
            problem = _problem(kind)
            one = Brought(kind, plugin.package, problem)
            found.append((one, None if problem else settings_of(kind)))
    return found


def _problem(kind: str) -> str:
    try:
        load(kind)
    except DirectoryError as error:
        return str(error)
    return ""


def check_policy(kind: str, policy: PasswordPolicy) -> None:
    """Raises DirectoryError where directories of this kind cannot do what it asks for."""
    if policy.must_change and not load(kind).DEMANDS_A_CHANGE:
        raise DirectoryError(
            f"{kind} has no standard way to demand a new password at the first sign-in; "
            "leave must_change out and set that at the directory itself"
        )


def check_secrets(kind: str, names: Iterable[str]) -> None:
    """Raises DirectoryError for one that directories of this kind do not have."""
    _check_sealed(kind, load(kind).SEALED, names)


def _check_sealed(kind: str, allowed: Iterable[str], names: Iterable[str]) -> None:
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
    sealed = [name for name, value in config.items() if isinstance(value, Secret)]
    _check_sealed(kind, module.SEALED, sealed)
    gate = gate or Gate()
    gate.gated = module.GATED
    if module.GATED:
        limits = read_limits(config)
        gate.rate, gate.most, gate.governed = limits.rate, limits.most, True
    read_on_undo(config)
    own = {name: value for name, value in config.items() if name != ON_UNDO}
    return await module.open_creator(own, timeout, gate)
