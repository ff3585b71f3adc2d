"""A system with very much in it: 1,000,000 jobs that wait and 10,000,000 accounts that were made.
How fast it drains, of what it does when it is empty; what the line weighs; how long lists take.

    python -m benchmarks --only scale

One ledger is filled and kept; its drains alternate with those of fresh ones. `--jobs 10000` is a
short look.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable

import asyncpg
import sqlalchemy as sa
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.crowd import fill_postgres, fill_sqlite
from benchmarks.ground import Ground, checkpointed, ground
from benchmarks.lists import asked
from tests.servers.postgres import PostgresServer, postgres_server

RUNS = 3
_DRAINED = 100_000
_STILL = (  # what the crowd left half done is no part of this
    "UPDATE accounts SET status = 'planned', session_id = NULL WHERE session_id IS NOT NULL",
    "UPDATE jobs SET paused = TRUE WHERE status IN ('pending', 'running')",
    "UPDATE tenants SET audit_n = coalesce((SELECT max(n) FROM audit a WHERE a.tenant_id ="
    " tenants.id), 0)",
)
Figures = dict[str, list[float]]


async def measured(postgres: PostgresServer | None, jobs: int, runs: int) -> Figures:
    """jobs: so many wait, and so many were done, of which there are ten times as many accounts."""
    figures: Figures = {}
    share = min(_DRAINED, jobs // (runs + 1))
    async with ground(postgres) as full:
        await _fill(full, postgres, jobs)
        before = await _used(full)
        began = time.monotonic()
        await full.submit(jobs, 1)
        figures["submitted in bulk, jobs/s"] = [jobs / (time.monotonic() - began)]
        figures["line, bytes a waiting job"] = [(await _used(full) - before) / jobs]
        figures["line, MB"] = [await _used(full) / 1e6]
        figures["lists and status, slowest median, ms"] = [await _lists(full, jobs)]
        for run in range(runs):
            full_rate = await _drain(full, postgres, f"full-{run}", share)
            async with ground(postgres) as empty:
                await empty.directory(forget=True)
                await empty.submit(share, 1)
                empty_rate = await _drain(empty, postgres, "empty", share)
            for what, value in (("full", full_rate), ("empty", empty_rate)):
                figures.setdefault(f"drain, {what}, jobs/s", []).append(value)
            _say(f"run {run + 1}: {full_rate:,.0f} full, {empty_rate:,.0f} empty")
    return figures


async def _fill(place: Ground, postgres: PostgresServer | None, jobs: int) -> None:
    url = place.settings.ledger_url
    if postgres is None:
        await asyncio.to_thread(fill_sqlite, url.removeprefix("sqlite:///"), jobs)
    else:
        await fill_postgres(url, jobs)
    async with place.queries.engine.begin() as db:
        for sql in _STILL:
            await db.execute(sa.text(sql))
    if postgres is not None:
        plain = await asyncpg.connect(url)  # without the ledger's time limit of a statement
        await plain.execute("VACUUM ANALYZE")
        await plain.close()
    await place.directory(forget=True)
    _say(f"filled: {jobs:,} jobs and {10 * jobs:,} accounts")


async def _drain(place: Ground, postgres: PostgresServer | None, name: str, share: int) -> float:
    """Jobs a second of one worker, from its session on."""
    if postgres is not None:
        await checkpointed(place.settings.ledger_url)
    done = await _created(place)
    worker = await place.worker(name)
    while not await place.has_workers(1):  # noqa: ASYNC110  the ledger has no events of its own
        await asyncio.sleep(0.02)
    began = time.monotonic()
    while (made := await _created(place) - done) < share:
        if time.monotonic() > began + 600:
            raise RuntimeError(f"{made} of {share} jobs within 600 s")
        await asyncio.sleep(0.1)
    rate = made / (time.monotonic() - began)
    worker.terminate()
    await worker.wait()
    return rate


async def _created(place: Ground) -> int:
    stats = await place.queries.job_stats("default")
    return int(stats["accounts"]["created"])


async def _used(place: Ground) -> int:
    """Bytes, by the line itself."""
    async with Redis.from_url(place.settings.redis_url) as redis:
        return int((await redis.info("memory"))["used_memory"])


async def _lists(place: Ground, jobs: int) -> float:
    asks = asked(place.queries, jobs).values()
    return max([statistics.median([await _milliseconds(ask) for _ in range(5)]) for ask in asks])


async def _milliseconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    await ask()  # type: ignore[misc]
    return (time.perf_counter() - began) * 1e3


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(jobs: int, runs: int, only: str, as_json: bool) -> int:
    """only: `scale sqlite`, `scale postgres`, or both."""
    found: dict[str, Figures] = {}
    if only in "scale sqlite":
        found["SQLite"] = asyncio.run(measured(None, jobs, runs))
    if only in "scale postgres":
        with postgres_server(durable=True) as server:
            found["PostgreSQL"] = asyncio.run(measured(server, jobs, runs))
    if as_json:
        print(json.dumps({"jobs": jobs, "runs": runs, "all": found}))
        return 0
    table = Table(f"{jobs:,} jobs wait, {10 * jobs:,} accounts", *found)
    for what in next(iter(found.values())):
        table.add_row(what, *(f"{statistics.median(of[what]):,.1f}" for of in found.values()))
    ratios = [
        statistics.median(of["drain, full, jobs/s"]) / statistics.median(of["drain, empty, jobs/s"])
        for of in found.values()
    ]
    table.add_row("drain, full: of empty (wanted: >= 0.8)", *(f"{one:.2f} x" for one in ratios))
    Console().print(table)
    return 0
