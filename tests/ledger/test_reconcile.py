"""What is provisional is looked for once more, and what happened can be told."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from botrix.errors import SessionLost
from botrix.ledger.engine import now
from botrix.ledger.ledger import Asked, Found, Ledger, Room
from botrix.ledger.queries import Queries
from botrix.ledger.tables import jobs
from botrix.model import NewJob, Person
from botrix.states import AccountStatus, JobStatus
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE


async def _failed_job(ledger: Ledger, count: int = 3, created: int = 1) -> None:
    asked = await placed(ledger, NewJob("j", count))
    accounts = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    ends = [AccountStatus.CREATED] * created + [AccountStatus.FAILED] * (count - created)
    await ledger.record("s1", [result(a, end) for a, end in zip(accounts, ends, strict=True)])


async def test_a_failed_job_is_looked_at_again_by_one_at_a_time(ledger: Ledger) -> None:
    await _failed_job(ledger)
    assert await ledger.look_again("s1", 1000.0) is None
    job = await ledger.look_again("s1", 0.0)
    assert job is not None
    assert (job.job_id, job.tenant_id, job.directory) == ("j", "default", "local")
    assert await ledger.look_again("s1", 1000.0) is None
    seen = await ledger.provisional("j", -1, 10)
    assert [(late.account.index, late.status) for late in seen] == [(1, "failed"), (2, "failed")]
    assert [late.account.index for late in await ledger.provisional("j", 1, 10)] == [2]
    await ledger.looked_again("s1", job, done=True)
    assert await ledger.look_again("s1", 1.0) is None


async def test_who_was_not_seen_is_looked_for_another_time(ledger: Ledger) -> None:
    await _failed_job(ledger)
    job = await ledger.look_again("s1", 0.0)
    assert job is not None
    await ledger.looked_again("s1", job, done=False)
    assert await ledger.look_again("s1", 0.0) is not None


async def test_looks_grow_rarer_and_end_after_a_day(ledger: Ledger, queries: Queries) -> None:
    await _failed_job(ledger)
    ages = []
    for age in (60.0, 300.0, 4000.0, 90_000.0):
        await _ago(queries, age)
        job = await ledger.look_again("s1", 0.0)
        assert job is not None
        await ledger.looked_again("s1", job, done=True)
        ages.append(await _next_look(queries))
    assert ages[0] == pytest.approx(180, abs=5)
    assert ages[1] == pytest.approx(900, abs=5)
    assert ages[2] == pytest.approx(12_000, abs=5)
    assert ages[3] is None


async def _ago(queries: Queries, seconds: float) -> None:
    """As if the job had ended so long ago, and its time had come."""
    async with queries.engine.begin() as db:
        await db.execute(sa.update(jobs).values(finished_at=now() - seconds, look_at=now() - 1))


async def _next_look(queries: Queries) -> float | None:
    async with queries.engine.begin() as db:
        return (await db.execute(sa.select(jobs.c.look_at - now()))).scalar_one()


async def test_a_completed_job_is_not_provisional(ledger: Ledger) -> None:
    await _failed_job(ledger, created=3)
    assert await ledger.look_again("s1", 0.0) is None


async def test_what_landed_late_counts_as_created(ledger: Ledger) -> None:
    await _failed_job(ledger)
    first, second = await ledger.provisional("j", -1, 10)
    recorded = await ledger.landed("s1", [Found(first, "e1")])
    (job,) = recorded.jobs
    assert (recorded.accepted, job.status, job.created, job.failed) == (1, JobStatus.FAILED, 2, 1)
    again = await ledger.landed("s1", [Found(first)])
    assert (again.accepted, again.stale, again.jobs) == (0, [("j", 1)], [])
    (job,) = (await ledger.landed("s1", [Found(second)])).jobs
    assert (job.status, job.created, job.failed) == (JobStatus.COMPLETED, 3, 0)


async def test_a_retry_comes_before_a_late_finding(ledger: Ledger, queries: Queries) -> None:
    await _failed_job(ledger)
    job = await ledger.look_again("s1", 0.0)
    assert job is not None
    first, _ = await ledger.provisional("j", -1, 10)
    await queries.retry("default", "j", CONSOLE)
    assert (await ledger.landed("s1", [Found(first)])).accepted == 0
    await ledger.looked_again("s1", job, done=True)
    assert not [n for n in await _told(queries, "j") if n == (None, "looked again")]


async def test_what_landed_though_cancelled_is_removed(ledger: Ledger, queries: Queries) -> None:
    asked = await placed(ledger, NewJob("j", 5))
    one, two = (await ledger.claim("s1", [asked], Room(2), plan)).accounts
    await queries.cancel("default", "j", CONSOLE)
    back = [result(a, AccountStatus.PLANNED) for a in (one, two)]
    (job,) = (await ledger.record("s1", back)).jobs
    assert (job.status, job.cancelled) == (JobStatus.CANCELLED, 5)
    late, _ = await ledger.provisional("j", -1, 10)
    (job,) = (await ledger.landed("s1", [Found(late)])).jobs
    assert (job.status, job.cancelled, job.deleted) == (JobStatus.CANCELLED, 4, 1)
    once_more, _ = await ledger.provisional("j", -1, 10)
    assert once_more.status == "deleted"  # a second call may land after the first was removed
    (job,) = (await ledger.landed("s1", [Found(once_more)])).jobs
    assert (job.cancelled, job.deleted) == (4, 1)
    told = await _told(queries, "j")
    assert told == [
        (None, "cancel asked"), (0, "cancelled"), (1, "cancelled"), (0, "removed"), (0, "removed"),
    ]  # fmt: skip


async def test_a_lost_session_finds_nothing(ledger: Ledger) -> None:
    await _failed_job(ledger)
    job = await ledger.look_again("s1", 0.0)
    assert job is not None
    (late, _) = await ledger.provisional("j", -1, 10)
    await ledger.mark_lost("s1", None)
    for write in (
        ledger.look_again("s1", 0.0),
        ledger.landed("s1", [Found(late)]),
        ledger.looked_again("s1", job, done=True),
    ):
        with pytest.raises(SessionLost):
            await write


async def test_the_history_tells_why(ledger: Ledger, queries: Queries) -> None:
    asked = await placed(ledger, NewJob("j", 3))
    zero, one, two = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    await ledger.rename("s1", zero, Person("other", "e@x", "g", "f", "g f"))
    await ledger.record("s1", [result(zero, AccountStatus.CREATED, reason="adopted")])
    await ledger.record("s1", [result(one, AccountStatus.CREATED, reason=None)])
    await ledger.mark_lost("s1", None)
    await ledger.refused("s1", [result(two, AccountStatus.CREATED, reason=None)])
    await ledger.free(10)
    await ledger.open_session("s2", "worker-2", "host", 1, "0")
    await ledger.claim("s2", [Asked("j", (await ledger.places(["j"]))["j"])], Room(10), plan)
    told = await queries.history("default", "j", None, 0, 100)
    assert [(n["idx"], n["what"], n["attempt"], n["worker_id"], n["reason"]) for n in told] == [
        (0, "renamed", 1, "worker-1", "name taken"),
        (0, "created", 1, "worker-1", "adopted"),
        (2, "refused", 1, "worker-1", None),
        (2, "lost", 1, "worker-1", None),
        (2, "leased", 2, "worker-2", None),
    ]
    assert told[0]["detail"] == "from j-0 to other"
    assert [n["what"] for n in await queries.history("default", "j", 0, 0, 100)] == [
        "renamed", "created",
    ]  # fmt: skip
    assert await queries.history("another tenant", "j", None, 0, 100) == []
    last = await queries.last_worker("default", "j", 1)
    assert (last["last_session"], last["worker_id"]) == ("s1", "worker-1")
    assert len(await queries.history("default", "j", None, told[2]["n"], 100)) == 2


async def _told(queries: Queries, job: str) -> list[tuple[int | None, str]]:
    rows = await queries.history("default", job, None, 0, 100)
    return [(row["idx"], row["what"]) for row in rows]
