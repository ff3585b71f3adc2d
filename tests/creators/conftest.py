"""A creator of every kind, each before a directory of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from botrix.creators import open_creator
from botrix.creators.creator import Creator
from tests.servers.scim import TOKEN, RealScim, SimulatedDirectory


@asynccontextmanager
async def opened(kind: str, config: dict[str, Any], timeout: float = 5.0) -> AsyncIterator[Creator]:
    creator = await open_creator(kind, config, timeout=timeout)
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


@pytest_asyncio.fixture(
    params=[
        "local",
        "simulated",
        "scim, simulated",
        "scim, without filter",
        pytest.param("scim, scim2-server", marks=pytest.mark.suite("scim2-server")),
    ]
)
async def creator(
    request: pytest.FixtureRequest, tmp_path: Path, token_file: str
) -> AsyncIterator[Creator]:
    """The suite of test_every_kind.py runs on each of these."""
    kind, _, server = request.param.partition(", ")
    config: dict[str, Any] = {"path": str(tmp_path / "entries.sqlite")} if kind == "local" else {}
    async with AsyncExitStack() as stack:
        if kind == "scim":
            config = {"url": await _start(server, tmp_path, stack), "token_file": token_file}
        yield await stack.enter_async_context(opened(kind, config))


async def _start(server: str, folder: Path, stack: AsyncExitStack) -> str:
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
    await simulated.begin(ignore_filter=server == "without filter")
    return simulated.url
