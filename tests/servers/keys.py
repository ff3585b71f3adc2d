"""Tenants and keys of a system under test, made straight in its ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from botrix.audit import Actor
from botrix.keys import new_key
from botrix.ledger.engine import create_engine
from botrix.ledger.keys import Keys
from botrix.roles import Role
from tests.servers.system import System

CONSOLE = Actor("test", "here")


@asynccontextmanager
async def opened(system: System) -> AsyncIterator[Keys]:
    engine = create_engine(system.direct_url)
    try:
        yield Keys(engine)
    finally:
        await engine.dispose()


async def make_key(
    system: System, role: Role = Role.ADMIN, tenant: str = "default", days: float | None = None
) -> str:
    key = new_key()
    async with opened(system) as keys:
        await keys.create(key, tenant, f"the {role} of {tenant}", role, days, CONSOLE)
    return key.text


def make_tenant(system: System, name: str) -> None:
    system.rows("INSERT INTO tenants (id, created_at) VALUES (?, 0) RETURNING id", name)
    system.rows(
        "INSERT INTO directories (tenant_id, name, kind, config, created_at)"
        " VALUES (?, 'local', 'simulated', '{}', 0) RETURNING name",
        name,
    )


def bearing(system: System, key: str) -> aiohttp.ClientSession:
    """A client that sends the key; close it."""
    return aiohttp.ClientSession(system.url, headers={"Authorization": f"Bearer {key}"})
