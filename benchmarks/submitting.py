"""How fast jobs are taken in: many at once into ledger and line, and one a request over HTTP,
beside a route of FastAPI that takes the same body and does nothing.

`python -m benchmarks.submitting` measures these alone. No request takes many jobs: `bulk` does,
with a list of them, what the API does with requests that come at the same time.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

from benchmarks.ground import Ground, checkpointed, ground
from botrix.api.generate import new_job_id
from botrix.api.submitting import LARGEST, Submitting
from botrix.keys import new_key
from botrix.ledger.ledger import Submission
from botrix.model import NewJob
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.system import free_port, until

JOBS = 20_000
CONNECTIONS = 32
_PATH = "/api/accounts/generate"
_BODY = '{"count": 1, "directory": "noop"}'
_EACH, _TURNS = 2000, 3
"""Requests of a turn; how often the two servers take turns."""
_WARM = 500


async def bulk(postgres: PostgresServer | None) -> float:
    """Jobs of one account a second, until all are committed and in the line."""
    async with ground(postgres) as place:
        await place.directory()
        if postgres:
            await checkpointed(place.settings.ledger_url)
        submitting = Submitting(place.ledger, place.line, _fail)
        new = [NewJob(new_job_id(), 1, directory="noop") for _ in range(JOBS)]
        began = time.perf_counter()
        telling = None
        for start in range(0, JOBS, LARGEST):
            batch = new[start : start + LARGEST]
            done = await place.ledger.submit([Submission(job) for job in batch])
            if telling is not None:
                await telling
            placed = [(job, one.place) for job, one in zip(batch, done, strict=True)]
            telling = asyncio.create_task(submitting.announce(placed))
        assert telling is not None
        await telling
        took = time.perf_counter() - began
        assert sum((await place.line.depths()).values()) == JOBS
        return JOBS / took


def _fail(error: BaseException) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on a port."""

    process: Process
    port: int
    key: str = ""

    async def knocked(self, requests: int) -> tuple[float, ...]:
        """Requests a second, milliseconds at p50 and p99, CPU of the server in microseconds a
        request."""
        asked = (str(self.port), _PATH, _BODY, self.key, str(CONNECTIONS), str(requests))
        before = self._cpu()
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.knocking", *asked, stdout=PIPE
        )
        said, _ = await client.communicate()
        if client.returncode:
            raise RuntimeError("the server did not answer as it should")
        return *json.loads(said), (self._cpu() - before) / requests * 1e6

    def _cpu(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@asynccontextmanager
async def serving(*command: str, environ: Mapping[str, str], key: str) -> AsyncIterator[Server]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, "--port", str(port), env={**os.environ, **environ}
    )
    try:
        await until(lambda: _answers(port), 30, "the server listens")
        yield Server(process, port, key)
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


async def single(postgres: PostgresServer | None) -> tuple[float, ...]:
    """Over HTTP, by a key: jobs a second as a share of what the empty route takes; jobs a second;
    milliseconds at p50 and p99; CPU of the API, and of the empty route, in microseconds a job.
    Medians of turns that alternate."""
    async with ground(postgres) as place, _both(place) as (api, empty):
        if postgres:
            await checkpointed(place.settings.ledger_url)
        for server in (api, empty):
            await server.knocked(_WARM)
        turns = [(await api.knocked(_EACH), await empty.knocked(_EACH)) for _ in range(_TURNS)]
        share = statistics.median(one[0] / other[0] for one, other in turns)
        rate, p50, p99, cpu = (statistics.median(one[n] for one, _ in turns) for n in range(4))
        return share, rate, p50, p99, cpu, statistics.median(other[3] for _, other in turns)


@asynccontextmanager
async def _both(place: Ground) -> AsyncIterator[tuple[Server, Server]]:
    await place.directory()
    key = new_key().text
    environ = {
        "BOTRIX_DATA": str(place.settings.data),
        "BOTRIX_LEDGER_URL": place.settings.ledger_url,
        "REDIS_URL": place.settings.redis_url,
        "BOTRIX_LOG_LEVEL": "WARNING",
        "BOTRIX_API_KEY": key,
    }
    uvicorn = ("uvicorn", "benchmarks.empty_route:app", "--no-access-log", "--log-level", "warning")
    async with (
        serving("botrix", "api", environ=environ, key=key) as api,
        serving(*uvicorn, environ={}, key=key) as empty,
    ):
        yield api, empty


async def _all(postgres: PostgresServer) -> None:
    for name, where in (("sqlite", None), ("postgres", postgres)):
        print(f"bulk {name}: {await bulk(where):,.0f} jobs/s", flush=True)
        share, rate, p50, p99, cpu, least = await single(where)
        print(
            f"single {name}: {share:.2f} of the empty route, {rate:,.0f} jobs/s, p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms; CPU {cpu:.0f} us a job, of the empty route {least:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    with postgres_server(durable=True) as server:
        asyncio.run(_all(server))
