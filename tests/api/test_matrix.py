"""Every endpoint, asked by every role, for what is its own and for what is another tenant's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from fastapi.routing import APIRoute

from botrix.api.app import create_app
from botrix.api.door import May
from botrix.api.entrance import OPEN
from botrix.model import ROLE_SCOPES, Role, Scope
from botrix.settings import Settings
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.system import System, until

_BODIES: dict[str, dict[str, Any]] = {
    "/api/accounts/generate": {"json": {"count": 1}},
    "/api/accounts/import": {"data": b"username\nann\n", "headers": {"Content-Type": "text/csv"}},
    "/api/jobs/{job_id}/export": {"json": {"format": "csv"}},
}


_MORE_THAN_READ = {
    "POST /api/accounts/generate": Scope.SUBMIT,
    "POST /api/accounts/import": Scope.SUBMIT,
    "POST /api/accounts/{account_id}/reveal": Scope.REVEAL,
    "POST /api/accounts/{account_id}/reset": Scope.REVEAL,
    "POST /api/jobs/{job_id}/export": Scope.REVEAL,
    "POST /api/jobs/{job_id}/cancel": Scope.OPERATE,
    "POST /api/jobs/{job_id}/retry": Scope.OPERATE,
    "GET /api/keys": Scope.ADMIN,
    "POST /api/keys/{key_id}/revoke": Scope.ADMIN,
    "GET /api/audit": Scope.ADMIN,
    "GET /api/audit/export": Scope.ADMIN,
}
"""Written down once more, so that no route changes its scope by accident."""
_LISTS = (
    "/api/jobs", "/api/accounts", "/api/workers", "/api/keys", "/api/audit", "/api/audit/export",
    "/api/directories", "/metrics", "/api/jobs/stats",
)  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """scope: what a key needs for it; None where everybody may."""

    method: str
    path: str
    scope: Scope | None

    @property
    def names_a_thing(self) -> bool:
        return "{" in self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _routes(folder: Path) -> Iterator[APIRoute]:
    """However they were included."""
    waiting = list(create_app(Settings.read({}, data=folder)).routes)
    while waiting:
        route = waiting.pop(0)
        if isinstance(route, APIRoute):
            yield route
        waiting.extend(getattr(getattr(route, "original_router", None), "routes", ()))


def _endpoints(folder: Path) -> list[Endpoint]:
    found = []
    for route in _routes(folder):
        asked = [d.call.scope for d in route.dependant.dependencies if isinstance(d.call, May)]
        assert len(asked) == (route.path not in OPEN), (
            f"{route.path} asks for {asked or 'no scope'}"
        )
        found += [Endpoint(m, route.path, asked[0] if asked else None) for m in route.methods or ()]
    return found


@dataclass
class World:
    """Two tenants, each with a job, an account and keys of every role."""

    system: System
    clients: dict[tuple[str, Role], ClientSession]
    things: dict[str, dict[str, str]]

    def path(self, endpoint: Endpoint, tenant: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda m: self.things[tenant][m[1]], endpoint.path)

    async def status(self, tenant: str, role: Role, endpoint: Endpoint, of: str) -> int:
        http = self.clients[tenant, role]
        more = _BODIES.get(endpoint.path, {})
        async with http.request(endpoint.method, self.path(endpoint, of), **more) as answer:
            return answer.status


def _final(system: System, job: str) -> Callable[[], Awaitable[bool]]:
    async def final() -> bool:
        query = "SELECT finished_at FROM jobs WHERE id = ? AND finished_at IS NOT NULL"
        return bool(system.rows(query, job))

    return final


@pytest_asyncio.fixture
async def world(system: System) -> AsyncIterator[World]:
    make_tenant(system, "other")
    made = World(system, {}, {})
    for tenant in ("default", "other"):
        for role in Role:
            key = await make_key(system, role, tenant)
            made.clients[tenant, role] = bearing(system, key)
        spare = (await make_key(system, Role.READER, tenant))[4:20]
        http = made.clients[tenant, Role.ADMIN]
        async with http.post("/api/accounts/generate", json={"count": 2}) as answer:
            job = (await answer.json())["id"]
        directory = f"of-{tenant}"
        system.rows(
            "INSERT INTO directories (tenant_id, name, kind, config, created_at)"
            " VALUES (?, ?, 'simulated', '{}', 0) RETURNING name", tenant, directory,
        )  # fmt: skip
        things = {"job_id": job, "account_id": f"{job}:0", "key_id": spare, "name": directory}
        made.things[tenant] = things
    await system.worker()
    for things in made.things.values():
        await until(_final(system, things["job_id"]), 30, "both jobs are final")
    yield made
    for client in made.clients.values():
        await client.close()


def test_each_endpoint_asks_for_what_was_decided(tmp_path: Path) -> None:
    asked = {str(e): e.scope for e in _endpoints(tmp_path)}
    more = {name: scope for name, scope in asked.items() if scope not in {None, Scope.READ}}
    assert more == _MORE_THAN_READ
    rest = [name for name in asked if name not in more and not name.startswith("GET ")]
    assert rest == ["POST /api/sign-in", "POST /api/sign-out"]


async def test_every_role_may_do_what_its_scopes_say(world: World, tmp_path: Path) -> None:
    for endpoint in _endpoints(tmp_path):
        for role in Role:
            status = await world.status("other", role, endpoint, "other")
            if endpoint.scope is None or endpoint.scope in ROLE_SCOPES[role]:
                assert status not in {401, 403, 404, 405, 500}, (str(endpoint), role)
            else:
                assert status == 403, (str(endpoint), role)


async def test_what_is_another_tenants_is_not_there(world: World, tmp_path: Path) -> None:
    for endpoint in _endpoints(tmp_path):
        if endpoint.names_a_thing:
            for tenant, foreign in (("default", "other"), ("other", "default")):
                status = await world.status(tenant, Role.ADMIN, endpoint, foreign)
                assert status == 404, str(endpoint)
    for things in world.things.values():  # and nothing happened to it
        job = world.system.rows("SELECT status FROM jobs WHERE id = ?", things["job_id"])
        assert job == [("completed",)]
    assert world.system.rows("SELECT count(*) FROM accounts WHERE revealed_at IS NOT NULL") == [
        (0,)
    ]
    assert world.system.rows("SELECT count(*) FROM keys WHERE revoked_at IS NOT NULL") == [(0,)]


async def test_lists_hold_only_what_is_ones_own(world: World) -> None:
    for tenant, foreign in (("default", "other"), ("other", "default")):
        http = world.clients[tenant, Role.ADMIN]
        for path in _LISTS:
            async with http.get(path) as answer:
                text = await answer.text()
                assert answer.status == 200, path
            for thing in world.things[foreign].values():
                assert thing not in text, path
    mine = await world.clients["other", Role.READER].get("/api/jobs/stats")
    assert (await mine.json())["jobs"] == {"completed": 1}


@pytest.mark.parametrize("path", ["/api/jobs", "/api/nothing", "/openapi.json"])
async def test_nobody_gets_in_without_a_key(world: World, path: str) -> None:
    async with world.system.http.get(path) as answer:
        assert answer.status == 401
