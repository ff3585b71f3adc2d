"""What the parts could do by themselves, and which share of it Botrix reaches: the broker by its
own benchmark, the line's scripts without a worker, the database by its driver alone, a directory by
a bare loop of HTTP. `python -m benchmarks --only limits`.
"""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import sqlite3
import statistics
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks import directories, measures, submitting
from benchmarks.ground import checkpointed, ground
from botrix.ledger.postgres_verbs import INSERT_JOBS, job_columns
from botrix.ledger.sqlite_verbs import INSERT_JOBS as INSERT_JOBS_SQLITE
from botrix.ledger.sqlite_verbs import JOB_ROW, job_row
from botrix.line.line import Placing
from botrix.model import Lane, NewJob
from tests.servers.postgres import PostgresServer, postgres_server

_N = 20_000
_AT_ONCE = 500
_TOOLS = ("valkey-benchmark", "redis-benchmark")
Measure = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Limit:
    """What bounds what, and how both are measured: the first figure of each, larger is better."""

    what: str
    limit: str
    bare: Measure
    ours: Measure


def limits(postgres: PostgresServer) -> list[Limit]:
    return [
        Limit("entries pushed into the line", "the broker's benchmark", broker, pushed),
        Limit(
            "jobs of 1 drained, SQLite", "take and settle alone", taken,
            lambda: measures.drain(None),
        ),
        Limit(
            "jobs of 1 drained, PostgreSQL", "take and settle alone", taken,
            lambda: measures.drain(postgres),
        ),
        Limit(
            "1,000 each, SQLite", "raw inserts of their rows", lambda: measures.raw_batches(None),
            lambda: measures.big_jobs(None),
        ),
        Limit(
            "1,000 each, PostgreSQL", "raw inserts of their rows",
            lambda: measures.raw_batches(postgres), lambda: measures.big_jobs(postgres),
        ),
        Limit(
            "jobs submitted, SQLite", "raw inserts of their rows", lambda: raw_jobs(None),
            lambda: submitting.bulk(None),
        ),
        Limit(
            "jobs submitted, PostgreSQL", "raw inserts of their rows", lambda: raw_jobs(postgres),
            lambda: submitting.bulk(postgres),
        ),
        Limit(
            "accounts into scim2-server", "a bare loop of HTTP",
            lambda: directories.best_bare_scim(1000),
            lambda: directories.botrix_scim(1000, bulk=False),
        ),
    ]  # fmt: skip


async def broker() -> float:
    """Entries a second that are pushed by the broker's own benchmark, 500 in each of its commands;
    where that is not installed, by a bare socket."""
    entries = ["x" * 50] * _AT_ONCE
    tool = next(filter(None, map(shutil.which, _TOOLS)), None)
    async with ground() as place:
        if tool is None:
            return await _pipelined(place.socket, ["RPUSH", "bare", *entries])
        times = str(10 * _N // _AT_ONCE)
        command = (tool, "-s", str(place.socket), "-n", times, "-c", "1", "--csv")
        asked = await asyncio.create_subprocess_exec(
            *command, "RPUSH", "bare", *entries, stdout=PIPE, stderr=DEVNULL
        )
        said, _ = await asked.communicate()
        *_, row = csv.reader(said.decode().splitlines())
        return float(row[1]) * _AT_ONCE


async def _pipelined(socket: Path, command: list[str]) -> float:
    reader, writer = await asyncio.open_unix_connection(socket)
    words = [f"${len(word)}\r\n{word}\r\n" for word in command]
    text = "".join((f"*{len(command)}\r\n", *words)).encode()
    began = time.perf_counter()
    for _ in range(_N // _AT_ONCE):
        writer.write(text)
        await reader.readline()
    took = time.perf_counter() - began
    writer.close()
    return _N / took


def _placings() -> list[list[Placing]]:
    every = [Placing(f"job_{n:020}", n + 1, Lane.NORMAL) for n in range(_N)]
    return [every[start : start + _AT_ONCE] for start in range(0, _N, _AT_ONCE)]


async def pushed() -> float:
    """Entries a second by the line's client, 500 a call."""
    async with ground() as place:
        batches = _placings()
        began = time.perf_counter()
        for batch in batches:
            await place.line.push(batch)
        return _N / (time.perf_counter() - began)


async def taken() -> float:
    """Entries a second that are taken and settled by the line's scripts, 500 a call, with nothing
    done about them."""
    async with ground() as place:
        for batch in _placings():
            await place.line.push(batch)
        began, done = time.perf_counter(), 0
        got = await place.line.take("bare", "0", _AT_ONCE)
        while got:
            done += len(got)
            got = await place.line.settle_and_take("bare", "0", [], [], _AT_ONCE)
        assert done == _N
        return _N / (time.perf_counter() - began)


async def raw_jobs(postgres: PostgresServer | None) -> float:
    """Rows a second: those of the jobs, inserted by the driver alone, 500 in a transaction, with
    the indexes and triggers that there are."""
    jobs = [NewJob(f"job_{n:020}", 1, directory="noop") for n in range(_N)]
    batches = [jobs[start : start + _AT_ONCE] for start in range(0, _N, _AT_ONCE)]
    async with ground(postgres) as place:
        await place.submit(0, 1)
        if postgres:
            return await _raw_on_postgres(place.settings.ledger_url, batches)
        path = place.settings.ledger_url.removeprefix("sqlite:///")
        return await asyncio.to_thread(_raw_on_sqlite, path, batches)


def _raw_on_sqlite(path: str, batches: list[list[NewJob]]) -> float:
    rows = [[job_row(job, n, 0.0) for n, job in enumerate(batch, 1)] for batch in batches]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            db.execute(f"PRAGMA {pragma}")
        began = time.perf_counter()
        for batch in rows:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(INSERT_JOBS_SQLITE.format(JOB_ROW), batch)
            db.execute("COMMIT")
        return _N / (time.perf_counter() - began)


async def _raw_on_postgres(url: str, batches: list[list[NewJob]]) -> float:
    columns = [job_columns(batch) for batch in batches]
    await checkpointed(url)
    db = await asyncpg.connect(url)
    try:
        began = time.perf_counter()
        for batch in columns:
            await db.execute(INSERT_JOBS, *batch, True)
        return _N / (time.perf_counter() - began)
    finally:
        await db.close()


async def _figure(measure: Measure) -> float:
    got = await measure()
    return float(got[0] if isinstance(got, tuple) else got)


async def _round(postgres: PostgresServer, seen: dict[str, list[tuple[float, float]]]) -> None:
    for one in limits(postgres):
        print(f"  {one.what} ...", end="", file=sys.stderr, flush=True)
        pair = await _figure(one.bare), await _figure(one.ours)
        seen[one.what].append(pair)
        print(f"  {pair[1]:,.0f} of {pair[0]:,.0f}", file=sys.stderr)


def main(runs: int, as_json: bool) -> int:
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with postgres_server(durable=True) as postgres:
        for run in range(runs):
            print(f"run {run + 1} of {runs}", file=sys.stderr)
            asyncio.run(_round(postgres, seen))
        names = {one.what: one.limit for one in limits(postgres)}
    if as_json:
        print(json.dumps(seen))
        return 0
    table = Table("what", "a second", "its limit", "a second", "share")
    for what, pairs in seen.items():
        bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        share = statistics.median(own / most for most, own in pairs)
        table.add_row(what, f"{ours:,.0f}", names[what], f"{bare:,.0f}", f"{share:.2f}")
    Console().print(table)
    return 0
