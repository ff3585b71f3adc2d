"""What people decide about jobs: they wait, go on, and can be cancelled all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.ledger.control import Control
from botrix.ledger.engine import begin, create_engine
from botrix.ledger.ledger import Asked, Ledger, Room
from botrix.ledger.queries import Queries
from botrix.ledger.tables import jobs
from botrix.model import NewJob
from botrix.services import open_ledger
from botrix.states import AccountStatus, Happening, JobStatus, Stage, Waits
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

TENANT = "default"


class Bench:
    """A ledger with what is done to it by workers and by people."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self.ledger = ledger
        self.queries = Queries(create_engine(url))
        self.control = Control(self.queries.engine)

    async def job(self, job_id: str = "j") -> dict[str, Any]:
        return await self.queries.job(TENANT, job_id)

    async def row(self, job_id: str = "j") -> dict[str, Any]:
        async with begin(self.queries.engine) as db:
            query = sa.select(jobs).where(jobs.c.id == job_id)
            return dict((await db.execute(query)).mappings().one())

    async def set(self, job_id: str = "j", **values: Any) -> None:
        async with begin(self.queries.engine) as db:
            await db.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))

    async def waits(self, why: Waits, **more: Any) -> None:
        """As workers let a job wait."""
        await self.set(paused=True, waits=why.value, place=None, due_at=None, **more)

    async def told(self, job_id: str = "j") -> list[str]:
        return [row["what"] for row in await self.queries.history(TENANT, job_id, None, 0, 100)]


@pytest_asyncio.fixture
async def bench(url: str) -> AsyncIterator[Bench]:
    ledger = open_ledger(url)
    await ledger.open_session("s1", "w", "host", 1, "0")
    made = Bench(ledger, url)
    yield made
    await made.queries.close()
    await ledger.close()


async def test_who_is_paused_or_cancelled_takes_nothing_more(bench: Bench) -> None:
    jobs = ["goes on", "paused", "cancelling", "done", "waits"]
    for job in jobs:
        asked = await placed(bench.ledger, NewJob(job, 2))
        await bench.ledger.claim("s1", [asked], Room(1), plan)
    await bench.control.pause(TENANT, "paused", CONSOLE)
    await bench.queries.cancel(TENANT, "cancelling", CONSOLE)
    await bench.set("done", status="completed", created=2, place=None, due_at=None, finished_at=1.0)
    await bench.set("waits", paused=True, waits=Waits.FAILURES.value, place=None, due_at=None)
    assert await bench.ledger.halted({*jobs, "none"}) == {"paused", "cancelling", "waits"}
    assert await bench.ledger.halted(["goes on"]) == set()


async def test_a_paused_job_gives_nothing_and_finishes_what_is_under_way(bench: Bench) -> None:
    asked = await placed(bench.ledger, NewJob("j", 5))
    claim = await bench.ledger.claim("s1", [asked], Room(2), plan)
    (ruling,) = claim.rulings
    shown = await bench.control.pause(TENANT, "j", CONSOLE)
    assert (shown["waits"], shown["paused"], shown["status"]) == ("paused", True, "running")
    row = await bench.row()
    assert (row["place"], row["due_at"]) == (None, None)
    again = await bench.ledger.claim("s1", [Asked("j", ruling.back)], Room(9), plan)
    assert again.accounts == []
    retried = result(claim.accounts[1], AccountStatus.PLANNED, delay=0.0)
    recorded = await bench.ledger.record(
        "s1", [result(claim.accounts[0], AccountStatus.CREATED), retried]
    )
    assert recorded.accepted == 2
    assert (await bench.ledger.due(10)).placed == []

    shown = await bench.control.resume(TENANT, "j", CONSOLE)
    assert (shown["waits"], shown["paused"]) == (None, False)
    (back,) = (await bench.ledger.due(10)).placed
    rest = await bench.ledger.claim("s1", [Asked("j", back.place)], Room(9), plan)
    assert len(rest.accounts) == 4
    assert (await bench.told())[:1] == [Happening.PAUSED]
    assert Happening.RESUMED in await bench.told()


async def test_a_paused_job_can_be_cancelled_and_ends(bench: Bench) -> None:
    asked = await placed(bench.ledger, NewJob("j", 3))
    claim = await bench.ledger.claim("s1", [asked], Room(2), plan)
    handed_back = [result(one, AccountStatus.PLANNED, counted=False) for one in claim.accounts]
    await bench.ledger.record("s1", handed_back)
    await bench.control.pause(TENANT, "j", CONSOLE)
    shown = await bench.queries.cancel(TENANT, "j", CONSOLE)
    assert (shown["status"], shown["waits"]) == ("cancelling", None)
    swept = (await bench.ledger.due(10)).jobs
    assert [(one.status, one.cancelled) for one in swept] == [(JobStatus.CANCELLED, 3)]


