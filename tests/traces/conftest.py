"""A collector of spans, and systems whose spans come there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers.collector import Collector
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import FAST, System


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def traced(
    request: pytest.FixtureRequest, folder: Path, collector: Collector
) -> AsyncIterator[System]:
    """On each database; API and workers send their spans to the collector."""
    url = None
    if request.param == "postgres":
        url = await request.getfixturevalue("postgres_server").database()
    environ = {**FAST, **collector.environ}
    made = System(folder, environ, ledger_url=url, log=folder / "log")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture
async def directory(tmp_path: Path) -> AsyncIterator[SimulatedDirectory]:
    made = SimulatedDirectory(tmp_path)
    await made.begin()
    yield made
    await made.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return str(path)
