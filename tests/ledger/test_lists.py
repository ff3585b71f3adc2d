"""Lists and statistics, on both databases, beside the same picked from all rows by hand."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.ledger import account_lists, job_lists, note_lists, statistics
from botrix.ledger.engine import create_engine
from botrix.ledger.job_lists import JobFilter
from botrix.ledger.ledger import Asked, Ledger, Room, Submission
from botrix.ledger.tables import accounts, directories, history, jobs, tallies
from botrix.model import NewJob, Person, PlannedAccount, Result
from botrix.services import open_ledger
from botrix.states import FINAL_ACCOUNT, AccountStatus

Rows = list[dict[str, Any]]
_FILTERS: list[dict[str, Any]] = [
    {}, {"status": "running"}, {"status": "cancelled"}, {"directory": "b"}, {"stage": "plan"},
    {"stage": "create", "status": "failed"}, {"directory": "a", "status": "completed"},
    {"directory": "nowhere"}, {"waits": "plan"}, {"waits": "plan", "directory": "a"},
    {"undoes": "j3"}, {"undoes": "j3", "status": "completed"}, {"after": 5.0, "before": 9.0},
    {"after": 3.0, "status": "completed"}, {"before": 4.0, "directory": "a"},
    {"waits": "canary", "after": 2.0, "before": 8.0}, {"undoes": "j3", "before": 6.0},
]  # fmt: skip


@pytest_asyncio.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(url)
    yield made
    await made.dispose()


def _job(n: int, rng: random.Random) -> dict[str, Any]:
    status = rng.choice(["pending", "running", "cancelling", "completed", "failed", "cancelled"])
    return {
        "id": f"j{n}", "tenant_id": rng.choice(["default", "default", "other"]),
        "status": status, "directory": rng.choice("aab"),
        "stage": rng.choice(["create", "create", "plan", "remove"]),
        "waits": rng.choice([None, None, "plan", "canary"]), "undoes": rng.choice([None, "j3"]),
        "source": "generate", "count": 8, "next_index": 8, "created": 3,
        "failed": 0 if status == "completed" else 2,
        "existing": 5 if status == "completed" else 0, "retried": n,
        "cancelled": 3 if status in ("failed", "cancelled") else 0,
        "importing": rng.random() < 0.1, "created_at": float(rng.randrange(12)), "updated_at": 0.0,
    }  # fmt: skip


_STATUSES = ("planned", "leased", "unsure", *FINAL_ACCOUNT)


def _account(job: dict[str, Any], index: int, rng: random.Random) -> dict[str, Any]:
    status = str(rng.choice(_STATUSES))
    name = rng.choice(["anna", "Anna", "ann", "anne.b", "bob", "zoë", "an_", "an%"])
    return {
        "job_id": job["id"], "idx": index, "tenant_id": job["tenant_id"], "status": status,
        "username": f"{name}{rng.choice(['', '1'])}",
        "session_id": "s" if status == "leased" else None,
        "reason": rng.choice("xyz") if status == "failed" else rng.choice([None, "x"]),
        "email": "e", "given_name": "g", "family_name": "f", "display_name": "d", "updated_at": 0.0,
    }  # fmt: skip


async def _filled(engine: AsyncEngine) -> tuple[Rows, Rows]:
    """Jobs that people see, and all accounts."""
    rng = random.Random(7)
    made = [_job(n, rng) for n in range(60)]
    their = [_account(job, index, rng) for job in made for index in range(8)]
    async with engine.begin() as db:
        await db.execute(sa.insert(jobs), made)
        await db.execute(sa.insert(accounts), their)
    return [job for job in made if not job["importing"]], their


async def _all_pages(page: Callable[[Any], Awaitable[tuple[Rows, Any]]]) -> Rows:
    found, cursor = [], None
    while True:
        rows, cursor = await page(cursor)
        found += rows
        if cursor is None:
            return found


def _ids(rows: Sequence[Any]) -> list[str]:
    return [row["id"] for row in rows]


def _keys(rows: Sequence[Any]) -> list[tuple[str, int]]:
    return [(row["job_id"], row["idx"]) for row in rows]


@pytest.mark.parametrize("limit", [4, 1000])
async def test_jobs_by_every_filter(engine: AsyncEngine, limit: int) -> None:
    seen, _ = await _filled(engine)
    for asked in _FILTERS:

        async def page(cursor: Any, asked: dict[str, Any] = asked) -> tuple[Rows, Any]:
            rows = await job_lists.listed(engine, "default", JobFilter(**asked), cursor, limit)
            last = (rows[-1]["created_at"], rows[-1]["id"]) if len(rows) == limit else None
            return rows, last

        found = _ids(await _all_pages(page))
        since, until = asked.get("after", -1.0), asked.get("before", 99.0)
        same = {name: value for name, value in asked.items() if name not in ("after", "before")}
        wanted = [
            job for job in seen
            if job["tenant_id"] == "default" and since < job["created_at"] < until
            and all(job[name] == value for name, value in same.items())
        ]  # fmt: skip
        wanted.sort(key=lambda job: (job["created_at"], job["id"]), reverse=True)
        assert found == _ids(wanted), asked


async def test_more_kinds_of_jobs_than_one_statement_asks_for(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, _ = await _filled(engine)
    monkeypatch.setattr(job_lists, "_AT_ONCE", 2)
    found = await job_lists.listed(engine, "default", JobFilter(status="running"), None, 1000)
    mine = [j for j in seen if j["tenant_id"] == "default" and j["status"] == "running"]
    mine.sort(key=lambda job: (job["created_at"], job["id"]), reverse=True)
    assert _ids(found) == _ids(mine)


@pytest.mark.parametrize("limit", [7, 1000])
async def test_accounts_of_a_tenant_by_status(engine: AsyncEngine, limit: int) -> None:
    _, their = await _filled(engine)
    for status in (None, *_STATUSES):

        async def page(cursor: Any, status: str | None = status) -> tuple[Rows, Any]:
            rows = await account_lists.of_tenant(
                engine, "default", status and str(status), cursor, limit
            )
            return rows, _keys(rows)[-1] if len(rows) == limit else None

        found = _keys(await _all_pages(page))
        mine = [a for a in their if a["tenant_id"] == "default"]
        assert found == sorted(_keys([a for a in mine if status in (None, a["status"])])), status


@pytest.mark.parametrize("limit", [2, 1000])
async def test_accounts_of_a_job(engine: AsyncEngine, limit: int) -> None:
    seen, their = await _filled(engine)
    job = next(job for job in seen if job["tenant_id"] == "default")
    cases = [(None, None), *((str(status), None) for status in _STATUSES), (None, "x"), (None, "?")]
    for status, reason in cases:

        async def page(
            cursor: Any, status: str | None = status, reason: str | None = reason
        ) -> tuple[Rows, Any]:
            after = -1 if cursor is None else cursor
            rows = await account_lists.of_job(
                engine, "default", job["id"], after, limit, status, reason
            )
            return rows, rows[-1]["idx"] if len(rows) == limit else None

        mine = [a for a in their if a["job_id"] == job["id"] and status in (None, a["status"])]
        if reason is not None:
            mine = [a for a in mine if a["status"] == "failed" and a["reason"] == reason]
        assert _keys(await _all_pages(page)) == sorted(_keys(mine)), (status, reason)
        assert not await account_lists.of_job(engine, "other", job["id"], -1, 9, status, reason)


@pytest.mark.parametrize(("limit", "searched"), [(7, 16), (1000, 5000)])
async def test_accounts_by_name(
    engine: AsyncEngine, limit: int, searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, their = await _filled(engine)
    monkeypatch.setattr(account_lists, "_SEARCHED", searched)
    cases = [
        (name, exactly, status)
        for name in ("anna", "Anna", "AN", "an_", "zoë", "q")
        for exactly in (False, True)
        for status in (None, "created", "leased", "failed")
    ]
    for name, exactly, status in cases:

        async def page(
            cursor: Any, name: str = name, exactly: bool = exactly, status: str | None = status
        ) -> tuple[Rows, Any]:
            got = await account_lists.named(
                engine, "default", name, cursor, limit, exactly=exactly, status=status
            )
            return got.rows, got.last

        def fits(one: dict[str, Any], name: str = name, exactly: bool = exactly) -> bool:
            if exactly:
                return bool(one["username"] == name)
            return str(one["username"]).lower().startswith(name.lower())

        mine = [a for a in their if a["tenant_id"] == "default" and status in (None, a["status"])]
        wanted = sorted((a["username"].lower(), a["job_id"], a["idx"]) for a in mine if fits(a))
        found = await _all_pages(page)
        assert _keys(found) == [key[1:] for key in wanted], (name, exactly, status)
        assert not any("name" in row for row in found)


async def test_statistics_follow_every_change(engine: AsyncEngine) -> None:
    await _filled(engine)
    changes = [
        None,
        sa.update(jobs).where(jobs.c.status == "running").values(status="failed", cancelled=3),
        sa.update(jobs).values(importing=sa.case((jobs.c.created_at > 5, False), else_=True)),
        sa.update(jobs).where(jobs.c.created_at > 8).values(retried=jobs.c.retried + 1),
        sa.delete(jobs).where(jobs.c.created_at > 9),
        sa.update(jobs).values(importing=False),
        sa.delete(jobs),
    ]
    for change in changes:
        if change is not None:
            async with engine.begin() as db:
                await db.execute(change)
        for tenant in ("default", "other", "nobody"):
            assert await statistics.of_jobs(engine, tenant) == await _counted(engine, tenant)


async def test_tallies_are_summed_up_by_several(url: str, engine: AsyncEngine) -> None:
    await _filled(engine)
    ledgers = [open_ledger(url), open_ledger(url)]
    for n in range(40):
        async with engine.begin() as db:
            await db.execute(sa.update(jobs).where(jobs.c.id == f"j{n}").values(retried=100 + n))
    before = await statistics.of_jobs(engine, "default")

    async def sum_up(ledger: Ledger) -> None:
        while await ledger.sum_up(5):
            pass

    await asyncio.gather(*(sum_up(ledger) for ledger in ledgers))
    async with engine.begin() as db:
        rows = (await db.execute(sa.select(tallies.c.tenant_id, tallies.c.n))).all()
    assert sorted(rows) == [("default", 0), ("other", 0)]
    assert await statistics.of_jobs(engine, "default") == before
    for ledger in ledgers:
        await ledger.close()


def _plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
    return [
        PlannedAccount(job, index, Person(f"{job}-{index}", "e", "g", "f", "d"), b"sealed")
        for index in indexes
    ]


async def test_statistics_follow_the_verbs(url: str, engine: AsyncEngine) -> None:
    async with engine.begin() as db:
        await db.execute(sa.insert(directories).values(name="d", kind="simulated", created_at=0.0))
    ledger = open_ledger(url)
    await ledger.open_session("s", "w", "h", 1, "0")
    new = [Submission(NewJob(f"j{n}", 4, directory="d")) for n in range(3)]
    placed = await ledger.submit(new)
    assert (await statistics.of_jobs(engine, "default"))["jobs"] == {"pending": 3}
    assert await statistics.of_accounts(engine, "default") == {"planned": 12}
    entries = [Asked(one.job_id, one.place) for one in placed[:2]]
    taken = (await ledger.claim("s", entries, Room(8), _plan)).accounts
    assert await statistics.of_accounts(engine, "default") == {"planned": 4, "leased": 8}
    results = [
        Result(one.job_id, one.index, one.attempt, status, reason="r")
        for one, status in zip(
            taken[:6], [AccountStatus.CREATED, AccountStatus.FAILED] * 3, strict=True
        )
    ]
    results += [
        Result(one.job_id, one.index, one.attempt, AccountStatus.UNSURE) for one in taken[6:]
    ]
    await ledger.record("s", results)
    assert (await statistics.of_jobs(engine, "default"))["jobs"] == {
        "pending": 1, "running": 1, "failed": 1,
    }  # fmt: skip
    assert await statistics.of_accounts(engine, "default") == {
        "planned": 4, "unsure": 2, "created": 3, "failed": 3,
    }  # fmt: skip
    await ledger.close()


async def _counted(engine: AsyncEngine, tenant: str) -> dict[str, dict[str, int]]:
    async with engine.begin() as db:
        rows = (await db.execute(sa.select(jobs).where(jobs.c.tenant_id == tenant))).mappings()
        seen = [row for row in rows if not row["importing"]]
    names = ("count", *map(str, FINAL_ACCOUNT), "retried")
    return {
        "jobs": dict(Counter(row["status"] for row in seen)),
        "accounts": {name: sum(row[name] for row in seen) for name in names},
    }


async def test_statistics_of_accounts(engine: AsyncEngine) -> None:
    row = {"source": "generate", "directory": "a", "created_at": 0.0, "updated_at": 0.0}
    job = {**row, "id": "j", "status": "running", "count": 10, "created": 2, "failed": 1}
    person = ("username", "email", "given_name", "family_name", "display_name")
    one = {**dict.fromkeys(person, "x"), "job_id": "j", "updated_at": 0.0}
    states = ["created", "created", "failed", "leased", "unsure", "unsure"]
    async with engine.begin() as db:
        await db.execute(sa.insert(jobs).values(job))
        for index, status in enumerate(states):
            more = {"session_id": "s" if status == "leased" else None, "reason": "x"}
            await db.execute(sa.insert(accounts).values(**one, idx=index, status=status, **more))
    assert await statistics.of_accounts(engine, "default") == {
        "planned": 4, "leased": 1, "unsure": 2, "created": 2, "failed": 1,
    }  # fmt: skip
    assert await statistics.of_accounts(engine, "other") == {}


async def test_reasons_of_a_job(engine: AsyncEngine) -> None:
    seen, their = await _filled(engine)
    for job in seen[:20]:
        failed = [a for a in their if a["job_id"] == job["id"] and a["status"] == "failed"]
        counts = Counter(a["reason"] for a in failed)
        found = await statistics.of_reasons(engine, job["tenant_id"], job["id"])
        wanted = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        assert [(row["reason"], row["count"]) for row in found] == wanted
        assert await statistics.of_reasons(engine, "nobody", job["id"]) == []


async def test_the_history_of_one_account(engine: AsyncEngine) -> None:
    await _filled(engine)
    noted = [
        {"tenant_id": "default", "job_id": "j1", "idx": idx, "at": 0.0, "what": str(n)}
        for n, idx in enumerate([None, 0, 1, 2, None, 1, 0, None, 1])
    ]
    async with engine.begin() as db:
        for one in noted:
            await db.execute(sa.insert(history).values(one))
    for index, wanted in ((1, "024578"), (None, "012345678"), (7, "047")):
        found, after = "", 0
        while True:
            async with engine.begin() as db:
                query = note_lists.page("default", "j1", index, after, 2, engine.dialect.name)
                rows = (await db.execute(query)).mappings().all()
            if not rows:
                break
            found += "".join(row["what"] for row in rows)
            after = rows[-1]["n"]
        assert found == wanted
