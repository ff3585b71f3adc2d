"""Who asks: what the bearer of a key may do, and for which tenant."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from botrix.audit import Actor
from botrix.errors import LedgerDown
from botrix.keys import Key, digest_of, proves, read_key
from botrix.ledger.keys import Keys
from botrix.model import DEFAULT_TENANT
from botrix.roles import ROLE_SCOPES, Role, Scope

_log = logging.getLogger(__name__)
_REMEMBERED, _AHEAD = 2.0, 1.0
_MOST = 1000
_Ask = Callable[[str], Awaitable[dict[str, Any] | None]]
SIGNED_IN = 12 * 3600.0
"""Seconds until one must sign in anew."""


class Who(msgspec.Struct, frozen=True):
    """key_id: None for this machine's own API without keys. address: of the peer."""

    tenant: str
    role: Role
    name: str
    key_id: str | None
    address: str
    requests_per_minute: int | None = None

    @property
    def scopes(self) -> frozenset[Scope]:
        return ROLE_SCOPES[self.role]

    @property
    def actor(self) -> Actor:
        return Actor("local" if self.key_id is None else f"key:{self.key_id}", self.address)


def local(address: str) -> Who:
    """Whoever asks on this machine, where no key was ever made."""
    return Who(DEFAULT_TENANT, Role.ADMIN, "local", None, address)


class Doorkeeper:
    """Knows the bearers of keys, and remembers them for two seconds, so that what is revoked ends
    within five in every process. first: the key of a new installation."""

    def __init__(self, keys: Keys, first: Key | None) -> None:
        self._keys = keys
        self._first = first
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}
        self._asking: dict[str, asyncio.Task[dict[str, Any] | None]] = {}
        self._any: tuple[float, bool] = (0.0, False)

    async def by_key(self, text: str, address: str) -> Who | None:
        """None where the key is unknown, revoked or expired."""
        key = read_key(text)
        if key is None:
            return None
        if self._first is not None:
            await self._enter_first(self._first)
        row = await self._row(key.id, self._keys.bearer)
        good = proves(key.secret, row["digest"] if row else None)
        return _who(row, address) if row and good else None

    async def by_cookie(self, cookie: str, address: str) -> Who | None:
        """None where nobody signed in with it, or the key is no longer good."""
        digest = digest_of(cookie)
        row = await self._row(digest, self._keys.signed_in)
        return _who(row, address) if row else None

    async def keyless(self) -> bool:
        """Whether no key was ever made. While the ledger does not answer, what it said last."""
        if self._first is not None:
            await self._enter_first(self._first)
        said_at, any_made = self._any
        if any_made:
            return False
        if time.monotonic() > said_at + _REMEMBERED:
            try:
                self._any = (time.monotonic(), await self._keys.any_made())
            except LedgerDown:
                if not said_at:
                    raise
        return not self._any[1]

    def forget(self, digest: str) -> None:
        """A cookie that was signed out."""
        self._asking.pop(digest, None)
        self._known.pop(digest, None)

    async def _enter_first(self, first: Key) -> None:
        await self._keys.enter_first(first, Actor("setting", "BOTRIX_API_KEY"))
        self._first = None
        self._any = (time.monotonic(), True)

    async def _row(self, name: str, ask: _Ask) -> dict[str, Any] | None:
        """As it was lately. It is asked for again before it is too old, so that nobody waits."""
        until, row = self._known.get(name, (0.0, None))
        now = time.monotonic()
        if now >= until:
            return await asyncio.shield(self._asked(name, ask))
        if now >= until - _AHEAD:
            self._asked(name, ask)
        return row

    def _asked(self, name: str, ask: _Ask) -> asyncio.Task[dict[str, Any] | None]:
        """Once for all who ask at the same time."""
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._learn(name, ask))
            task.add_done_callback(_heeded)
        return task

    async def _learn(self, name: str, ask: _Ask) -> dict[str, Any] | None:
        task, row = asyncio.current_task(), None
        try:
            row = await ask(name)
        finally:
            if self._asking.get(name) is task:  # else it was to be forgotten meanwhile
                del self._asking[name]
                self._remember(name, row)
        return row

    def _remember(self, name: str, row: dict[str, Any] | None) -> None:
        if row is None:
            self._known.pop(name, None)
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[name] = (time.monotonic() + _REMEMBERED, row)


def _heeded(task: asyncio.Task[Any]) -> None:
    """What it failed of was told to who waited; who did not wait asks again."""
    if not task.cancelled():
        task.exception()


def _who(row: dict[str, Any], address: str) -> Who:
    return Who(
        row["tenant_id"], Role(row["role"]), row["name"], row["id"], address,
        row["requests_per_minute"],
    )  # fmt: skip
