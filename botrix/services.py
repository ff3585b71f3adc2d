"""Opens ledger, line and creators from Settings, and closes them in reverse. Wiring only."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from botrix.creators import open_creator
from botrix.creators.creator import Check, Creator, Secret
from botrix.creators.gate import FIRST_LIMIT, Gate
from botrix.creators.limits import OnUndo, read_on_undo
from botrix.errors import DirectoryError, InvalidInput, LedgerError, SettingsError
from botrix.identity import Planner
from botrix.ledger.ledger import Ledger, Plan
from botrix.line.line import Line
from botrix.model import DEFAULT_TENANT, PlannedAccount, tag_of
from botrix.passwords import DEFAULT_POLICY, PasswordPolicy, read_policy
from botrix.sealing import Sealer, load_sealer
from botrix.settings import Settings


def open_ledger(url: str) -> Ledger:
    """The hot verbs on whichever database the url names; opens lazily."""
    if url.startswith("sqlite:///"):
        from botrix.ledger.sqlite import SqliteLedger

        return SqliteLedger(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        from botrix.ledger.postgres import PostgresLedger

        return PostgresLedger(url)
    raise SettingsError("the ledger's url is not known; give sqlite:///FILE or postgresql://…")


class Directories:
    """The creators of the configured directories, opened when first needed."""

    def __init__(self, settings: Settings, ledger: Ledger, sealer: Sealer) -> None:
        self._settings = settings
        self._ledger = ledger
        self._sealer = sealer
        self._open: dict[tuple[str, str], Creator] = {}
        self._replaced: list[Creator] = []
        self.gates: dict[tuple[str, str], Gate] = {}
        self.alarm = asyncio.Event()
        self.first_limit = FIRST_LIMIT
        self._policies: dict[tuple[str, str], PasswordPolicy] = {}
        self._on_undo: dict[tuple[str, str], OnUndo] = {}
        self._opening = asyncio.Lock()

    async def creator(self, tenant_id: str, name: str) -> Creator:
        """Raises DirectoryError where the directory is not configured or not usable."""
        key = (tenant_id, name)
        async with self._opening:  # two who ask at once must not open it twice
            if key not in self._open:
                self._open[key] = await self._opened(tenant_id, name, self.gate(tenant_id, name))
        return self._open[key]

    def gate(self, tenant_id: str, name: str) -> Gate:
        """Before all its requests from this process."""
        key = (tenant_id, name)
        if key not in self.gates:
            self.gates[key] = Gate(self.first_limit, alarm=self.alarm)
        return self.gates[key]

    async def forget(self, tenant_id: str, name: str) -> None:
        """Its settings are read anew when it is next used. What is under way keeps what it has."""
        creator = self._open.pop((tenant_id, name), None)
        replaced, self._replaced = self._replaced, [creator] if creator else []
        for one in replaced:
            await one.close()

    async def probe(self, tenant_id: str, name: str, timeout: float | None = None) -> Check:
        """Looks whether it can be used, with its settings as they are now, beside its gate.
        timeout: seconds for one request, if not as in the settings."""
        try:
            creator = await self._opened(tenant_id, name, Gate(1), timeout)
        except DirectoryError as error:
            return Check(False, problem=str(error))
        return await _check(creator)

    async def trial(
        self, tenant_id: str, kind: str, config: dict[str, Any], timeout: float
    ) -> Check:
        """Looks whether one could be used that is in no ledger yet. Raises DirectoryError for
        settings that cannot be."""
        return await _check(await self._made(tenant_id, kind, config, Gate(1), timeout))

    def must_change(self, tenant_id: str, name: str) -> bool:
        """Of a directory that was opened: whether passwords are to be changed at first sign-in."""
        return self._policies.get((tenant_id, name), DEFAULT_POLICY).must_change

    def disables(self, tenant_id: str, name: str) -> bool:
        """Of a directory that was opened: whether an undo leaves its accounts there, disabled."""
        return self._on_undo.get((tenant_id, name)) is OnUndo.DISABLE

    async def _opened(
        self, tenant_id: str, name: str, gate: Gate, timeout: float | None = None
    ) -> Creator:
        row = await self._ledger.directory(tenant_id, name)
        if row is None:
            raise DirectoryError(f"there is no directory {name!r}; see: botrix directory list")
        self._policies[tenant_id, name] = read_policy(row.policy)
        config = {**json.loads(row.config), **self._unsealed(tenant_id, name, row.secrets)}
        self._on_undo[tenant_id, name] = read_on_undo(config)
        return await self._made(tenant_id, row.kind, config, gate, timeout)

    async def _made(
        self, tenant_id: str, kind: str, config: dict[str, Any], gate: Gate, timeout: float | None
    ) -> Creator:
        if kind == "local":
            path = self._settings.local_directory_file
            if tenant_id != DEFAULT_TENANT:  # tenants see nothing of each other's entries
                path = path.with_stem(f"{path.stem}-{tenant_id}")
            config.setdefault("path", str(path))
        timeout = self._settings.request_timeout if timeout is None else timeout
        return await open_creator(kind, config, timeout=timeout, gate=gate)

    def _unsealed(self, tenant_id: str, name: str, secrets: str) -> dict[str, Secret]:
        """Raises SettingsError where they were sealed by another key."""
        try:
            sealed = {key: b64decode(text) for key, text in json.loads(secrets).items()}
            return {
                key: Secret(self._sealer.unseal(value, tenant_id, secret_tag(name, key)))
                for key, value in sealed.items()
            }
        except ValueError:
            raise DirectoryError(
                f"the sealed secrets of {name} cannot be read; seal them again"
            ) from None

    async def close(self) -> None:
        for creator in (*self._open.values(), *self._replaced):
            await creator.close()
        self._open.clear()
        self._replaced.clear()


async def _check(creator: Creator) -> Check:
    try:
        return await creator.check()
    finally:
        await creator.close()


def seal_secrets(sealer: Sealer, tenant_id: str, name: str, secrets: Mapping[str, Secret]) -> str:
    """As the ledger keeps them: JSON of setting -> base64, each bound to its directory and name."""
    sealed = {
        key: sealer.seal(value.plain, tenant_id, secret_tag(name, key))
        for key, value in secrets.items()
    }
    return json.dumps({key: b64encode(value).decode() for key, value in sealed.items()})


def _rules(policy: str | None) -> PasswordPolicy:
    """Raises LedgerError, which stops the claim of one job and no more; a newer release may have
    written what this one cannot read."""
    try:
        return read_policy(policy) if policy else DEFAULT_POLICY
    except InvalidInput as error:
        raise LedgerError(f"no password can be made: {error}") from None


def secret_tag(name: str, setting: str) -> str:
    """What a sealed secret of a directory is bound to, besides its tenant."""
    return f"directory:{name}:{setting}"


class Services:
    """What a process works with. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sealer: Sealer = load_sealer(settings.sealing_key_file, settings.sealing_keys)
        self.planner = Planner(settings.email_domain)
        self.ledger = open_ledger(settings.ledger_url)
        self.line = Line.open(settings.redis_url)
        self.directories = Directories(settings, self.ledger, self.sealer)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self.ledger.close)
        self._stack.push_async_callback(self.line.close)
        self._stack.push_async_callback(self.directories.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def plan(self) -> Plan:
        return self._plan

    def _plan(
        self,
        tenant_id: str,
        job_id: str,
        template: str | None,
        indexes: range,
        policy: str | None,
    ) -> list[PlannedAccount]:
        """Decides everything about new accounts of a generated job."""
        planned, seal, generate = [], self.sealer.seal, self.planner.plan_generated
        rules = _rules(policy)
        for index in indexes:
            person, password = generate(template, index, rules)
            sealed = seal(password, tenant_id, tag_of(job_id, index))
            planned.append(PlannedAccount(job_id, index, person, sealed))
        return planned
