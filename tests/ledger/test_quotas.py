"""Quotas of tenants, in the transaction that enters the jobs: exact on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.errors import InvalidInput
from botrix.ledger.engine import create_engine
from botrix.ledger.imports import Import
from botrix.ledger.ledger import Asked, Ledger, Room, Submission, Submitted, Verdict
from botrix.ledger.queries import Queries
from botrix.ledger.quotas import DAY, Quota
from botrix.ledger.tables import jobs, tenants
from botrix.model import NewJob, Person, PlannedAccount, Source
from botrix.repeats import RosterRow
from botrix.services import open_ledger


@pytest_asyncio.fixture
async def ledgers(url: str) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Two, as two API processes have."""
    opened = open_ledger(url), open_ledger(url)
    yield opened
    for one in opened:
        await one.close()


@pytest_asyncio.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(url)
    yield made
    await made.dispose()


async def tenant(engine: AsyncEngine, name: str, **quotas: int) -> None:
    async with engine.begin() as db:
        await db.execute(sa.insert(tenants).values(id=name, created_at=0, **quotas))


async def row(engine: AsyncEngine, name: str) -> tuple[int, int]:
    query = sa.select(tenants.c.day, tenants.c.accounts_today).where(tenants.c.id == name)
    async with engine.connect() as db:
        day, accounts = (await db.execute(query)).one()
        return day, accounts


async def job_count(engine: AsyncEngine) -> int:
    async with engine.connect() as db:
        return int((await db.execute(sa.select(sa.func.count()).select_from(jobs))).scalar_one())


def asked(name: str, of: str, count: int = 1, key: str | None = None) -> Submission:
    return Submission(NewJob(name, count, tenant_id=of), key, f"{count}")


def plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
    person = Person(job, "e", "g", "f", "d")
    return [PlannedAccount(job, i, person, b"sealed") for i in indexes]


async def roster(engine: AsyncEngine, name: str, of: str, count: int, key: str | None) -> Submitted:
    work = Import(engine, NewJob(name, 0, Source.IMPORT, tenant_id=of))
    await work.begin(key)
    people = [Person(f"{name}-{n}", "e", "g", "f", "d") for n in range(count)]
    rows = [RosterRow(n, person, "pw") for n, person in enumerate(people)]
    for row_ in rows:
        await work.add([row_], [], lambda password, tag: b"sealed")
    done = await work.finish(key, f"{count}")
    if done.replay or done.refused:
        await work.abort()
    return done


