"""Every endpoint, asked by every role, for what is its own and for what is another tenant's."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from botrix.api.app import create_app
from botrix.api.door import May
from botrix.api.entrance import is_open
from botrix.api.query import only_known
from botrix.roles import ROLE_SCOPES, Role, Scope
from botrix.settings import Settings
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.system import System, until

_BODIES: dict[str, dict[str, Any]] = {
    "/api/accounts/generate": {"json": {"count": 1}},
    "/api/accounts/import": {"data": b"username\nann\n", "headers": {"Content-Type": "text/csv"}},
    "/api/jobs/{job_id}/export": {"json": {"format": "csv"}},
    "/api/jobs/{job_id}/undo": {"json": {"count": 2}},
    "/api/templates/preview": {"json": {"content": "username\nann\n"}},
    "/api/jobs/cancel": {"json": {"directory": "local"}},
    "/api/jobs/retry": {"json": {"directory": "local"}},
    "/api/webhooks": {"json": {"url": "https://example.org/hook"}},
    "/api/directories": {"json": {"name": "new", "kind": "local"}},
    "/api/directories/check": {"json": {"kind": "local"}},
}
_PUT = {"json": {"username": "x"}}


_MORE_THAN_READ = {
    "POST /api/accounts/generate": Scope.SUBMIT,
    "POST /api/accounts/import": Scope.SUBMIT,
    "POST /api/accounts/{account_id}/reveal": Scope.REVEAL,
    "POST /api/accounts/{account_id}/reset": Scope.REVEAL,
    "POST /api/jobs/{job_id}/export": Scope.REVEAL,
    "POST /api/jobs/{job_id}/cancel": Scope.OPERATE,
    "POST /api/jobs/{job_id}/retry": Scope.OPERATE,
    "POST /api/jobs/{job_id}/undo": Scope.OPERATE,
    "POST /api/jobs/{job_id}/apply": Scope.OPERATE,
    "PUT /api/templates/{template}": Scope.OPERATE,
    "DELETE /api/templates/{template}": Scope.OPERATE,
    "POST /api/templates/preview": Scope.SUBMIT,
    "POST /api/jobs/cancel": Scope.OPERATE,
    "POST /api/jobs/retry": Scope.OPERATE,
    "POST /api/jobs/{job_id}/pause": Scope.OPERATE,
    "POST /api/jobs/{job_id}/resume": Scope.OPERATE,
    "POST /api/jobs/{job_id}/approve": Scope.OPERATE,
    "POST /api/jobs/{job_id}/release": Scope.OPERATE,
    "POST /api/workers/{worker_id}/quiet": Scope.OPERATE,
    "POST /api/workers/{worker_id}/drain": Scope.OPERATE,
    "POST /api/workers/{worker_id}/work": Scope.OPERATE,
    "POST /api/directories": Scope.ADMIN,
    "POST /api/directories/check": Scope.ADMIN,
    "POST /api/directories/{name}/check": Scope.OPERATE,
    "POST /api/directories/{name}/pause": Scope.OPERATE,
    "POST /api/directories/{name}/resume": Scope.OPERATE,
    "GET /api/keys": Scope.ADMIN,
    "POST /api/keys/{key_id}/revoke": Scope.ADMIN,
    "GET /api/audit": Scope.ADMIN,
    "GET /api/audit/export": Scope.ADMIN,
    "POST /api/webhooks": Scope.ADMIN,
    "GET /api/webhooks": Scope.ADMIN,
    "GET /api/webhooks/deliveries": Scope.ADMIN,
    "GET /api/webhooks/deliveries/{n}": Scope.ADMIN,
    "POST /api/webhooks/deliveries/{n}/replay": Scope.ADMIN,
    "GET /api/webhooks/{webhook_id}": Scope.ADMIN,
    "DELETE /api/webhooks/{webhook_id}": Scope.ADMIN,
    "POST /api/webhooks/{webhook_id}/rotate": Scope.ADMIN,
    "POST /api/webhooks/{webhook_id}/enable": Scope.ADMIN,
    "POST /api/webhooks/{webhook_id}/test": Scope.ADMIN,
    "POST /api/webhooks/{webhook_id}/replay": Scope.ADMIN,
}
"""Written down once more, so that no route changes its scope by accident."""
_LISTS = (
    "/api/jobs", "/api/accounts", "/api/workers", "/api/keys", "/api/audit", "/api/audit/export",
    "/api/directories", "/api/directories/kinds", "/metrics", "/api/jobs/stats", "/api/templates",
    "/api/webhooks",
    "/api/webhooks/deliveries",
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


def test_no_request_waits_for_a_thread(tmp_path: Path) -> None:
    """What is not a coroutine goes through a pool of threads: slower, and 10 MB more."""
    calls = {call for route in _routes(tmp_path) for call in _calls(route.dependant)}
    for call in calls | {only_known}:
        work = call if inspect.isfunction(call) else type(call).__call__
        assert inspect.iscoroutinefunction(work), f"{call} is not async"


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def _endpoints(folder: Path) -> list[Endpoint]:
    found = []
    for route in _routes(folder):
        asked = [d.call.scope for d in route.dependant.dependencies if isinstance(d.call, May)]
        assert len(asked) == (not is_open(route.path)), (
            f"{route.path} asks for {asked or 'no scope'}"
        )
        found += [
            Endpoint(m, route.path_format, asked[0] if asked else None) for m in route.methods or ()
        ]
    return found


@dataclass
class World:
    """Two tenants, each with a job, an account and keys of every role."""

    system: System
    clients: dict[tuple[str, Role], ClientSession]
    things: dict[str, dict[str, str]]

    def path(self, endpoint: Endpoint, tenant: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda m: self.things[tenant][m[1]], endpoint.path)

    async def keep(self, tenant: str) -> None:
        path = f"/api/templates/{self.things[tenant]['template']}"
        async with self.clients[tenant, Role.ADMIN].put(path, **_PUT) as answer:
            assert answer.status == 200

    async def status(self, tenant: str, role: Role, endpoint: Endpoint, of: str) -> int:
        if endpoint.method == "DELETE":  # so that there is something to delete
            await self.keep(of)
        http = self.clients[tenant, role]
        more = _PUT if endpoint.method == "PUT" else _BODIES.get(endpoint.path, {})
        async with http.request(endpoint.method, self.path(endpoint, of), **more) as answer:
            return answer.status


def _final(system: System, job: str) -> Callable[[], Awaitable[bool]]:
    async def final() -> bool:
        query = "SELECT finished_at FROM jobs WHERE id = ? AND finished_at IS NOT NULL"
        return bool(system.rows(query, job))

    return final


def _webhook(system: System, tenant: str) -> dict[str, str]:
    """With a dead delivery."""
    webhook, n = f"wh_of_{tenant}", 77_000_000_000 + len(tenant)
    system.rows(
        "INSERT INTO webhooks (id, tenant_id, url, secret, events, created_at)"
        " VALUES (?, ?, 'https://example.org', 'x', '[]', 0) RETURNING id", webhook, tenant,
    )  # fmt: skip
    system.rows(
        "INSERT INTO deliveries (n, tenant_id, webhook_id, job_id, event, body, at, status)"
        " VALUES (?, ?, ?, '', 'webhook.test', '{}', ?, 'dead') RETURNING n",
        n, tenant, webhook, time.time(),
    )  # fmt: skip
    return {"webhook_id": webhook, "n": str(n)}


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
        things["worker_id"] = f"worker-of-{tenant}"
        things["template"] = f"template-of-{tenant}"
        things["path"] = "style.css"
        things |= _webhook(system, tenant)
        made.things[tenant] = things
        await made.keep(tenant)
    await system.worker()
    for things in made.things.values():
        await until(_final(system, things["job_id"]), 30, "both jobs are final")
    await system.kill("worker-1")  # it would declare those lost that only stand in the ledger
    for tenant, things in made.things.items():
        system.rows(
            "INSERT INTO sessions (id, tenant_id, worker_id, host, pid, version, started_at,"
            " wanted) VALUES (?, ?, ?, 'h', 1, '0', 0, 'work') RETURNING id",
            f"of-{tenant}", tenant, things["worker_id"],
        )  # fmt: skip
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
        if endpoint.scope and endpoint.names_a_thing and endpoint.method != "PUT":  # makes its own
            for tenant, foreign in (("default", "other"), ("other", "default")):
                status = await world.status(tenant, Role.ADMIN, endpoint, foreign)
                assert status == 404, str(endpoint)
    for things in world.things.values():  # and nothing happened to it
        kept = world.system.rows("SELECT name FROM templates WHERE name = ?", things["template"])
        assert kept == [(things["template"],)]
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
