"""How fast accounts get into real directories, beside the barest loop that could do it."""

from __future__ import annotations

import asyncio
import atexit
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from benchmarks.ground import ground
from benchmarks.peers.peer import ENVIRONMENTS, PROGRAMS
from botrix.creators.creator import Wanted
from botrix.creators.keycloak import users
from botrix.model import Person
from tests.servers import keycloak, ldap
from tests.servers.scim import TOKEN, RealScim, ScimServer, SimulatedDirectory
from tests.servers.system import until

_PYTHON_LDAP = ENVIRONMENTS / "ldap"
_FIXED = (1, 2, 4, 8, 16, 32)
_AUTHORIZED = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
_BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def scim_body(n: int) -> dict[str, Any]:
    """As the creator sends it."""
    return {
        "schemas": [_USER],
        "externalId": f"botrix:bench:{n}",
        "userName": f"user-{n}",
        "name": {"givenName": "Given", "familyName": "Family"},
        "displayName": "Given Family",
        "emails": [{"value": f"user-{n}@x.example", "type": "work", "primary": True}],
        "active": True,
        "password": "Pass-w0rd-of-the-benchmark",
    }


@asynccontextmanager
async def scim_server() -> AsyncIterator[RealScim]:
    server = RealScim()
    await server.begin()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def simulated(**quirks: Any) -> AsyncIterator[SimulatedDirectory]:
    with TemporaryDirectory(prefix="bx-bench-") as folder:
        server = SimulatedDirectory(Path(folder))
        await server.begin(**quirks)
        try:
            yield server
        finally:
            await server.stop()


async def loop(n: int, at_once: int, call: Callable[[int], Awaitable[None]]) -> float:
    """Calls a second of the barest loop: so many coroutines that share a counter."""
    numbers = iter(range(n))

    async def hand() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    await asyncio.gather(*(hand() for _ in range(at_once)))
    return n / (time.perf_counter() - began)