@pytest.mark.parametrize("why", list(Waits))
async def test_whatever_a_job_waits_for_it_can_be_cancelled(bench: Bench, why: Waits) -> None:
    """Also where an account of it is in doubt: it is looked for, and the job ends."""
    asked = await placed(bench.ledger, NewJob("j", 2))
    claim = await bench.ledger.claim("s1", [asked], Room(1), plan)
    await bench.ledger.record("s1", [result(claim.accounts[0], AccountStatus.UNSURE)])
    await bench.waits(why)
    await bench.queries.cancel(TENANT, "j", CONSOLE)
    (back,) = (await bench.ledger.due(10)).placed
    claim = await bench.ledger.claim("s1", [Asked("j", back.place)], Room(9), plan)
    assert [one.find_only for one in claim.accounts] == [True]
    recorded = await bench.ledger.record("s1", [result(claim.accounts[0], AccountStatus.CANCELLED)])
    assert [job.status for job in recorded.jobs] == [JobStatus.CANCELLED]


async def test_a_job_ends_that_an_earlier_release_cancelled_and_left_paused(bench: Bench) -> None:
    asked = await placed(bench.ledger, NewJob("j", 2))
    claim = await bench.ledger.claim("s1", [asked], Room(2), plan)
    ends = (AccountStatus.UNSURE, AccountStatus.PLANNED)
    results = [result(one, end) for one, end in zip(claim.accounts, ends, strict=True)]
    await bench.ledger.record("s1", results)
    await bench.control.pause(TENANT, "j", CONSOLE)
    await bench.set(status="cancelling", due_at=0)
    due = await bench.ledger.due(10)
    assert [job.cancelled for job in due.jobs] == [1]
    assert [one.id for one in due.placed or (await bench.ledger.due(10)).placed] == ["j"]


async def test_a_job_that_is_scheduled_stays_so_when_it_goes_on(bench: Bench) -> None:
    await placed(bench.ledger, NewJob("j", 1))
    await bench.set(not_before=4e9, place=None, due_at=4e9)
    await bench.control.pause(TENANT, "j", CONSOLE)
    await bench.control.resume(TENANT, "j", CONSOLE)
    assert (await bench.row())["due_at"] == 4e9


async def test_what_a_job_does_not_wait_for_is_refused_with_the_verb_to_use(bench: Bench) -> None:
    await placed(bench.ledger, NewJob("j", 1))
    control = bench.control
    verbs = {
        "pause": control.pause,
        "resume": control.resume,
        "approve": control.approve,
        "release": control.release,
    }
    ends = {
        Waits.PLAN: "apply",
        Waits.CANARY: "approve",
        Waits.FAILURES: "release",
        Waits.PAUSED: "resume",
    }
    for verb in ("resume", "approve", "release"):
        with pytest.raises(Conflict, match=f"nothing to {verb}"):
            await verbs[verb](TENANT, "j", CONSOLE)
    for why, right in ends.items():
        await bench.waits(why, max_failures=1)
        for verb, ask in verbs.items():
            if verb != right:
                with pytest.raises(Conflict, match=f"botrix {right} j"):
                    await ask(TENANT, "j", CONSOLE)
    assert await bench.told() == []
    for status in ("cancelling", "completed"):
        await bench.set(status="running", created=0, paused=False, waits=None)
        await bench.set(status=status, created=1 if status == "completed" else 0, next_index=1)
        for verb, ask in verbs.items():
            with pytest.raises(Conflict, match=f"is {status}; only an open job can be {verb}"):
                await ask(TENANT, "j", CONSOLE)
    with pytest.raises(NotFound):
        await control.pause("another", "j", CONSOLE)


async def test_a_key_pauses_once(bench: Bench) -> None:
    await placed(bench.ledger, NewJob("j", 1))
    await bench.control.pause(TENANT, "j", CONSOLE, "k")
    await bench.control.resume(TENANT, "j", CONSOLE)
    shown = await bench.control.pause(TENANT, "j", CONSOLE, "k")
    assert shown["waits"] is None
    with pytest.raises(InvalidInput):
        await bench.control.resume(TENANT, "j", CONSOLE, "k")


