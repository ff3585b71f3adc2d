"""A system with a slow directory, and a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.cli.screen import Screen, missing
from tests.servers.system import System


@pytest_asyncio.fixture
async def slow(folder: Path) -> AsyncIterator[System]:
    """Its directory `slow` makes 40 accounts a second; there is no worker yet."""
    made = System(folder, log=folder / "log")
    try:
        await made.start()
        made.add_directory("slow", delay=0.1, batch=1, concurrency=4)
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture
async def screen() -> AsyncIterator[Screen]:
    if why := missing():
        pytest.skip(why)
    with TemporaryDirectory(prefix="bx-") as name:
        made = Screen(Path(name))
        try:
            yield made
        finally:
            await made.close()
