"""The measurements, each on fresh ground. Larger is better, unless one says otherwise."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import statistics
import time
from contextlib import closing
from typing import Any

import asyncpg
import psutil

from benchmarks.ground import Ground, checkpointed, ground
from benchmarks.peers.measuring import Size, drained
from benchmarks.peers.peer import peers
from botrix.creators.simulated import SimulatedCreator
from botrix.ledger.ledger import Submission
from botrix.line.line import Placing
from botrix.model import Lane, NewJob
from botrix.notify import Notifier
from botrix.services import Services
from botrix.worker.session import Session
from botrix.worker.stats import Stats
from tests.servers.postgres import PostgresServer
from tests.servers.system import until

JOBS = 20_000


async def drain(postgres: PostgresServer | None) -> float:
    """Jobs of one account a second: one worker, sealed and committed."""
    async with ground(postgres) as place:
        await place.directory(forget=True)
        await place.submit(JOBS, 1)
        if postgres:
            await checkpointed(place.settings.ledger_url)
        await place.worker("worker-1")
        return JOBS / await place.drained(JOBS)


async def dramatiq() -> float:
    """Messages a second, measured as all peers are."""
    return (await drained(peers()["dramatiq"], None, Size(jobs=JOBS)))["drain"]


async def big_jobs(postgres: PostgresServer | None) -> float:
    """Accounts a second: 20 jobs of 1,000."""
    async with ground(postgres) as place:
        await place.directory(forget=True)
        await place.submit(20, 1000)
        if postgres:
            await checkpointed(place.settings.ledger_url)
        await place.worker("worker-1")
        return JOBS / await place.drained(20)


_COLUMNS = (
    "job_id, idx, status, username, email, given_name, family_name, display_name, sealed,"
    " session_id, attempt, updated_at"
)


def _raw_rows() -> list[tuple[Any, ...]]:
    return [
        (f"raw-{n // 1000}", n % 1000, "leased", secrets.token_hex(8), "someone@botrix.invalid",
         "Given", "Family", "Given Family", secrets.token_bytes(53), "s", 1, 0.0)
        for n in range(JOBS)
    ]  # fmt: skip


async def raw_batches(postgres: PostgresServer | None) -> tuple[float, float]:
    """Rows a second: the same rows, inserted by the driver alone, 500 in a transaction; and the
    same, where each batch is then updated to its result, as an account's row is."""
    async with ground(postgres) as place:
        await place.submit(0, 1)
        rows = _raw_rows()
        if postgres:
            return await _raw_on_postgres(place.settings.ledger_url, rows)
        path = place.settings.ledger_url.removeprefix("sqlite:///")
        return await asyncio.to_thread(_raw_on_sqlite, path, rows)


_JOBS = (
    "INSERT INTO jobs (id, source, directory, count, created_at, updated_at) VALUES"
    " ({}, 'raw', 'noop', 1000, 0, 0)"
)


def _raw_on_sqlite(path: str, rows: list[tuple[Any, ...]]) -> tuple[float, float]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            db.execute(f"PRAGMA {pragma}")
        db.executemany(_JOBS.format("?"), [(f"raw-{n}",) for n in range(20)])
        insert = f"INSERT INTO accounts ({_COLUMNS}) VALUES ({', '.join('?' * 12)})"
        update = f"{_RESULT} job_id = ? AND idx = ?"
        spent = [0.0, 0.0]
        for start in range(0, JOBS, 500):
            batch = rows[start : start + 500]
            for n, (sql, values) in enumerate(
                ((insert, batch), (update, [row[:2] for row in batch]))
            ):
                began = time.perf_counter()
                db.execute("BEGIN IMMEDIATE")
                db.executemany(sql, values)
                db.execute("COMMIT")
                spent[n] += time.perf_counter() - began
        return JOBS / spent[0], JOBS / sum(spent)


_RESULT = "UPDATE accounts SET status = 'created', session_id = NULL, entry_id = 'x' WHERE"


async def _raw_on_postgres(url: str, rows: list[tuple[Any, ...]]) -> tuple[float, float]:
    db = await asyncpg.connect(url)
    try:
        await db.executemany(_JOBS.format("$1"), [(f"raw-{n}",) for n in range(20)])
        types = ("text", "int", *["text"] * 6, "bytea", "text", "int", "float8")
        arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, 1))
        insert = f"INSERT INTO accounts ({_COLUMNS}) SELECT * FROM unnest({arrays})"
        update = f"{_RESULT} job_id = $1 AND idx = $2"
        await checkpointed(url)
        spent = [0.0, 0.0]
        for start in range(0, JOBS, 500):
            batch = rows[start : start + 500]
            columns = [list(column) for column in zip(*batch, strict=True)]
            began = time.perf_counter()
            await db.execute(insert, *columns)
            half = time.perf_counter()
            await db.executemany(update, [row[:2] for row in batch])
            spent = [spent[0] + half - began, spent[1] + time.perf_counter() - half]
        return JOBS / spent[0], JOBS / sum(spent)
    finally:
        await db.close()


