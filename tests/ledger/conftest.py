"""Each test of the ledger runs on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Ledger
from botrix.ledger.migrate import upgrade
from botrix.ledger.queries import Queries
from botrix.services import open_ledger


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a ledger with all its tables."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        return str(await server.database())
    made = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    await asyncio.to_thread(upgrade, made)
    return made


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    """With a session, s1, of worker-1."""
    opened = open_ledger(url)
    await opened.open_session("s1", "worker-1", "host", 1, "0")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def queries(url: str) -> AsyncIterator[Queries]:
    opened = Queries(create_engine(url))
    yield opened
    await opened.close()
