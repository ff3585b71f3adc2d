"""The hot verbs: what each database must do. (SQLite so far.)"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from botrix.errors import SessionLost
from botrix.ledger.ledger import Asked, Ledger, Submission, Verdict
from botrix.ledger.migrate import upgrade
from botrix.ledger.sqlite import SqliteLedger
from botrix.model import (
    AccountStatus,
    JobStatus,
    Lane,
    LeasedAccount,
    NewJob,
    Person,
    PlannedAccount,
    Result,
    Source,
)

pytestmark = pytest.mark.suite("SQLite")


@pytest_asyncio.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    opened = SqliteLedger(path)
    await opened.open_session("s1", "w", "host", 1, "0")
    yield opened
    await opened.close()


def plan(tenant: str, job: str, template: str | None, indexes: range) -> list[PlannedAccount]:
    return [
        PlannedAccount(job, i, Person(f"{job}-{i}", "e@x", "g", "f", "g f"), b"sealed")
        for i in indexes
    ]


async def placed(ledger: Ledger, job: NewJob) -> Asked:
    (one,) = await ledger.submit([Submission(job)])
    return Asked(one.job_id, one.place)


def result(account: LeasedAccount, status: AccountStatus, **more: object) -> Result:
    made = Result(account.job_id, account.index, account.attempt, status, reason="r")
    return replace(made, **more)  # type: ignore[arg-type]


async def test_a_key_gives_the_same_job_and_refuses_another_body(ledger: Ledger) -> None:
    first = Submission(NewJob("a", 1), "key", "body")
    again = Submission(NewJob("b", 1), "key", "body")
    other = Submission(NewJob("c", 1), "key", "another")
    one, two, three = await ledger.submit([first, again, other])
    assert (one.job_id, one.replay, one.clash) == ("a", False, False)
    assert (two.job_id, two.replay, two.place) == ("a", True, None)
    assert (three.clash, three.place) == (True, None)


async def test_a_claim_takes_a_slice_and_gives_a_new_place(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("big", 1200))
    claim = await ledger.claim("s1", [asked], 5000, plan)
    assert [a.index for a in claim.accounts] == list(range(500))
    (ruling,) = claim.rulings
    assert ruling.back is not None
    assert asked.place is not None
    assert ruling.back > asked.place
    assert [job.status for job in claim.started] == [JobStatus.RUNNING]
    rest = await ledger.claim("s1", [Asked("big", ruling.back)], 5000, plan)
    assert [a.index for a in rest.accounts] == list(range(500, 1000))
    assert rest.started == []


async def test_an_entry_with_an_old_place_is_stale(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1000))
    await ledger.claim("s1", [asked], 5000, plan)
    claim = await ledger.claim("s1", [asked, Asked("unknown", 1)], 5000, plan)
    assert [r.verdict for r in claim.rulings] == [Verdict.STALE, Verdict.STALE]
    assert claim.accounts == []


async def test_no_more_is_leased_than_there_is_room_for(ledger: Ledger) -> None:
    jobs = [await placed(ledger, NewJob(f"j{n}", 10)) for n in range(3)]
    claim = await ledger.claim("s1", jobs, 15, plan)
    assert len(claim.accounts) == 15
    assert [r.verdict for r in claim.rulings] == [Verdict.TAKEN, Verdict.TAKEN, Verdict.OVER]


async def test_raw_jobs_enter_once(ledger: Ledger) -> None:
    raw = NewJob("raw", 2, Source.RAW)
    claim = await ledger.claim("s1", [Asked("raw", raw=raw)], 10, plan)
    assert len(claim.accounts) == 2
    other = replace(raw, count=3)
    nowhere = NewJob("lost", 1, Source.RAW, directory="nowhere")
    asked = [Asked("raw", raw=raw), Asked("raw", raw=other), Asked("lost", raw=nowhere)]
    again = await ledger.claim("s1", asked, 10, plan)
    verdicts = [r.verdict for r in again.rulings]
    assert verdicts == [Verdict.STALE, Verdict.REJECTED, Verdict.REJECTED]


async def test_a_lost_session_writes_nothing(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 2))
    claim = await ledger.claim("s1", [asked], 1, plan)
    assert not await ledger.mark_lost("s1", 7)
    assert await ledger.mark_lost("s1", 0)
    for write in (
        ledger.claim("s1", [asked], 10, plan),
        ledger.record("s1", [result(claim.accounts[0], AccountStatus.CREATED)]),
        ledger.renew("s1"),
    ):
        with pytest.raises(SessionLost):
            await write
    assert [a.index for a in await ledger.held("s1")] == [0]


async def test_what_a_lost_session_held_is_looked_for_first(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1))
    await ledger.claim("s1", [asked], 10, plan)
    await ledger.mark_lost("s1", None)
    await ledger.open_session("s2", "w2", "host", 2, "0")
    (freed,) = await ledger.free(100)
    claim = await ledger.claim("s2", [Asked(freed.id, freed.place)], 10, plan)
    (account,) = claim.accounts
    assert (account.attempt, account.find_first, account.tries_used) == (2, True, 0)


async def test_a_result_counts_once_and_only_while_leased(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 2))
    one, two = (await ledger.claim("s1", [asked], 10, plan)).accounts
    done = result(one, AccountStatus.CREATED)
    recorded = await ledger.record("s1", [done, replace(done, index=1, attempt=9)])
    assert (recorded.accepted, recorded.stale) == (1, [("j", 1)])
    assert recorded.jobs[0].status == JobStatus.RUNNING
    recorded = await ledger.record("s1", [done, result(two, AccountStatus.FAILED)])
    assert recorded.stale == [("j", 0)]
    job = recorded.jobs[0]
    assert (job.status, job.created, job.failed) == (JobStatus.FAILED, 1, 1)


async def test_a_retry_is_due_later_and_gets_a_place(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1))
    (account,) = (await ledger.claim("s1", [asked], 10, plan)).accounts
    await ledger.record("s1", [result(account, AccountStatus.PLANNED, delay=1000.0)])
    assert (await ledger.due(10)).placed == []
    asked = await placed(ledger, NewJob("k", 1))
    (account,) = (await ledger.claim("s1", [asked], 10, plan)).accounts
    await ledger.record("s1", [result(account, AccountStatus.PLANNED)])
    (due,) = (await ledger.due(10)).placed
    assert due.id == "k"
    (account,) = (await ledger.claim("s1", [Asked("k", due.place)], 10, plan)).accounts
    assert (account.find_first, account.tries_left) == (False, 3)


async def test_places_move_only_from_where_they_were_seen(ledger: Ledger) -> None:
    low = await placed(ledger, NewJob("low", 1, lane=Lane.LOW))
    high = await placed(ledger, NewJob("high", 1, lane=Lane.HIGH))
    assert [job.id for job in await ledger.fetch(10)] == ["high", "low"]
    assert low.place is not None
    assert high.place is not None
    assert await ledger.put_back({"low": low.place + 5}) == []
    (moved,) = await ledger.put_back({"low": low.place})
    assert moved.place > high.place
    assert await ledger.passed_by(Lane.LOW, moved.place, 10) == []
    assert [job.id for job in await ledger.passed_by(Lane.LOW, None, 10)] == ["low"]