async def bare_scim(n: int, at_once: int, server: ScimServer) -> float:
    """Accounts a second, one request each."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=_AUTHORIZED, connector=connector) as session:

        async def call(number: int) -> None:
            async with session.post(f"{server.url}/Users", json=scim_body(number)) as answer:
                await answer.read()
                assert answer.status == 201, answer.status

        return await loop(n, at_once, call)


async def best_bare_scim(n: int) -> tuple[float, float]:
    """The best of the fixed numbers of calls at once, each into a server of its own; and which."""
    found = []
    for at_once in _FIXED:
        async with scim_server() as server:
            found.append((await bare_scim(n, at_once, server), float(at_once)))
    return max(found)


async def sequential_scim(n: int) -> float:
    async with scim_server() as server:
        return await bare_scim(n, 1, server)


async def through(
    n: int, kind: str, config: dict[str, Any], environ: dict[str, str], workers: int = 1
) -> float:
    """Accounts a second by one worker, from the first result to the last."""
    async with ground() as place:
        await place.directory_of(kind, config)
        await place.submit(1, n, directory="real")
        for number in range(workers):
            await place.worker(f"worker-{number}", **environ)
        await place.drained(1)
        return await place.pace()


async def botrix_scim(n: int, **settings: Any) -> float:
    async with scim_server() as server:
        config = {"url": server.url, "token_env": "BENCH_TOKEN", **settings}
        return await through(n, "scim", config, {"BENCH_TOKEN": TOKEN})


def has_python_ldap() -> bool:
    """Which has to be built; see the Makefile."""
    return any(_PYTHON_LDAP.glob("lib/python*/site-packages/ldap"))


async def bare_ldap(n: int) -> float:
    """Accounts a second by python-ldap, 64 under way on one connection; see the peer."""
    with TemporaryDirectory(prefix="bx-bench-") as folder:
        async with ldap.slapd(Path(folder)) as server:
            process = await asyncio.create_subprocess_exec(
                str(_PYTHON_LDAP / "bin" / "python"), str(PROGRAMS / "ldap_peer.py"),
                server.url, ldap.ADMIN, ldap.PASSWORD, ldap.PEOPLE, str(n),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            said, _ = await process.communicate()
            return float(said)


async def botrix_ldap(n: int) -> float:
    """Passwords as the peer sends them: hashing each costs more than all the rest."""
    with TemporaryDirectory(prefix="bx-bench-") as folder:
        async with ldap.slapd(Path(folder)) as server:
            config = server.settings(password_scheme="server")
            return await through(n, "ldap", config, {})


async def halved(n: int) -> tuple[float, float]:
    """A directory that works on 8 at once and halves its speed when half is done: accounts a second
    of the second half by a worker, and of the best fixed loop into one that slow."""
    slow = {"delay": 0.1, "width": 8}
    async with simulated(**slow) as server:
        best = await bare_scim(n, 8, server)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulated(delay=0.05, width=8))
        place = await stack.enter_async_context(ground())
        config = {"url": server.url, "token_env": "BENCH_TOKEN"}
        await place.directory_of("scim", config)
        await place.submit(1, 2 * n, directory="real")
        await place.worker("worker-1", BENCH_TOKEN=TOKEN)

        async def half() -> bool:
            return await place.created() >= n

        await until(half, 120, "half is done")
        await server.misbehave(**slow)
        done, began = await place.created(), time.perf_counter()
        await place.drained(1)
        return (2 * n - done) / (time.perf_counter() - began), best


async def bulk_scim(n: int) -> float:
    """Accounts a second of the barest loop that sends Bulks of 200, one after another: what the
    server can take at most, whoever asks."""
    async with (
        scim_server() as server,
        aiohttp.ClientSession(headers=_AUTHORIZED) as session,
    ):

        async def call(number: int) -> None:
            operations = [
                {"method": "POST", "path": "/Users", "bulkId": str(k), "data": scim_body(k)}
                for k in range(number * 200, number * 200 + 200)
            ]
            body = {"schemas": [_BULK], "Operations": operations}
            async with session.post(f"{server.url}/Bulk", json=body) as answer:
                await answer.read()
                assert answer.status == 200, answer.status

        return await loop(n // 200, 1, call) * 200


@cache
def _keycloak() -> keycloak.Keycloak:
    """Started once, for it takes long; ended with this process."""
    stack = ExitStack()
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="bx-bench-")))
    server = stack.enter_context(keycloak.keycloak(folder))
    atexit.register(stack.close)
    return server


def _realm() -> keycloak.Realm:
    return keycloak.Realm(_keycloak(), f"bench-{secrets.token_hex(4)}")


async def bare_keycloak(n: int, at_once: int) -> float:
    """Accounts a second, one request each. The realm hashes passwords as those of the tests do."""
    realm = await asyncio.to_thread(_realm)
    form = dict(zip(("client_id", "client_secret"), keycloak.CLIENT, strict=True))
    said = realm.server.token(realm.name, grant_type="client_credentials", **form)
    path = f"{realm.server.url}/admin/realms/{realm.name}/users"
    headers = {"Authorization": f"Bearer {said.body['access_token']}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def call(number: int) -> None:
            name = f"user-{number}"
            person = Person(name, f"{name}@x.example", "Given", "Family", "Given Family")
            wanted = Wanted(f"botrix:bench:{number}", person, "Pass-w0rd-of-the-benchmark")
            body = users.body(wanted, "botrix_tag", [])
            async with session.post(path, json=body) as answer:
                await answer.read()
                assert answer.status == 201, answer.status

        rate = await loop(n, at_once, call)
    realm.remove()
    return rate


async def best_bare_keycloak(n: int) -> tuple[float, float]:
    """The best of the fixed numbers of calls at once, tried with a tenth; and which."""
    _, best = max([(await bare_keycloak(n // 10, k), k) for k in (4, 8, 16)])
    return await bare_keycloak(n, best), float(best)


async def botrix_keycloak(n: int) -> float:
    with TemporaryDirectory(prefix="bx-bench-") as folder:
        realm = await asyncio.to_thread(_realm)
        rate = await through(n, "keycloak", realm.settings(Path(folder)), {})
        realm.remove()
        return rate
