"""A creator of every kind, each before a directory of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from botrix.creators import open_creator
from botrix.creators.creator import Creator
from botrix.creators.gate import Gate
from tests.servers import dirsrv, jupyterhub, ldap, samba
from tests.servers.jupyterhub import Hub
from tests.servers.scim import TOKEN, RealScim, SimulatedDirectory

pytest.register_assert_rewrite("botrix.testing")

_QUIRKS: dict[str, dict[str, Any]] = {
    "simulated": {},
    "without filter": {"ignore_filter": True},
    "without PATCH": {"no_patch": True, "etag": True, "cursor": True, "page": 3, "no_filter": True},
}


@asynccontextmanager
async def opened(
    kind: str, config: dict[str, Any], timeout: float = 5.0, gate: Gate | None = None
) -> AsyncIterator[Creator]:
    creator = await open_creator(kind, config, timeout=timeout, gate=gate)
    try:
        yield creator
    finally:
        await creator.close()


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return str(path)


@pytest_asyncio.fixture
async def directory(tmp_path: Path) -> AsyncIterator[SimulatedDirectory]:
    server = SimulatedDirectory(tmp_path)
    await server.begin()
    yield server
    await server.stop()


@asynccontextmanager
async def running_hub(folder: Path, **more: Any) -> AsyncIterator[Hub]:
    hub = Hub(folder, **more)
    try:
        await hub.start()
        yield hub
    finally:
        hub.stop()


@pytest.fixture(scope="session")
def kept_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One for many tests, since it takes seconds to start: clear it first."""
    hub = Hub(tmp_path_factory.mktemp("hub"))
    try:
        with ThreadPoolExecutor(1) as thread:  # the fixture that asks for it may have a loop
            thread.submit(asyncio.run, hub.start()).result()
        yield hub
    finally:
        hub.stop()


def hub_config(hub: Hub) -> dict[str, Any]:
    """Its settings as a directory."""
    path = hub.folder / "token"
    path.write_text(jupyterhub.TOKEN)
    return {"url": hub.url, "token_file": str(path)}


@pytest_asyncio.fixture(
    params=[
        "local",
        "simulated",
        "scim, simulated",
        "scim, simulated, Bulk",
        "scim, without filter",
        "scim, without PATCH",
        pytest.param("scim, scim2-server", marks=pytest.mark.suite("scim2-server")),
        pytest.param("scim, scim2-server, no Bulk", marks=pytest.mark.suite("scim2-server")),
        pytest.param("scim, canaille", marks=pytest.mark.suite("canaille")),
        pytest.param("ldap, slapd", marks=pytest.mark.suite("slapd")),
        pytest.param("ldap, samba", marks=pytest.mark.suite("samba")),
        pytest.param("ldap, 389ds", marks=pytest.mark.suite("389ds")),
        pytest.param("keycloak", marks=[pytest.mark.suite("Keycloak"), pytest.mark.timeout(600)]),
        pytest.param("jupyterhub", marks=pytest.mark.suite("JupyterHub")),
    ]
)
async def creator(
    request: pytest.FixtureRequest, tmp_path: Path, token_file: str
) -> AsyncIterator[Creator]:
    """The suite of test_every_kind.py runs on each of these."""
    kind, _, server = request.param.partition(", ")
    server, _, bulk = server.partition(", ")
    config: dict[str, Any] = {"path": str(tmp_path / "entries.sqlite")} if kind == "local" else {}
    async with AsyncExitStack() as stack:
        if server == "canaille":
            config = request.getfixturevalue("canaille").config()
        elif kind == "keycloak":
            config = request.getfixturevalue("realm").settings(tmp_path)
        elif kind == "ldap":
            config = await ldap_directory(server, tmp_path, stack)
        elif kind == "jupyterhub":
            hub = request.getfixturevalue("kept_hub")
            await hub.clear()
            config = hub_config(hub)
        elif kind == "scim":
            url = await _start(server, tmp_path, stack, bulk == "Bulk")
            config = {"url": url, "token_file": token_file, "bulk": bulk != "no Bulk"}
        # A password costs canaille half a second, and the suite sends sixteen at once.
        timeout = 60.0 if server == "canaille" else 5.0
        yield await stack.enter_async_context(opened(kind, config, timeout))


async def ldap_directory(server: str, folder: Path, stack: AsyncExitStack) -> dict[str, Any]:
    """Its settings."""
    made = folder / server
    made.mkdir()
    match server:
        case "slapd":
            _or_skip(server, ldap.missing())
            return (await stack.enter_async_context(ldap.slapd(made))).settings()
        case "samba":
            _or_skip(server, samba.missing())
            return (await stack.enter_async_context(samba.samba(made))).settings()
        case _:
            _or_skip(server, dirsrv.missing())
            return (await stack.enter_async_context(dirsrv.directory_server(made))).settings()


def _or_skip(server: str, why: str | None) -> None:
    if why:
        pytest.skip(f"{server} was NOT tried: {why}")


async def _start(server: str, folder: Path, stack: AsyncExitStack, bulk: bool) -> str:
    if server == "scim2-server":
        if find_spec("scim2_server") is None:
            pytest.skip("scim2-server is not installed")
        real = RealScim()
        stack.push_async_callback(real.stop)
        await real.begin()
        await real.ask("POST", "/Groups", {"displayName": "staff"})
        return real.url
    simulated = SimulatedDirectory(folder)
    stack.push_async_callback(simulated.stop)
    quirks = {"bulk": {"most": 500}} if bulk else _QUIRKS[server]
    await simulated.begin(**quirks)
    return simulated.url
