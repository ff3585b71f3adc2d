"""The hot verbs: what each database must do."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from botrix.audit import NOBODY
from botrix.errors import SessionLost
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Asked, Due, Ledger, Room, Submission, Verdict
from botrix.ledger.queries import Queries
from botrix.ledger.tables import jobs
from botrix.model import Lane, LeasedAccount, NewJob, Person, PlannedAccount, Result, Source
from botrix.states import AccountStatus, JobStatus
from tests.servers.keys import CONSOLE


def plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
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


def plainly(account: LeasedAccount) -> Result:
    """Of one that was created, with nothing more to say, as most are."""
    return result(account, AccountStatus.CREATED, reason=None, entry_id="e")


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
    claim = await ledger.claim("s1", [asked], Room(5000), plan)
    assert [a.index for a in claim.accounts] == list(range(500))
    (ruling,) = claim.rulings
    assert ruling.back is not None
    assert asked.place is not None
    assert ruling.back > asked.place
    assert [job.status for job in claim.started] == [JobStatus.RUNNING]
    rest = await ledger.claim("s1", [Asked("big", ruling.back)], Room(5000), plan)
    assert [a.index for a in rest.accounts] == list(range(500, 1000))
    assert rest.started == []


async def test_an_entry_with_an_old_place_is_stale(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1000))
    await ledger.claim("s1", [asked], Room(5000), plan)
    claim = await ledger.claim("s1", [asked, Asked("unknown", 1)], Room(5000), plan)
    assert [r.verdict for r in claim.rulings] == [Verdict.STALE, Verdict.STALE]
    assert claim.accounts == []


async def test_no_more_is_leased_than_there_is_room_for(ledger: Ledger) -> None:
    jobs = [await placed(ledger, NewJob(f"j{n}", 10)) for n in range(3)]
    claim = await ledger.claim("s1", jobs, Room(15), plan)
    assert len(claim.accounts) == 15
    assert [r.verdict for r in claim.rulings] == [Verdict.TAKEN, Verdict.TAKEN, Verdict.OVER]


async def test_raw_jobs_enter_once(ledger: Ledger) -> None:
    raw = NewJob("raw", 2, Source.RAW)
    claim = await ledger.claim("s1", [Asked("raw", raw=raw)], Room(10), plan)
    assert len(claim.accounts) == 2
    other = NewJob("raw", 3, Source.RAW)
    nowhere = NewJob("lost", 1, Source.RAW, directory="nowhere")
    asked = [Asked("raw", raw=raw), Asked("lost", raw=nowhere)]
    again = await ledger.claim("s1", asked, Room(10), plan)
    assert [r.verdict for r in again.rulings] == [Verdict.STALE, Verdict.REJECTED]
    (ruling,) = (await ledger.claim("s1", [Asked("raw", raw=other)], Room(10), plan)).rulings
    assert ruling.verdict == Verdict.REJECTED


async def test_a_lost_session_writes_nothing(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 2))
    claim = await ledger.claim("s1", [asked], Room(1), plan)
    assert not await ledger.mark_lost("s1", 7)
    assert await ledger.mark_lost("s1", 0)
    for write in (
        ledger.claim("s1", [asked], Room(10), plan),
        ledger.record("s1", [result(claim.accounts[0], AccountStatus.CREATED)]),
        ledger.renew("s1"),
    ):
        with pytest.raises(SessionLost):
            await write
    assert [a.index for a in await ledger.held("s1")] == [0]


async def test_what_a_lost_session_held_is_looked_for_first(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1))
    await ledger.claim("s1", [asked], Room(10), plan)
    await ledger.mark_lost("s1", None)
    await ledger.open_session("s2", "w2", "host", 2, "0")
    (freed,) = (await ledger.free(100)).placed
    claim = await ledger.claim("s2", [Asked(freed.id, freed.place)], Room(10), plan)
    (account,) = claim.accounts
    assert (account.attempt, account.find_first, account.tries_used) == (2, True, 0)


async def test_a_result_counts_once_and_only_while_leased(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 2))
    one, two = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    done = result(one, AccountStatus.CREATED)
    recorded = await ledger.record("s1", [done, replace(done, index=1, attempt=9)])
    assert (recorded.accepted, recorded.stale) == (1, [("j", 1)])
    assert recorded.jobs[0].status == JobStatus.RUNNING
    recorded = await ledger.record("s1", [done, result(two, AccountStatus.FAILED)])
    assert recorded.stale == [("j", 0)]
    job = recorded.jobs[0]
    assert (job.status, job.created, job.failed) == (JobStatus.FAILED, 1, 1)


async def test_what_another_session_leased_is_refused(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 2))
    claim = await ledger.claim("s1", [asked], Room(10), plan)
    await ledger.open_session("s2", "w2", "host", 2, "0")
    one, two = (plainly(account) for account in claim.accounts)
    recorded = await ledger.record("s2", [one, two])
    assert (recorded.accepted, recorded.stale, recorded.jobs) == (0, [("j", 0), ("j", 1)], [])
    recorded = await ledger.record("s1", [one, replace(one, attempt=2)])
    assert (recorded.accepted, recorded.stale) == (1, [("j", 0)])
    recorded = await ledger.record("s1", [two, one])
    assert (recorded.accepted, recorded.stale) == (1, [("j", 0)])
    assert [(job.status, job.created) for job in recorded.jobs] == [(JobStatus.COMPLETED, 2)]


async def test_jobs_that_end_together_end_each_in_its_way(ledger: Ledger, queries: Queries) -> None:
    sizes = {"whole": 1, "two": 2, "known": 2, "mixed": 2, "open": 2, "left": 501}
    asked = [await placed(ledger, NewJob(name, count)) for name, count in sizes.items()]
    claim = await ledger.claim("s1", asked, Room(1000), plan)
    assert {job.id for job in claim.started} == set(sizes)
    assert [r.id for r in claim.rulings if r.back is not None] == ["left"]
    before = {name: await _row(queries, name) for name in sizes}
    assert {name: row["next_index"] for name, row in before.items()} == {**sizes, "left": 500}
    assert {row["status"] for row in before.values()} == {"running"}
    assert [name for name, row in before.items() if row["place"] is not None] == ["left"]
    results = [plainly(a) for a in claim.accounts if (a.job_id, a.index) != ("open", 1)]
    others = {("known", 1): AccountStatus.EXISTING, ("mixed", 1): AccountStatus.FAILED}
    said = [
        replace(r, status=others[key], reason="r") if (key := (r.job_id, r.index)) in others else r
        for r in results
    ]
    recorded = await ledger.record("s1", said)
    assert recorded.accepted == len(said)
    ended = {"whole": "completed", "two": "completed", "known": "completed", "mixed": "failed"}
    for job in recorded.jobs:
        row = await _row(queries, job.id)
        assert row["status"] == job.status == ended.get(job.id, "running")
        assert (row["created"], row["failed"]) == (job.created, job.failed)
        assert (row["finished_at"] is not None) == (job.lasted is not None) == (job.id in ended)
    assert {job.id: job.created for job in recorded.jobs} == {
        "whole": 1, "two": 2, "known": 1, "mixed": 1, "open": 1, "left": 500
    }  # fmt: skip


async def _row(queries: Queries, job_id: str) -> dict[str, object]:
    async with queries.engine.connect() as db:
        found = await db.execute(sa.select(jobs).where(jobs.c.id == job_id))
        return dict(found.mappings().one())


async def test_a_retry_is_due_later_and_gets_a_place(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1))
    (account,) = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    await ledger.record("s1", [result(account, AccountStatus.PLANNED, delay=1000.0)])
    assert (await ledger.due(10)).placed == []
    asked = await placed(ledger, NewJob("k", 1))
    (account,) = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    await ledger.record("s1", [result(account, AccountStatus.PLANNED)])
    (due,) = (await ledger.due(10)).placed
    assert due.id == "k"
    (account,) = (await ledger.claim("s1", [Asked("k", due.place)], Room(10), plan)).accounts
    assert (account.find_first, account.tries_left) == (True, 3)


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


async def test_due_accounts_come_before_new_ones(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 10))
    claim = await ledger.claim("s1", [asked], Room(3), plan)
    back = [result(a, AccountStatus.UNSURE) for a in claim.accounts]
    await ledger.record("s1", back)
    place = claim.rulings[0].back
    claim = await ledger.claim("s1", [Asked("j", place)], Room(5), plan)
    assert [(a.index, a.attempt, a.find_first) for a in claim.accounts] == [
        (0, 2, True), (1, 2, True), (2, 2, True), (3, 1, False), (4, 1, False),
    ]  # fmt: skip


async def test_two_jobs_with_due_accounts_share_the_room_in_order(ledger: Ledger) -> None:
    jobs = [await placed(ledger, NewJob(name, 4)) for name in ("a", "b")]
    claim = await ledger.claim("s1", jobs, Room(8), plan)
    await ledger.record("s1", [result(a, AccountStatus.PLANNED) for a in claim.accounts])
    due = (await ledger.due(10)).placed
    claim = await ledger.claim("s1", [Asked(d.id, d.place) for d in due], Room(6), plan)
    assert [a.key for a in claim.accounts] == [
        *((due[0].id, n) for n in range(4)),
        *((due[1].id, n) for n in range(2)),
    ]
    assert claim.rulings[0].back is None
    assert claim.rulings[1].back is not None


async def test_freeing_is_bounded_and_goes_on(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 30))
    await ledger.claim("s1", [asked], Room(30), plan)
    await ledger.mark_lost("s1", None)
    freed = await ledger.free(20)
    assert ([job.id for job in freed.placed], freed.more) == (["j"], True)
    assert await ledger.free(20) == Due(
        freed=10
    )  # it has its place; the rest was freed all the same
    await ledger.open_session("s2", "w", "host", 2, "0")
    assert await ledger.held("s1") == []


async def test_a_cancelled_job_is_swept_and_what_is_in_doubt_is_found(
    ledger: Ledger, url: str
) -> None:
    asked = await placed(ledger, NewJob("j", 1000))
    claim = await ledger.claim("s1", [asked], Room(20), plan)
    results = [
        result(a, AccountStatus.UNSURE if a.index < 2 else AccountStatus.PLANNED)
        for a in claim.accounts[:-1]
    ]
    await ledger.record("s1", results)
    queries = Queries(create_engine(url))
    try:
        await queries.cancel("default", "j", CONSOLE)
    finally:
        await queries.close()
    late = result(claim.accounts[-1], AccountStatus.PLANNED)
    (job,) = (await ledger.record("s1", [late])).jobs
    assert (job.status, job.cancelled) == (JobStatus.CANCELLING, 981)
    due = Due()
    for _ in range(10):  # each sweep is bounded
        due = await ledger.due(10)
        if due.placed:
            break
    assert [one.id for one in due.placed] == ["j"]
    claim = await ledger.claim("s1", [Asked("j", due.placed[0].place)], Room(20), plan)
    assert [(a.index, a.find_only) for a in claim.accounts] == [(0, True), (1, True)]
    done = [
        result(claim.accounts[0], AccountStatus.CREATED),
        result(claim.accounts[1], AccountStatus.CANCELLED),
    ]
    (job,) = (await ledger.record("s1", done)).jobs
    assert (job.status, job.created, job.cancelled) == (JobStatus.CANCELLED, 1, 999)


async def test_only_the_failed_are_retried(ledger: Ledger, url: str) -> None:
    asked = await placed(ledger, NewJob("j", 2))
    one, two = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    await ledger.record(
        "s1", [result(one, AccountStatus.CREATED), result(two, AccountStatus.FAILED)]
    )
    queries = Queries(create_engine(url))
    try:
        await queries.retry("default", "j", CONSOLE)
    finally:
        await queries.close()
    (due,) = (await ledger.due(10)).placed
    (account,) = (await ledger.claim("s1", [Asked("j", due.place)], Room(10), plan)).accounts
    assert (account.index, account.tries_left) == (1, 4)


async def test_claims_at_once_never_share_an_account(ledger: Ledger) -> None:
    """Eight claimers, thirty jobs, each entry held by two of them."""
    jobs = [await placed(ledger, NewJob(f"j{n}", 40)) for n in range(30)]
    seen: list[tuple[str, int]] = []

    async def claimer(mine: list[Asked]) -> None:
        while mine:
            claim = await ledger.claim("s1", mine[:7], Room(100), plan)
            seen.extend(a.key for a in claim.accounts)
            done = [result(a, AccountStatus.CREATED) for a in claim.accounts]
            await ledger.record("s1", done)
            again = [
                Asked(r.id, r.back if r.verdict is Verdict.TAKEN else a.place)
                for a, r in zip(mine[:7], claim.rulings, strict=True)
                if r.back is not None or r.verdict in (Verdict.LOCKED, Verdict.OVER)
            ]
            mine = mine[7:] + again

    await asyncio.wait_for(
        asyncio.gather(*(claimer(jobs[n::4]) for n in range(4) for _ in range(2))), 60
    )
    assert sorted(seen) == sorted((f"j{n}", i) for n in range(30) for i in range(40))
    assert await ledger.fetch(10) == []


async def test_two_workers_record_the_same_jobs_at_once(ledger: Ledger) -> None:
    jobs = [await placed(ledger, NewJob(f"j{n}", 50)) for n in range(10)]
    accounts = (await ledger.claim("s1", jobs, Room(500), plan)).accounts
    results = [result(a, AccountStatus.CREATED) for a in accounts]
    flushes = [results[n::8] if n % 2 else list(reversed(results[n::8])) for n in range(8)]
    recorded = await asyncio.gather(*(ledger.record("s1", flush) for flush in flushes))
    assert sum(r.accepted for r in recorded) == 500
    final = [job for r in recorded for job in r.jobs if job.status == JobStatus.COMPLETED]
    assert sorted(job.id for job in final) == sorted(asked.id for asked in jobs)


async def test_a_directory_fills_only_its_share(ledger: Ledger, url: str) -> None:
    queries = Queries(create_engine(url))
    await queries.add_directory("default", "other", "simulated", "{}", NOBODY)
    await queries.close()
    jobs = [await placed(ledger, NewJob(f"slow{n}", 30)) for n in range(3)]
    jobs.append(await placed(ledger, NewJob("quick", 30, directory="other")))
    room = Room(100, share=50, held={("default", "local"): 10})
    claim = await ledger.claim("s1", jobs, room, plan)
    assert Counter(a.job_id for a in claim.accounts) == {"slow0": 30, "slow1": 10, "quick": 30}
    assert [r.verdict for r in claim.rulings] == [Verdict.TAKEN] * 4
    assert [r.back is not None for r in claim.rulings] == [False, True, True, False]


async def test_a_name_changes_only_under_the_lease(ledger: Ledger) -> None:
    asked = await placed(ledger, NewJob("j", 1))
    (account,) = (await ledger.claim("s1", [asked], Room(10), plan)).accounts
    other = Person("new", "new@x", "g", "f", "g f")
    assert await ledger.rename("s1", account, other)
    ((seen),) = await ledger.held("s1")
    assert seen.person == other
    assert not await ledger.rename("s1", replace(account, attempt=9), other)
    await ledger.record("s1", [result(account, AccountStatus.CREATED)])
    assert not await ledger.rename("s1", account, other)
    assert json.loads(await ledger.first_results("j", 9))[0]["username"] == "new"
