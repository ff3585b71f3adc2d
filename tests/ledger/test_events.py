"""Events of jobs: the ledger writes them itself, in the transaction that moved the job, for the
webhooks that want them."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.ledger.engine import create_engine
from botrix.ledger.tables import deliveries, jobs, webhooks
from botrix.webhooks.events import EVENTS

_NEW = {"source": "generate", "directory": "local", "created_at": 0, "updated_at": 0}


@pytest_asyncio.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(url)
    yield made
    await made.dispose()


async def add(engine: AsyncEngine, name: str, **more: Any) -> None:
    values = {"id": name, "url": "https://example.org", "secret": "", "created_at": 0, **more}
    async with engine.begin() as db:
        await db.execute(sa.insert(webhooks).values(**values))


async def enter(engine: AsyncEngine, job: str, **more: Any) -> None:
    async with engine.begin() as db:
        await db.execute(sa.insert(jobs).values(**_NEW, **{"id": job, "count": 1, **more}))


async def move(engine: AsyncEngine, job: str, **change: Any) -> None:
    async with engine.begin() as db:
        await db.execute(sa.update(jobs).where(jobs.c.id == job).values(**change))


async def events(engine: AsyncEngine, webhook: str = "w") -> list[str]:
    query = sa.select(deliveries.c.event).where(deliveries.c.webhook_id == webhook)
    async with engine.begin() as db:
        return list((await db.execute(query.order_by(deliveries.c.n))).scalars())


async def test_a_job_tells_what_becomes_of_it(engine: AsyncEngine) -> None:
    await add(engine, "w")
    await enter(engine, "j", count=2, stage="plan")
    await move(engine, "j", status="running", place=1)
    await move(engine, "j", waits="plan", paused=True, place=None)
    await move(engine, "j", waits=None, paused=False, place=2)  # goes on: nobody was asked for it
    await move(engine, "j", status="failed", created=1, failed=1, place=None)
    await move(engine, "j", status="running", failed=0)
    await move(engine, "j", updated_at=7)
    await move(engine, "j", status="completed", created=2)
    assert await events(engine) == [
        "job.accepted", "job.started", "job.waiting", "job.failed", "job.retried", "job.completed",
    ]  # fmt: skip
    async with engine.begin() as db:
        rows = (await db.execute(sa.select(deliveries).order_by(deliveries.c.n))).all()
    assert [json.loads(row.body)["waits"] for row in rows[1:4]] == [None, "plan", None]
    assert json.loads(rows[3].body) == {
        "status": "failed", "stage": "plan", "waits": None, "directory": "local", "undoes": None,
        "count": 2, "created": 1, "existing": 0, "failed": 1, "cancelled": 0, "deleted": 0,
        "bad_rows": 0,
    }  # fmt: skip
    assert {(row.tenant_id, row.job_id, row.status, row.tries, row.next_at) for row in rows} == {
        ("default", "j", "waiting", 0, 0.0)
    }
    assert [row.at for row in rows] == sorted(row.at for row in rows)


async def test_a_cancelled_job_tells_its_end_alone(engine: AsyncEngine) -> None:
    await add(engine, "w")
    await enter(engine, "j")
    await move(engine, "j", status="cancelling", next_index=1)
    await move(engine, "j", status="cancelled", cancelled=1)
    assert await events(engine) == ["job.accepted", "job.cancelled"]


async def test_an_import_is_accepted_when_it_is_whole(engine: AsyncEngine) -> None:
    await add(engine, "w")
    for name in ("whole", "aborted", "planned", "empty"):
        await enter(engine, name, importing=True, count=0)
    assert await events(engine) == []
    await move(engine, "whole", importing=False, count=1, next_index=1)
    async with engine.begin() as db:
        await db.execute(sa.delete(jobs).where(jobs.c.id == "aborted"))
    assert await events(engine) == ["job.accepted"]
    await move(engine, "planned", importing=False, waits="paused", paused=True)
    assert await events(engine) == ["job.accepted"] * 2 + ["job.waiting"]
    await move(engine, "empty", importing=False, status="completed")
    assert (await events(engine))[3:] == ["job.accepted", "job.completed"]
    await move(engine, "empty", importing=True)  # hidden, since it is being purged
    assert len(await events(engine)) == 5


async def test_only_who_wants_an_event_gets_it(engine: AsyncEngine) -> None:
    await add(engine, "all")
    await add(engine, "ends", events='["job.completed","job.failed"]')
    await add(engine, "off", disabled_at=1)
    await add(engine, "other", tenant_id="other")
    await enter(engine, "j")
    await enter(engine, "k", tenant_id="other")
    await move(engine, "j", status="running")
    await move(engine, "j", status="completed", created=1)
    assert await events(engine, "all") == ["job.accepted", "job.started", "job.completed"]
    assert await events(engine, "ends") == ["job.completed"]
    assert await events(engine, "off") == []
    assert await events(engine, "other") == ["job.accepted"]


async def test_what_was_taken_back_tells_nothing(engine: AsyncEngine) -> None:
    await add(engine, "w")
    await enter(engine, "j")
    async with engine.connect() as db:
        await db.execute(sa.update(jobs).values(status="running"))
        await db.rollback()
    assert await events(engine) == ["job.accepted"]


async def test_many_rows_of_one_statement_tell_each(engine: AsyncEngine) -> None:
    await add(engine, "w")
    for n in range(20):
        await enter(engine, f"j{n}")
    async with engine.begin() as db:
        await db.execute(sa.update(jobs).values(status="running"))
    assert sorted(await events(engine)) == ["job.accepted"] * 20 + ["job.started"] * 20


async def test_a_webhook_that_is_being_deleted_holds_up_no_job(
    engine: AsyncEngine, url: str
) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    await add(engine, "w")
    await add(engine, "kept")
    async with engine.begin() as deleting:
        await deleting.execute(sa.delete(webhooks).where(webhooks.c.id == "w"))
        await asyncio.wait_for(enter(engine, "j"), 5)
    assert await events(engine, "kept") == ["job.accepted"]


def test_every_event_has_a_name_that_receivers_were_told() -> None:
    assert set(EVENTS) == {
        "job.accepted", "job.started", "job.waiting", "job.completed", "job.failed",
        "job.cancelled", "job.retried",
    }  # fmt: skip


_NEXT = {
    "pending": ("running", "running", "running", "cancelling"),
    "running": ("completed", "failed", "failed", "cancelling"),
    "cancelling": ("cancelled",),
    "failed": ("running", "completed"),
}
_END = {"completed": "created", "failed": "failed", "cancelled": "cancelled"}


class Told:
    """What should be told of jobs, worked out from what was done to them."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[str]] = {}

    def move(self, job: str, change: dict[str, Any]) -> None:
        before, after = self.jobs[job], {**self.jobs[job], **change}
        told, here = self.events[job], not after["importing"]
        if before["importing"] and here:
            told.append("accepted")
        if here and before["status"] != after["status"] != "cancelling":
            running = "started" if before["status"] == "pending" else "retried"
            told.append(running if after["status"] == "running" else after["status"])
        waits = after["waits"]
        open_ = after["status"] in ("pending", "running")
        if here and open_ and waits and (before["importing"] or waits != before["waits"]):
            told.append("waiting")
        self.jobs[job] = after