async def test_many_at_once_get_what_is_left_and_no_more(
    ledgers: tuple[Ledger, Ledger], engine: AsyncEngine
) -> None:
    """Each in a call of its own, of two tenants; rosters take part."""
    await tenant(engine, "a", open_jobs=13)
    await tenant(engine, "b", accounts_per_day=40)
    calls = [
        ledgers[n % 2].submit([asked(f"a{n}", "a"), asked(f"b{n}", "b", 3)]) for n in range(60)
    ]
    rosters = [roster(engine, f"r{n}", "ab"[n % 2], 3, None) for n in range(20)]
    done = await asyncio.gather(*calls)
    answers = [one for pair in done for one in pair] + list(await asyncio.gather(*rosters))
    async with engine.connect() as db:
        counted = sa.select(jobs.c.tenant_id, sa.func.count(), sa.func.sum(jobs.c.count))
        found = (await db.execute(counted.group_by(jobs.c.tenant_id))).all()
    assert {name: n for name, n, _ in found} == {"a": 13, "b": 13}
    assert sum(one.place is not None for one in answers) == 26
    assert await row(engine, "b") == (int(time.time() // DAY), 39)
    refused = {one.refused for one in answers if one.place is None}
    assert refused == {
        "tenant a has 13 open jobs of 13 that it may; wait until one ends",
        "tenant b may ask for 40 accounts a day, and has asked for 39 today; ask for fewer, or"
        " after midnight UTC",
    }


async def test_a_tenant_without_quotas_is_not_bounded_by_others(
    ledgers: tuple[Ledger, Ledger], engine: AsyncEngine
) -> None:
    await tenant(engine, "a", open_jobs=1)
    await tenant(engine, "b", accounts_per_job=5)
    names = [("a1", "a"), ("d1", "default"), ("b1", "b"), ("a2", "a"), ("d2", "default")]
    done = await ledgers[0].submit([asked(name, of, 5) for name, of in names])
    assert [bool(one.refused) for one in done] == [False, False, False, True, False]
    (more,) = await ledgers[0].submit([asked("b2", "b", 6)])
    assert (more.retry_after, await job_count(engine)) == (None, 4)
    assert more.refused.startswith("tenant b may ask for 5 accounts a job, not for 6")


async def test_a_replay_costs_nothing_and_a_refusal_leaves_the_key_free(
    ledgers: tuple[Ledger, Ledger], engine: AsyncEngine
) -> None:
    await tenant(engine, "a", open_jobs=1, accounts_per_day=10)
    (first,) = await ledgers[0].submit([asked("one", "a", 10, "k")])
    (again,) = await ledgers[1].submit([asked("two", "a", 10, "k")])
    assert (first.job_id, again) == ("one", Submitted("one", replay=True))
    (refused,) = await ledgers[0].submit([asked("three", "a", 1, "other")])
    assert refused.refused
    async with engine.begin() as db:
        await db.execute(sa.update(tenants).values(open_jobs=2, accounts_per_day=11))
    (later,) = await ledgers[0].submit([asked("four", "a", 1, "other")])
    assert (later.job_id, later.replay, later.refused) == ("four", False, "")


async def test_under_a_key_whose_first_use_is_refused_the_second_may_enter(
    ledgers: tuple[Ledger, Ledger], engine: AsyncEngine
) -> None:
    """All in one commit; the third is the second's replay."""
    await tenant(engine, "a", accounts_per_job=5)
    batch = [asked("big", "a", 9, "k"), asked("small", "a", 5, "k"), asked("again", "a", 5, "k")]
    big, small, again = await ledgers[0].submit(batch)
    assert (bool(big.refused), small.place is not None) == (True, True)
    assert again == Submitted("small", replay=True)


async def test_rosters_that_end_at_once_get_what_is_left(engine: AsyncEngine) -> None:
    await tenant(engine, "a", open_jobs=2)
    works = [Import(engine, NewJob(f"r{n}", 0, Source.IMPORT, tenant_id="a")) for n in range(20)]
    for work in works:
        await work.begin()
        person = Person("ann", "e", "g", "f", "d")
        await work.add([RosterRow(1, person, "pw")], [], lambda password, tag: b"sealed")
    done = await asyncio.gather(*(work.finish(None, "") for work in works))
    assert sum(one.place is not None for one in done) == 2
    assert sum(bool(one.refused) for one in done) == 18


async def test_rosters_stop_early_and_are_counted_at_their_end(engine: AsyncEngine) -> None:
    await tenant(engine, "a", accounts_per_job=2, accounts_per_day=3)
    with pytest.raises(InvalidInput, match="2 accounts a job"):
        await roster(engine, "long", "a", 1000, None)
    first = await roster(engine, "one", "a", 2, "k")
    assert first.place is not None
    refused = await roster(engine, "two", "a", 2, "other")
    assert "a day" in refused.refused
    assert refused.retry_after is not None
    assert (await roster(engine, "three", "a", 1, "other")).place is not None
    async with engine.begin() as db:
        await db.execute(sa.update(tenants).values(accounts_per_job=1))
    assert (await roster(engine, "four", "a", 2, "k")).replay
    assert (await row(engine, "a"))[1] == 3
    left = await Queries(engine).accounts("a", {}, None, 9)
    assert {one["job_id"] for one in left if one["job_id"] != "long"} == {"one", "three"}


async def test_raw_entries_count_for_nothing_but_are_bounded_each(
    ledgers: tuple[Ledger, Ledger], engine: AsyncEngine
) -> None:
    ledger = ledgers[0]
    async with engine.begin() as db:
        await db.execute(sa.update(tenants).values(open_jobs=1, accounts_per_job=5))
    await ledger.open_session("s", "w", "h", 1, "0")
    raw = [NewJob("small", 5, Source.RAW), NewJob("big", 6, Source.RAW)]
    claim = await ledger.claim("s", [Asked(one.id, raw=one) for one in raw], Room(2), plan)
    assert [one.verdict for one in claim.rulings] == [Verdict.TAKEN, Verdict.REJECTED]
    assert claim.rulings[1].reason.startswith("tenant default may ask for 5 accounts a job")
    (job,) = await ledger.submit([asked("job", "default")])
    assert job.place is not None


def test_the_day_ends_at_midnight_and_never_goes_back() -> None:
    quota = Quota("a", None, None, 10, 100, 10)
    late = quota.enter(NewJob("j", 1), 100 * DAY + 86_390.0)
    assert late is not None
    assert late.retry_after == pytest.approx(10.0)
    assert quota.enter(NewJob("j", 1), 101 * DAY + 1.0) is None
    assert (quota.day, quota.accounts_today) == (101, 1)
    assert quota.enter(NewJob("j", 10), 101 * DAY - 1.0) is not None
    assert (quota.day, quota.accounts_today) == (101, 1)
    never = quota.enter(NewJob("j", 11), 102 * DAY)
    assert never is not None
    assert never.retry_after is None
