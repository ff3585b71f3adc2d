"""One tenant's thousands do not slow another's ten: the whole system, on both databases."""

from __future__ import annotations

import json

import pytest

from botrix.ledger.ledger import Submission
from botrix.line.keys import LANES
from botrix.line.line import Line, Placing
from botrix.model import Lane, NewJob
from botrix.services import open_ledger
from tests.servers.keys import make_tenant
from tests.servers.system import System, until

_MANY = 30_000


async def submit(system: System, line: Line | None, *jobs: NewJob) -> None:
    """As an API does it; without a line nothing is pushed."""
    ledger = open_ledger(system.settings.ledger_url)
    try:
        for start in range(0, len(jobs), 500):
            some = jobs[start : start + 500]
            done = await ledger.submit([Submission(job) for job in some])
            if line is not None:
                placed = [
                    Placing(d.job_id, d.place or 0, j.lane) for d, j in zip(done, some, strict=True)
                ]
                await line.push(placed)
    finally:
        await ledger.close()


def jobs_of(tenant: str, n: int, count: int, lane: Lane = Lane.NORMAL) -> list[NewJob]:
    return [NewJob(f"{tenant}-{lane}-{i}", count, lane=lane, tenant_id=tenant) for i in range(n)]


def left(system: System, tenant: str) -> int:
    query = "SELECT count(*) FROM jobs WHERE tenant_id = ? AND finished_at IS NULL"
    return int(system.rows(query, tenant)[0][0])


def tenants(system: System, **of_a: object) -> None:
    """Each has a directory that costs nothing; that of `a` may be another one."""
    for name in ("a", "b"):
        make_tenant(system, name)
        config = json.dumps({"forget": True, **(of_a if name == "a" else {})})
        query = "UPDATE directories SET config = ? WHERE tenant_id = ? RETURNING name"
        system.rows(query, config, name)


async def all_end(system: System, tenant: str, within: float) -> None:
    async def ended() -> bool:
        return left(system, tenant) == 0

    await until(ended, within, f"all of {tenant} has ended")


def ended_before(system: System) -> int:
    """How many of `a` had ended when the last of `b` did."""
    query = (
        "SELECT count(*) FROM jobs WHERE tenant_id = 'a' AND finished_at <="
        " (SELECT max(finished_at) FROM jobs WHERE tenant_id = 'b')"
    )
    return int(system.rows(query)[0][0])


@pytest.mark.parametrize("lane", [Lane.NORMAL, Lane.LOW])
async def test_ten_end_before_thousands(system: System, lane: Lane) -> None:
    """They stand behind them; also where the thousands have a higher priority."""
    tenants(system)
    line = Line.open(system.settings.redis_url)
    try:
        await submit(system, line, *jobs_of("a", _MANY, 1))
        await submit(system, line, *jobs_of("b", 10, 1, lane))
    finally:
        await line.close()
    await system.worker()
    await all_end(system, "b", 60)
    assert ended_before(system) < _MANY / 10


async def test_ten_end_before_thousands_without_the_line(system: System) -> None:
    tenants(system)
    system.supervisor.line.kill()
    await submit(system, None, *jobs_of("a", _MANY, 1))
    await submit(system, None, *jobs_of("b", 10, 1))
    await system.worker()
    await all_end(system, "b", 60)
    assert ended_before(system) < _MANY / 10


async def test_ten_end_while_a_slow_directory_has_its_share(system: System) -> None:
    """It creates 80 accounts a second, and the worker holds of it what it may."""
    tenants(system, delay=0.05, batch=1, concurrency=4)
    line = Line.open(system.settings.redis_url)
    try:
        await submit(system, line, *jobs_of("a", 4000, 3))
        await system.worker(BOTRIX_CAPACITY="200")

        async def busy() -> bool:
            query = "SELECT count(*) FROM accounts WHERE tenant_id = 'a' AND status = 'leased'"
            return int(system.rows(query)[0][0]) >= 135

        await until(busy, 30, "the worker holds near to three quarters of its 200")
        await submit(system, line, *jobs_of("b", 10, 1))
        await all_end(system, "b", 60)
    finally:
        await line.close()
    assert left(system, "a") > 3600


async def test_a_job_of_many_slices_is_shared_with_and_all_ends(system: System) -> None:
    """Both have more than a worker can hold, all goes on, and each account is made once."""
    tenants(system, delay=0.01, batch=50)
    line = Line.open(system.settings.redis_url)
    try:
        await submit(system, line, *jobs_of("a", 1500, 1))
        await submit(system, line, *jobs_of("b", 2, 700))
        for n in range(2):
            await system.worker(f"worker-{n}", BOTRIX_CAPACITY="100")
        for tenant in ("a", "b"):
            await all_end(system, tenant, 60)
    finally:
        await line.close()
    query = "SELECT tenant_id, status, count(*) FROM accounts GROUP BY 1, 2 ORDER BY 1"
    assert system.rows(query) == [("a", "created", 1500), ("b", "created", 1400)]
    assert system.rows("SELECT max(attempt) FROM accounts") == [(1,)]

    async def drained() -> bool:
        lengths = [await system.redis.llen(name) for name in LANES.values()]
        return sum(lengths) == 0

    await until(drained, 30, "stale entries are gone")
