"""An earlier state of this program, from the history of the repository, beside the present one."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import tarfile
from asyncio import create_subprocess_exec
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.servers.system import System, until

_ROOT = Path(__file__).parents[2]
_VERSIONS = "botrix/ledger/migrations/versions"


DATABASES = [
    pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
    pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
]
PATIENT = {"BOTRIX_LEASE": "10", "BOTRIX_BEAT": "1", "BOTRIX_BACKOFF_BASE": "0.05",
            "BOTRIX_CAPACITY": "200"}  # fmt: skip
"""No session may be lost for the slowness of a machine; and nobody may hold all the work."""


class EarlierSystem(System):
    """Its ledger, API and workers are at first those of the program in `program`."""

    program: Path

    async def start(self) -> None:
        await self.supervisor.line.start()
        migrated = await self.earlier("-m", "botrix", "migrate")
        assert await migrated.wait() == 0
        api = await self.earlier("-m", "botrix", "api")
        self.supervisor.processes["api"] = api
        self.connect()

        async def ready() -> bool:
            assert api.returncode is None, "the earlier API did not start"
            return await self.answers("/ready")

        await until(ready, 30, "the earlier API is ready")

    async def earlier_worker(self, name: str) -> Process:
        self.workers[name] = await self.earlier(
            "-m", "workers.worker_daemon", "--worker-id", name
        )  # fmt: skip
        return self.workers[name]

    async def change_api(self, *, ready: bool = True) -> Process:
        """The present one takes the place of the earlier one. ready: once it can be used, not only
        once it answers."""
        old = self.supervisor.processes["api"]
        old.terminate()
        ended = await asyncio.wait_for(old.wait(), 15)
        assert ended in (0, -signal.SIGTERM)  # uvicorn ends in order, then by the signal itself
        if ready:
            await self.supervisor.start_api()
        else:
            await self.supervisor._launch("api", "api")
            await until(lambda: self.answers("/live"), 30, "the API answers")
        return self.supervisor.processes["api"]

    async def earlier(self, *command: str) -> Process:
        env = {
            **self.environ,
            "PYTHONPATH": str(self.program),
            "BOTRIX_DATA": str(self.settings.data),
            "BOTRIX_LEDGER_URL": self.settings.ledger_url,
            "REDIS_URL": self.settings.redis_url,
            "BOTRIX_PORT": str(self.settings.port),
        }
        return await create_subprocess_exec(sys.executable, *command, cwd=self.program, env=env)


@asynccontextmanager
async def as_before(
    migration: str, folder: Path, environ: Mapping[str, str], ledger_url: str | None
) -> AsyncIterator[EarlierSystem]:
    """The program as it was before this migration (the name of its file), at work."""
    commit = commit_before(migration)
    if commit is None:
        pytest.skip("no history of the program here: old and new workers side by side NOT CHECKED")
    export(commit, folder / "earlier")
    made = EarlierSystem(folder / "data", environ, ledger_url=ledger_url)
    made.program = folder / "earlier"
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


def commit_before(migration: str) -> str | None:
    """The last commit without it; None where there is no history, or not enough of it."""
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", f"{_VERSIONS}/{migration}")
    return _git("rev-parse", "--verify", "--quiet", f"{added}^") if added else None


def export(commit: str, folder: Path) -> None:
    """The files of a commit."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=_ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *command], cwd=_ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def at_work(first_since: str) -> Any:
    """A fixture: the program as it was before that migration, on each database."""

    @pytest_asyncio.fixture(params=DATABASES)
    async def earlier(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[EarlierSystem]:
        url = None
        if request.param == "postgres":
            url = await request.getfixturevalue("postgres_server").empty_database()
        async with as_before(first_since, folder, PATIENT, url) as made:
            yield made

    return earlier
