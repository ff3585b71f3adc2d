"""How quick every list is with a million jobs and ten million accounts in the ledger.

    python -m benchmarks --only lists

Twenty times each: median and worst, in milliseconds, as the API asks for it. `--jobs 10000` is a
short look. On PostgreSQL twice: never vacuumed nor analysed, and then as autovacuum leaves it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks.crowd import BIG, fill_postgres, fill_sqlite
from botrix.ledger import account_lists, audit, job_lists, moved
from botrix.ledger import statistics as counts
from botrix.ledger.engine import create_engine
from botrix.ledger.job_lists import JobFilter
from botrix.ledger.keys import Keys
from botrix.ledger.migrate import upgrade
from botrix.ledger.queries import Queries
from botrix.states import AccountStatus
from tests.servers.postgres import postgres_server

TIMES, BAR = 20, 50.0
_OLDEST, _FIRST = 1_700_000_000.0, ("", "", -1)
Ask = Callable[[], Awaitable[Any]]
Figures = dict[str, tuple[float, float]]


def _of_jobs(queries: Queries, jobs: int) -> dict[str, Ask]:
    middle, newest = _OLDEST + jobs / 2, _OLDEST + jobs
    end = (_OLDEST + 20, "")

    def ask(cursor: Any = None, tenant: str = "default", **wanted: Any) -> Ask:
        return lambda: job_lists.listed(queries.engine, tenant, JobFilter(**wanted), cursor, 50)

    found = {"jobs": ask(), "jobs, middle": ask((middle, "")), "jobs, last page": ask(end)}
    for status in ("pending", "running", "completed", "failed", "cancelled", "cancelling"):
        found[f"jobs {status}"] = ask(status=status)
        found[f"jobs {status}, last page"] = ask(end, status=status)
    return found | {
        "jobs of a directory": ask(directory="d3"),
        "jobs of a directory, middle": ask((middle, ""), directory="d3"),
        "jobs of a directory there is not": ask(directory="nowhere"),
        "jobs failed in a directory": ask(status="failed", directory="d2"),
        "jobs failed in a directory where none did": ask(status="failed", directory="d1"),
        "jobs planning": ask(stage="plan"),
        "jobs creating": ask(stage="create"),
        "jobs checking (none)": ask(stage="check"),
        "jobs that wait for a plan's approval": ask(waits="plan"),
        "jobs that wait for a canary (none)": ask(waits="canary"),
        "jobs that undo one": ask(undoes="job_7"),
        "jobs that undo another (none)": ask(undoes=BIG),
        "jobs after a time": ask(after=newest - 5000),
        "jobs before a time": ask(before=middle),
        "jobs failed, between times": ask(status="failed", after=middle - 9000, before=middle),
        "jobs, 1,000 a page": lambda: job_lists.listed(
            queries.engine, "default", JobFilter(status="completed"), (middle, ""), 1000
        ),
        "jobs of the small tenant": ask(tenant="small"),
        "jobs completed of the small tenant": ask(tenant="small", status="completed"),
        "jobs failed of the small tenant (none)": ask(tenant="small", status="failed"),
        "open jobs": lambda: moved.open_ones(queries.engine, "default", 1001),
        "open jobs of the small tenant": lambda: moved.open_ones(queries.engine, "small", 1001),
        "what ended since a time": lambda: moved.ended_since(queries.engine, newest - 50, 1001),
        "what ended since the beginning": lambda: moved.ended_since(queries.engine, 0.0, 1001),
        "statistics of jobs": lambda: counts.of_jobs(queries.engine, "default"),
        "statistics of jobs of the small tenant": lambda: counts.of_jobs(queries.engine, "small"),
    }


def _of_accounts(queries: Queries, jobs: int) -> dict[str, Ask]:
    engine = queries.engine
    middle, end = (f"job_{jobs // 2:032x}", 4), (f"job_{jobs - 3:032x}", 0)

    def ask(after: Any = None, tenant: str = "default", status: str | None = None) -> Ask:
        return lambda: account_lists.of_tenant(engine, tenant, status, after, 100)

    found = {"accounts": ask(), "accounts, middle": ask(middle)}
    found["accounts, last page"] = ask((BIG, jobs - 20))
    for status in AccountStatus:
        found[f"accounts {status}"] = ask(status=status.value)
        found[f"accounts {status}, last page"] = ask(end, status=status.value)
    return found | {
        "accounts of the small tenant": ask(tenant="small"),
        "accounts created of the small tenant": ask(tenant="small", status="created"),
        "accounts failed of the small tenant (none)": ask(tenant="small", status="failed"),
        "accounts, 1,000 a page": lambda: account_lists.of_tenant(
            engine, "default", None, middle, 1000
        ),
        "statistics of accounts": lambda: counts.of_accounts(engine, "default"),
    }


def _of_names(queries: Queries, jobs: int) -> dict[str, Ask]:
    def ask(name: str, after: Any = None, tenant: str = "default", **more: Any) -> Ask:
        exactly = more.pop("exactly", False)
        return lambda: account_lists.named(
            queries.engine, tenant, name, after, 100, exactly=exactly, **more
        )

    return {
        "accounts of a user name": ask("anna.family.00000000", exactly=True),
        "accounts of a user name there is not": ask("nobody", exactly=True),
        "accounts by prefix": ask("Hugo"),
        "accounts by prefix, middle": ask("hugo", ("hugo.family.8", "", -1)),
        "accounts by prefix, last page": ask("hugo", ("hugo.family.fffff", "", -1)),
        "accounts by a prefix of all of a tenth": ask("a"),
        "accounts by a prefix there is not": ask("nobody"),
        "accounts by prefix that failed": ask("hugo", status="failed"),
        "accounts by prefix that were cancelled": ask("hugo", status="cancelled"),
        "accounts by prefix that are leased": ask("hugo", status="leased"),
        "accounts by prefix of the small tenant": ask("a", tenant="small"),
    }


def _of_one_job(queries: Queries, jobs: int) -> dict[str, Ask]:
    engine = queries.engine

    def ask(after: int = -1, **more: Any) -> Ask:
        return lambda: account_lists.of_job(engine, "default", BIG, after, 100, **more)

    found = {
        "of a large job: accounts": ask(),
        "of a large job: accounts, middle": ask(jobs // 2),
        "of a large job: accounts, last page": ask(jobs - 50),
        "of a large job: accounts failed": ask(status="failed"),
        "of a large job: accounts failed, last page": ask(jobs - 500, status="failed"),
        "of a large job: accounts created, middle": ask(jobs // 2, status="created"),
        "of a large job: accounts cancelled (none)": ask(status="cancelled"),
        "of a large job: accounts leased (none)": ask(status="leased"),
        "of a large job: failed for a common reason": ask(jobs // 2, reason="rejected"),
        "of a large job: failed for a rare reason": ask(reason="timeout"),
        "of a large job: failed for a reason there is not": ask(reason="nothing"),
        "of a large job: accounts of a plan in conflict (none)": ask(prospect="conflict"),
        "of a large job: reasons": lambda: counts.of_reasons(engine, "default", BIG),
        "of a large job: rows left out, middle": lambda: queries.bad_rows(
            "default", BIG, jobs // 2, 1000
        ),
        "of a large job: history, middle": lambda: queries.history(
            "default", BIG, None, jobs // 20, 100
        ),
        "of a large job: history of an account": lambda: queries.history(
            "default", BIG, jobs // 2 + 3, 0, 100
        ),
    }
    return found | {
        "directories": lambda: queries.directories("default"),
        "keys": lambda: Keys(engine).shown("default"),
        "audit, middle": lambda: _all(audit.lines(engine, "default", jobs // 2, 100)),
    }


async def _all(lines: Any) -> list[Any]:
    return [line async for line in lines]


def asked(queries: Queries, jobs: int) -> dict[str, Ask]:
    """Every list, by what it shows; tests/ledger/test_list_plans.py asks the same."""
    groups = (_of_jobs, _of_accounts, _of_names, _of_one_job)
    return {name: ask for group in groups for name, ask in group(queries, jobs).items()}


async def _measured(url: str, jobs: int) -> Figures:
    engine = create_engine(url)
    figures: Figures = {}
    try:
        for name, ask in asked(Queries(engine), jobs).items():
            took = []
            for _ in range(TIMES):
                began = time.perf_counter()
                await ask()
                took.append((time.perf_counter() - began) * 1e3)
            figures[name] = (statistics.median(took), max(took))
    finally:
        await engine.dispose()
    return figures


def on_sqlite(jobs: int) -> dict[str, Figures]:
    with TemporaryDirectory(prefix="bx-lists-") as name:
        path = Path(name) / "ledger.sqlite"
        upgrade(f"sqlite:///{path}")
        _say("SQLite", fill_sqlite(str(path), jobs), path.stat().st_size)
        return {"SQLite": asyncio.run(_measured(f"sqlite:///{path}", jobs))}


def on_postgres(jobs: int) -> dict[str, Figures]:
    with postgres_server(durable=True) as server:
        server.stop()
        server.settings = {"autovacuum": "off", "max_wal_size": "8GB"}
        server.start()
        return asyncio.run(_on_postgres(server, jobs))


async def _on_postgres(server: Any, jobs: int) -> dict[str, Figures]:
    url = await server.database()
    took = await fill_postgres(url, jobs)
    db = await asyncpg.connect(url)
    _say("PostgreSQL", took, await db.fetchval("SELECT pg_database_size(current_database())"))
    figures = {"PostgreSQL, never vacuumed": await _measured(url, jobs)}
    await db.execute("VACUUM ANALYZE")
    await db.close()
    return figures | {"PostgreSQL": await _measured(url, jobs)}


def _say(database: str, took: dict[str, float], size: float) -> None:
    built = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    print(f"{database}: {size / 1e9:.2f} GB; {built}", file=sys.stderr, flush=True)


def main(jobs: int, only: str, as_json: bool) -> int:
    """only: `lists sqlite`, `lists postgres`, or both."""
    figures: dict[str, Figures] = {}
    for name, measure in (("lists sqlite", on_sqlite), ("lists postgres", on_postgres)):
        figures |= measure(jobs) if only in name else {}
    if as_json:
        print(json.dumps({"jobs": jobs, "bar": BAR, "all": figures}))
        return 0
    table = Table("list (ms: median, worst of 20)", *figures)
    for name in next(iter(figures.values())):
        cells = [f"{of[name][0]:.1f}  {of[name][1]:.1f}" for of in figures.values()]
        table.add_row(name, *cells)
    Console(width=150).print(table)
    late = {n: w for of in figures.values() for n, (m, w) in of.items() if m > BAR}
    print(f"{jobs:,} jobs, {10 * jobs:,} accounts; slower than {BAR:g} ms: {late or 'none'}")
    return 0
