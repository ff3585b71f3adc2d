"""Each test of the ledger runs on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from botrix.ledger.migrate import upgrade


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