async def test_who_approves_opens_the_rest(bench: Bench) -> None:
    await placed(bench.ledger, NewJob("j", 4))
    await bench.waits(Waits.CANARY, reach=2)
    await bench.control.approve(TENANT, "j", CONSOLE)
    row = await bench.row()
    assert (row["reach"], row["waits"], row["paused"]) == (None, None, False)
    assert [one.id for one in (await bench.ledger.due(10)).placed] == ["j"]
    assert await bench.told() == [Happening.APPROVED]


async def test_each_release_lets_as_many_fail_again(bench: Bench) -> None:
    """The budget is what was first allowed, whatever failed meanwhile."""
    await placed(bench.ledger, NewJob("j", 99))
    await bench.set(status="running", next_index=99)
    for failed, allowed in ((7, 12), (20, 25), (26, 31)):
        more = {} if failed > 7 else {"max_failures": 5}
        await bench.waits(Waits.FAILURES, failed=failed, **more)
        shown = await bench.control.release(TENANT, "j", CONSOLE)
        assert (shown["max_failures"], shown["waits"]) == (allowed, None)
    assert await bench.told() == [Happening.LET_ON] * 3


async def test_a_canary_that_was_done_while_paused_waits_for_approval(bench: Bench) -> None:
    """Nothing is left to be recorded, and so nobody else would see it."""
    asked = await placed(bench.ledger, NewJob("j", 4, reach=2))
    claim = await bench.ledger.claim("s1", [asked], Room(9), plan)
    assert len(claim.accounts) == 2
    await bench.control.pause(TENANT, "j", CONSOLE)
    created = [result(one, AccountStatus.CREATED, guarded=True) for one in claim.accounts]
    await bench.ledger.record("s1", created)
    shown = await bench.control.resume(TENANT, "j", CONSOLE)
    assert shown["waits"] == Waits.CANARY
    await bench.control.approve(TENANT, "j", CONSOLE)
    (back,) = (await bench.ledger.due(10)).placed
    claim = await bench.ledger.claim("s1", [Asked("j", back.place)], Room(9), plan)
    assert len(claim.accounts) == 2


async def test_a_plan_that_was_done_while_paused_waits_to_be_applied(bench: Bench) -> None:
    await placed(bench.ledger, NewJob("j", 2, stage=Stage.PLAN))
    await bench.control.pause(TENANT, "j", CONSOLE)
    await bench.set(next_index=2, to_create=2)
    shown = await bench.control.resume(TENANT, "j", CONSOLE)
    assert shown["waits"] == Waits.PLAN
    assert (await bench.ledger.due(10)).placed == []


async def test_after_a_release_the_canary_is_still_to_be_approved(bench: Bench) -> None:
    asked = await placed(bench.ledger, NewJob("j", 4, reach=2, max_failures=1))
    claim = await bench.ledger.claim("s1", [asked], Room(9), plan)
    failed = [result(one, AccountStatus.FAILED, guarded=True) for one in claim.accounts]
    await bench.ledger.record("s1", failed)
    assert (await bench.job())["waits"] == Waits.FAILURES
    shown = await bench.control.release(TENANT, "j", CONSOLE)
    assert (shown["waits"], shown["max_failures"]) == (Waits.CANARY, 3)
    await bench.control.approve(TENANT, "j", CONSOLE)
    assert [one.id for one in (await bench.ledger.due(10)).placed] == ["j"]


async def test_the_end_of_a_pause_is_in_the_audit_record(bench: Bench) -> None:
    await placed(bench.ledger, NewJob("j", 1))
    await bench.control.pause(TENANT, "j", CONSOLE)
    await bench.control.resume(TENANT, "j", CONSOLE)
    async with begin(bench.queries.engine) as db:
        query = sa.text("SELECT what, object, who FROM audit ORDER BY n DESC LIMIT 2")
        lines = [tuple(row) for row in await db.execute(query)]
    assert lines == [("job.resume", "j", "test"), ("job.pause", "j", "test")]


async def test_a_paused_job_that_failed_is_open_again_after_a_retry(bench: Bench) -> None:
    asked = await placed(bench.ledger, NewJob("j", 1))
    claim = await bench.ledger.claim("s1", [asked], Room(1), plan)
    await bench.control.pause(TENANT, "j", CONSOLE)
    await bench.ledger.record("s1", [result(claim.accounts[0], AccountStatus.FAILED)])
    await bench.queries.retry(TENANT, "j", CONSOLE)
    assert [one.id for one in (await bench.ledger.due(10)).placed] == ["j"]
