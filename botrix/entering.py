"""A directory as it is asked for, at the terminal or at the API: checked, sealed and entered."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botrix.addresses import is_here
from botrix.audit import Actor
from botrix.creators import FOR_TRIALS, check_policy, check_secrets, load, open_creator, settings_of
from botrix.creators.creator import Secret
from botrix.creators.declared import From, Setting, Type
from botrix.creators.limits import read_on_undo
from botrix.errors import DirectoryError, InvalidInput
from botrix.ledger.queries import Queries
from botrix.passwords import PasswordPolicy, checked
from botrix.sealing import Sealer
from botrix.services import seal_secrets

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
_TAKEN = ("kinds",)
"""Means something else where a name stands in the paths of the API."""


@dataclass(frozen=True, slots=True)
class Asked:
    """rules: of its passwords, as a policy has them."""

    kind: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        return {**self.settings, **self.secrets}

    def fingerprint(self, name: str) -> str:
        """Of what is asked for, but for what the secrets hold: a digest of a word that somebody
        chose is as good as the word."""
        said = [name, self.kind, self.settings, sorted(self.secrets), self.rules]
        text = json.dumps(said, sort_keys=True)
        return f"directory.add:{hashlib.sha256(text.encode()).hexdigest()}"


class Entering:
    """sealer: only asked for where there are secrets. timeout: seconds for one request of a
    directory."""

    def __init__(self, queries: Queries, sealer: Callable[[], Sealer], timeout: float) -> None:
        self._queries = queries
        self._sealer = sealer
        self._timeout = timeout

    async def add(
        self, tenant: str, name: str, asked: Asked, actor: Actor, key: str | None = None
    ) -> None:
        """Calls nobody. Raises DirectoryError, InvalidInput or Conflict, saying what to correct."""
        check_name(name)
        policy = await check(asked, self._timeout)
        sealed = "{}"
        if asked.secrets:
            sealed = seal_secrets(self._sealer(), tenant, name, asked.secrets)
        await self._queries.add_directory(
            tenant, name, asked.kind, json.dumps(asked.settings), actor,
            secrets=sealed, policy=policy.text(), key=key, fingerprint=asked.fingerprint(name),
        )  # fmt: skip


def check_name(name: str) -> None:
    """Raises InvalidInput."""
    if not re.fullmatch(NAME, name):
        raise InvalidInput(
            f"{name[:80]!a} cannot name a directory; take up to 64 letters, digits and _.-"
        )
    if name in _TAKEN:
        raise InvalidInput(f"no directory can be called {name}; choose another name")


async def check(asked: Asked, timeout: float) -> PasswordPolicy:
    """What can be told of it without asking the directory. Raises DirectoryError or InvalidInput,
    saying what to correct."""
    # In threads: the libraries of some kinds take long to import.
    kind = await asyncio.to_thread(load, asked.kind)
    policy = checked(dict(asked.rules))
    await asyncio.to_thread(check_policy, asked.kind, policy)
    await asyncio.to_thread(check_secrets, asked.kind, asked.secrets)
    if plain := next((name for name in kind.SEALED if name in asked.settings), None):
        raise DirectoryError(
            f"`{plain}` would be stored in the clear; give it sealed, among the secrets (at the "
            f"terminal: --secret {plain})"
        )
    if asked.kind == "local":  # its file would be made
        _check_known(asked, settings_of(asked.kind) or ())
        read_on_undo(asked.config)
    else:
        await (await open_creator(asked.kind, asked.config, timeout=timeout)).close()
    return policy


async def check_remote(asked: Asked, tenant_is_default: bool) -> None:
    """Of what comes from elsewhere than the terminal: that it names nothing of this machine, and,
    from other tenants than `default`, nothing but the public internet. Raises DirectoryError."""
    settings = await asyncio.to_thread(settings_of, asked.kind)
    if settings is None or not (tenant_is_default or asked.kind not in FOR_TRIALS):
        raise DirectoryError(
            f"the kind {asked.kind} can be added at the terminal alone: botrix directory add"
        )
    for one in settings:
        if one.secret:
            _check_secret(asked, one)
    _check_known(asked, settings)
    for one in settings:
        if one.name in asked.settings:
            _check_place(one, asked.settings[one.name], tenant_is_default)


def _check_secret(asked: Asked, one: Setting) -> None:
    """That it comes among the secrets, if at all."""
    if one.name in asked.settings:
        raise DirectoryError(f"`{one.name}` is a secret; give it among `secrets`")
    if named := next((name for name in one.names[1:] if name in asked.settings), None):
        raise DirectoryError(
            f"`{named}` names what the machine has that Botrix runs on; give {one.name} among "
            "`secrets`, or add the directory at the terminal: botrix directory add"
        )


def _check_known(asked: Asked, settings: Iterable[Setting]) -> None:
    known = {one.name for one in settings if not one.secret}
    if unknown := sorted(set(asked.settings) - known):
        raise DirectoryError(
            f"a {asked.kind} directory has no setting {unknown[0][:80]!a}; there are: "
            f"{', '.join(sorted(known))}"
        )


def _check_place(one: Setting, value: object, tenant_is_default: bool) -> None:
    if one.place is From.TERMINAL:
        raise DirectoryError(
            f"`{one.name}` names what the machine has that Botrix runs on; give it at the "
            "terminal: botrix directory add"
        )
    if tenant_is_default:
        return
    if one.place is From.DEFAULT_TENANT or (one.type is Type.URL and is_here(value)):
        raise DirectoryError(
            f"`{one.name}` opens more than the public internet, which is not for everybody; have "
            "the operator of this installation add it: botrix directory add --tenant"
        )
