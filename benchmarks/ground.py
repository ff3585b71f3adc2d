"""Where a measurement takes place: a line, a ledger and worker processes, all of this run alone."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import sqlalchemy as sa

from botrix.api.generate import new_job_id
from botrix.audit import Actor
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Ledger, Submission
from botrix.ledger.migrate import upgrade
from botrix.ledger.queries import Queries
from botrix.ledger.tenants import Tenants
from botrix.line.line import Line, Placing
from botrix.line.server import LineServer
from botrix.model import Lane, NewJob
from botrix.services import open_ledger
from botrix.settings import Settings
from tests.servers.postgres import PostgresServer

_ACTOR = Actor("benchmark", "here")


class Ground:
    """settings: of this ground. Workers are ended with it, by pid."""

    def __init__(self, settings: Settings, server: LineServer) -> None:
        self.settings = settings
        self.socket = settings.line_socket
        self.server = server
        self.ledger: Ledger = open_ledger(settings.ledger_url)
        self.line = Line.open(settings.redis_url)
        self.queries = Queries(create_engine(settings.ledger_url))
        self.workers: list[Process] = []

    async def directory(self, tenant: str = "default", **faults: Any) -> None:
        """Named `noop`, of kind simulated; the tenant is made, too."""
        if tenant != "default":
            await Tenants(self.queries.engine).create(tenant, {}, _ACTOR)
        await self.queries.add_directory(tenant, "noop", "simulated", json.dumps(faults), _ACTOR)

    async def directory_of(self, kind: str, config: dict[str, Any]) -> None:
        """Named `real`."""
        await self.queries.add_directory("default", "real", kind, json.dumps(config), _ACTOR)

    async def pace(self) -> float:
        """Accounts a second from the first that was recorded to the last."""
        (row,) = await self._rows(
            "SELECT count(*) AS n, max(updated_at) - min(updated_at) AS s FROM accounts"
            " WHERE status = 'created'"
        )
        return float(row["n"] / row["s"])

    async def created(self) -> int:
        rows = await self._rows("SELECT coalesce(sum(created), 0) AS n FROM jobs")
        return int(rows[0]["n"])

    async def submit(
        self, jobs: int, count: int, tenant: str = "default", directory: str = "noop"
    ) -> None:
        for start in range(0, jobs, 500):
            new = [
                NewJob(new_job_id(), count, directory=directory, tenant_id=tenant)
                for _ in range(start, min(start + 500, jobs))
            ]
            done = await self.ledger.submit([Submission(job) for job in new])
            await self.line.push([Placing(d.job_id, d.place or 0, Lane.NORMAL) for d in done])

    async def worker(self, name: str, **environ: str) -> Process:
        env = {
            **os.environ,
            "BOTRIX_DATA": str(self.settings.data),
            "BOTRIX_LEDGER_URL": self.settings.ledger_url,
            "REDIS_URL": self.settings.redis_url,
            "BOTRIX_LOG_LEVEL": "WARNING",
            **environ,
        }
        command = ("-m", "botrix", "worker", "--worker-id", name)
        process = await asyncio.create_subprocess_exec(sys.executable, *command, env=env)
        self.workers.append(process)
        return process

    async def drained(self, jobs: int, within: float = 300.0) -> float:
        """Seconds from the (last) worker's session to the last result, by the ledger's clock."""
        deadline = time.monotonic() + within
        while (done := await self._completed()) < jobs:  # rarely, not to disturb
            if time.monotonic() > deadline:
                raise RuntimeError(f"{done} of {jobs} jobs within {within} s")
            await asyncio.sleep(0.25)
        (row,) = await self._rows("SELECT max(finished_at) AS at FROM jobs")
        (session,) = await self._rows("SELECT max(started_at) AS at FROM sessions")
        return float(row["at"]) - float(session["at"])

    async def jobs_per_second(self) -> float:
        """From the first submission to the last result."""
        rate = "SELECT count(*) / (max(finished_at) - min(created_at)) AS rate FROM jobs"
        return float((await self._rows(rate))[0]["rate"])

    async def has_workers(self, n: int) -> bool:
        return len(await self.ledger.peers()) >= n

    async def took(self, tenant: str, jobs: int, within: float = 60.0) -> list[float]:
        """Seconds from submission to result of each job of a tenant, once all have ended."""
        query = f"SELECT finished_at - created_at AS s FROM jobs WHERE tenant_id = '{tenant}'"
        deadline = time.monotonic() + within
        while True:
            rows = await self._rows(f"{query} AND finished_at IS NOT NULL ORDER BY created_at, id")
            if len(rows) == jobs:
                return [float(row["s"]) for row in rows]
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(rows)} of {jobs} jobs of {tenant} within {within} s")
            await asyncio.sleep(0.05)

    async def left(self, tenant: str) -> int:
        query = f"SELECT count(*) AS n FROM jobs WHERE tenant_id = '{tenant}'"
        return int((await self._rows(f"{query} AND finished_at IS NULL"))[0]["n"])

    async def _completed(self) -> int:
        query = "SELECT count(*) AS n FROM jobs WHERE status = 'completed'"
        return int((await self._rows(query))[0]["n"])

    async def _rows(self, sql: str) -> Sequence[Any]:
        async with self.queries.engine.connect() as db:
            return (await db.execute(sa.text(sql))).mappings().all()

    async def close(self) -> None:
        for worker in self.workers:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
        await self.ledger.close()
        await self.line.close()
        await self.queries.close()


@asynccontextmanager
async def ground(postgres: PostgresServer | None = None) -> AsyncIterator[Ground]:
    """Fresh: an empty ledger (on PostgreSQL where a server is given) and an empty line."""
    with TemporaryDirectory(prefix="bx-bench-") as name:
        url = await postgres.database() if postgres else None
        settings = Settings.read({}, data=Path(name), ledger_url=url)
        if postgres is None:
            await asyncio.to_thread(upgrade, settings.ledger_url)
        server = LineServer(settings.data, settings.line_socket)
        await server.start()
        made = Ground(settings, server)
        try:
            yield made
        finally:
            await made.close()
            await server.stop()


async def checkpointed(url: str) -> None:
    """PostgreSQL writes what it owes now, not in the middle of a measurement."""
    db = await asyncpg.connect(url)
    await db.execute("CHECKPOINT")
    await db.close()
