"""What tests of events share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.servers.system import System


@pytest_asyncio.fixture
async def api(folder: Path) -> AsyncIterator[System]:
    """On SQLite, with a directory and no worker yet. Nothing in it goes wrong."""
    system = System(folder / "data", log=folder / "log")
    try:
        await system.start()
        system.add_directory("sim")
        yield system
        assert '"level": "error"' not in (folder / "log").read_text()
    finally:
        await system.stop()
