"""What a process holds in memory although it may never use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "library", ["aiohttp", "liquid", "anyascii", "pyrage", "opentelemetry.sdk.trace"]
)
def test_the_api_loads_no_library_before_it_is_needed(library: str) -> None:
    """Each takes 5 to 20 MB."""
    look = f"import sys, botrix.api.app; sys.exit({library!r} in sys.modules)"
    assert subprocess.run((sys.executable, "-c", look), check=False).returncode == 0


_NOT_OF_A_WORKER = (
    "aiohttp",  # 10 MB, for some directories and webhooks
    "sqlalchemy",  # 14 MB, for cold queries
    "alembic",
    "aiosqlite",
    "fastapi",
    "uvicorn",
    "rich",
    "argon2",
    "liquid",
    "anyascii",
    "pyrage",
    "prometheus_client",
    "opentelemetry.sdk.trace",
)
_OPENED = """
import asyncio, sys
from pathlib import Path
import botrix.cli.worker, botrix.worker.daemon
from botrix.creators import open_creator
from botrix.services import Services
from botrix.settings import Settings

async def opened(data, url):
    async with Services(Settings.read({}, data=Path(data), ledger_url=url)):
        await open_creator("simulated", {})

asyncio.run(opened(sys.argv[1], sys.argv[2]))
print(*sorted(set(sys.argv[3:]) & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("url", "of_the_other"),
    [("sqlite:///none.db", "asyncpg"), ("postgresql://botrix@127.0.0.1/none", "sqlite3")],
)
def test_a_worker_loads_no_library_before_it_is_needed(
    url: str, of_the_other: str, tmp_path: Path
) -> None:
    unwanted = (*_NOT_OF_A_WORKER, of_the_other)
    command = (sys.executable, "-c", _OPENED, str(tmp_path), url, *unwanted)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