async def pickup(postgres: PostgresServer | None, samples: int = 300) -> tuple[float, float]:
    """Milliseconds from the push into the line to the call of the creator, at idle: p50, p99.
    Smaller is better. The worker runs in this process, so that one clock sees both ends."""
    async with ground(postgres) as place, Services(place.settings) as services:
        await place.directory()
        called: asyncio.Queue[float] = asyncio.Queue()
        creator = await services.directories.creator("default", "noop")
        assert isinstance(creator, SimulatedCreator)
        create = creator.create

        async def noted(wanted: Any) -> Any:
            called.put_nowait(time.perf_counter())
            return await create(wanted)

        creator.create = noted  # type: ignore[method-assign]
        session = Session(services, "worker-1", Stats(), Notifier("", 0.0))
        stopping = asyncio.Event()
        await session.open()
        running = asyncio.create_task(session.run(stopping))
        took = [await _one_pickup(place, n, called) for n in range(samples + 20)][20:]
        stopping.set()
        await running
        await session.drain(1.0, asyncio.Event())
    return statistics.median(took) * 1e3, sorted(took)[int(samples * 0.99)] * 1e3


async def _one_pickup(place: Ground, number: int, called: asyncio.Queue[float]) -> float:
    await asyncio.sleep(0.03)
    job = NewJob(f"pick-{number}", 1, directory="noop")
    (done,) = await place.ledger.submit([Submission(job)])
    began = time.perf_counter()
    await place.line.push([Placing(done.job_id, done.place or 0, Lane.NORMAL)])
    return await asyncio.wait_for(called.get(), 10) - began


async def memory(postgres: PostgresServer | None) -> tuple[float, float]:
    """MiB of a worker: idle, and after 100,000 accounts. Smaller is better."""
    async with ground(postgres) as place:
        await place.directory(forget=True)
        await place.submit(1, 1)
        process = psutil.Process((await place.worker("worker-1")).pid)
        await place.drained(1)
        idle = process.memory_info().rss / 2**20
        for n in range(100):
            job = NewJob(f"more-{n}", 1000, directory="noop")
            (done,) = await place.ledger.submit([Submission(job)])
            await place.line.push([Placing(done.job_id, done.place or 0, Lane.NORMAL)])
        await place.drained(101)
        return idle, process.memory_info().rss / 2**20


async def slow_directory(postgres: PostgresServer, workers: int) -> float:
    """Accounts a second where the directory takes 50 ms for each, eight at once a worker."""
    async with ground(postgres) as place:
        await place.directory(forget=True, delay=0.05, batch=1, concurrency=8)
        for n in range(workers):
            await place.worker(f"worker-{n}", BOTRIX_CAPACITY="64")
        await until(lambda: place.has_workers(workers), 30, "the workers started")
        await place.submit(80 * workers, 10)
        await place.drained(80 * workers)
        return 10 * await place.jobs_per_second()


async def neighbour(postgres: PostgresServer | None, delay: float) -> tuple[float, float]:
    """Milliseconds until ten jobs of a tenant have ended, alone and beside 100,000 that another has
    waiting, whose directory costs nothing or takes `delay` seconds an account, four at once.
    Medians of three to twelve times ten. Smaller is better."""
    alone, beside = [await _tens(postgres, delay, waiting) for waiting in (0, 100_000)]
    return alone * 1e3, beside * 1e3


async def _tens(postgres: PostgresServer | None, delay: float, waiting: int) -> float:
    async with ground(postgres) as place:
        await place.directory("a", forget=True, delay=delay, **({"batch": 1} if delay else {}))
        await place.directory("b", forget=True)
        await place.submit(waiting, 1, "a")
        if postgres:
            await checkpointed(place.settings.ledger_url)
        await place.worker("worker-1")
        await until(lambda: place.has_workers(1), 30, "the worker started")
        tens: list[float] = []
        for n in range(12):
            await asyncio.sleep(0.2)
            await place.submit(10, 1, "b")
            took = await place.took("b", 10 * (n + 1))
            if waiting and not await place.left("a"):
                break  # nobody was left to wait beside
            tens.append(max(took[-10:]))
        if len(tens) < 3:
            raise RuntimeError("the other's jobs ended too early; let more of them wait")
        return statistics.median(tens)