def _random_change(rng: random.Random, job: dict[str, Any]) -> dict[str, Any]:
    if job["importing"]:
        return {"importing": rng.random() < 0.5}
    match rng.randrange(4):
        case 0 if job["status"] in ("pending", "running"):
            return {"waits": rng.choice([None, "plan", "canary", "failures", "paused"])}
        case 1 if job["status"] in ("completed", "cancelled"):
            return {"importing": True}  # it is being purged
        case 2 | 3 if job["status"] in _NEXT:
            status = rng.choice(_NEXT[job["status"]])
            counts = dict.fromkeys(_END.values(), 0) | ({_END[status]: 1} if status in _END else {})
            return {"status": status, "waits": None, **counts}
        case _:
            return {"updated_at": rng.random()}


@pytest.mark.parametrize("seed", range(6))
async def test_random_moves_tell_all_in_order(engine: AsyncEngine, seed: int) -> None:
    """Also where many move in one transaction, and where it is taken back."""
    rng, told = random.Random(seed), Told()
    await add(engine, "w")
    await add(engine, "ends", events='["job.completed","job.failed","job.cancelled"]')
    for n in range(8):
        importing = rng.random() < 0.5
        told.jobs[f"j{n}"] = {"status": "pending", "waits": None, "importing": importing}
        told.events[f"j{n}"] = [] if importing else ["accepted"]
        await enter(engine, f"j{n}", importing=importing)
    purged: set[str] = set()
    for _ in range(60):
        before = copy.deepcopy((told.jobs, told.events, purged))
        async with engine.connect() as db:
            for _ in range(rng.randrange(1, 5)):
                job = rng.choice(sorted(told.jobs))
                if job in purged:
                    continue
                change = _random_change(rng, told.jobs[job])
                if change.get("importing") and not told.jobs[job]["importing"]:
                    purged.add(job)
                told.move(job, change)
                await db.execute(sa.update(jobs).where(jobs.c.id == job).values(**change))
            if rng.random() < 0.3:
                await db.rollback()
                told.jobs, told.events, purged = before
            else:
                await db.commit()
    async with engine.begin() as db:
        rows = (await db.execute(sa.select(deliveries).order_by(deliveries.c.n))).all()
    for job, expected in told.events.items():
        for webhook, wanted in (("w", None), ("ends", set(_END))):
            found = [
                row.event.removeprefix("job.")
                for row in rows
                if (row.job_id, row.webhook_id) == (job, webhook)
            ]
            assert found == [one for one in expected if wanted is None or one in wanted], job
    assert sum(map(len, told.events.values())) > 20
