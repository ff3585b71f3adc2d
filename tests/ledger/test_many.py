"""Many jobs cancelled or tried again at once: which, in which order, and what is passed by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.errors import InvalidInput
from botrix.ledger import many
from botrix.ledger.engine import begin
from botrix.ledger.ledger import Asked, Room
from botrix.ledger.many import CAN_BE_CANCELLED, CAN_BE_RETRIED, Jobs, Which
from botrix.ledger.tables import accounts, jobs
from botrix.model import NewJob
from botrix.states import AccountStatus, JobStatus
from tests.ledger.test_control import TENANT, Bench, bench
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

__all__ = ["bench"]  # the fixture


@pytest_asyncio.fixture
async def of_mine(bench: Bench) -> AsyncIterator[Jobs]:
    return Jobs(bench.queries.engine, TENANT, CONSOLE)


async def accept(bench: Bench, *names: str, **more: Any) -> None:
    """One after another; so many seconds after 1970 as they are in the order."""
    for n, name in enumerate(names):
        await placed(bench.ledger, NewJob(name, 2, **more))
        await bench.set(name, created_at=float(n))


async def fail(bench: Bench, name: str, *reasons: str) -> None:
    """A job of as many accounts, each of which fails for one of the reasons."""
    asked = await placed(bench.ledger, NewJob(name, len(reasons)))
    claim = await bench.ledger.claim("s1", [asked], Room(99), plan)
    results = [
        result(account, AccountStatus.FAILED, reason=reason)
        for account, reason in zip(claim.accounts, reasons, strict=True)
    ]
    await bench.ledger.record("s1", results)


async def test_those_that_are_so_are_cancelled_and_no_others(bench: Bench, of_mine: Jobs) -> None:
    async with begin(bench.queries.engine) as db:
        await db.execute(sa.text("INSERT INTO tenants (id, created_at) VALUES ('t', 0)"))
    await accept(bench, "a", "b", "c")
    await placed(bench.ledger, NewJob("other", 1, directory="other"))
    await placed(bench.ledger, NewJob("foreign", 1, tenant_id="t"))
    await bench.set("b", status="running")
    done = await of_mine.cancel(Which(directory="local", created_after=1.0))
    assert (done.ids, done.next) == (["b", "c"], None)
    status = {name: (await bench.row(name))["status"] for name in ("a", "b", "other", "foreign")}
    assert status == dict.fromkeys(("a", "other", "foreign"), "pending") | {"b": "cancelled"}
    done = await of_mine.cancel(Which(status=JobStatus.PENDING, created_before=1.0))
    assert done.ids == ["a"]


async def test_a_limit_leaves_the_rest_to_the_next_call(bench: Bench, of_mine: Jobs) -> None:
    await accept(bench, "a", "b", "c", "d")
    done = await of_mine.cancel(Which(directory="local", limit=3))
    assert done.ids == ["a", "b", "c"]
    assert done.next is not None
    done = await of_mine.cancel(Which(directory="local", limit=3, cursor=done.next))
    assert (done.ids, done.next) == (["d"], None)


async def test_more_than_a_page_are_found(
    bench: Bench, of_mine: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "_PAGE", 2)
    await accept(bench, *"abcde")
    await bench.set("b", created_at=0.0)  # as old as another
    await bench.set("d", directory="other", created_at=0.5)  # of another kind, between them
    which = Which(created_after=0.0, created_before=5.0)
    assert await of_mine.count(which, CAN_BE_CANCELLED) == (5, None)
    done = await of_mine.cancel(which)
    assert (done.ids, done.next) == (list("abdce"), None)


async def test_a_call_ends_after_a_while(
    bench: Bench, of_mine: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never without having done something, or one could ask for ever."""
    await accept(bench, "a", "b")
    monkeypatch.setattr(many, "_WITHIN", -1.0)
    monkeypatch.setattr(many, "_PAGE", 1)
    n, following = await of_mine.count(Which(directory="local"), CAN_BE_CANCELLED)
    assert n == 1
    which = Which(directory="local", cursor=following)
    assert await of_mine.count(which, CAN_BE_CANCELLED) == (1, None)
    done = await of_mine.cancel(Which(directory="local"))
    assert done.ids == ["a"]
    done = await of_mine.cancel(Which(directory="local", cursor=done.next))
    assert (done.ids, done.next) == (["b"], None)


async def test_only_what_failed_for_the_reason_is_tried_again(bench: Bench, of_mine: Jobs) -> None:
    await fail(bench, "a", "timeout", "conflict", "timeout")
    await fail(bench, "b", "conflict")
    which = Which(reason="timeout")
    assert await of_mine.count(which, CAN_BE_RETRIED) == (1, None)
    done = await of_mine.retry(which)
    assert (done.ids, done.next) == (["a"], None)
    row = await bench.job("a")
    assert (row["status"], row["failed"], row["finished_at"]) == ("running", 1, None)
    (back,) = (await bench.ledger.due(10)).placed
    claim = await bench.ledger.claim("s1", [Asked("a", back.place)], Room(99), plan)
    assert sorted(account.index for account in claim.accounts) == [0, 2]
    created = [result(one, AccountStatus.CREATED) for one in claim.accounts]
    (job,) = (await bench.ledger.record("s1", created)).jobs
    assert (job.status, job.created, job.failed) == (JobStatus.FAILED, 2, 1)


async def test_what_cannot_be_tried_again_is_passed_by(bench: Bench, of_mine: Jobs) -> None:
    for name in ("a", "b", "c"):
        await fail(bench, name, "timeout")
    async with begin(bench.queries.engine) as db:
        await db.execute(sa.update(accounts).where(accounts.c.job_id == "a").values(sealed=None))
    done = await of_mine.retry(Which(status=JobStatus.FAILED, limit=1))
    assert done.ids == ["b"]
    done = await of_mine.retry(Which(status=JobStatus.FAILED, cursor=done.next))
    assert (done.ids, done.next) == (["c"], None)


async def test_the_same_key_gives_the_same_answer_and_does_nothing(
    bench: Bench, of_mine: Jobs
) -> None:
    await accept(bench, "a", "b")
    which = Which(directory="local", limit=1)
    first = await of_mine.cancel(which, "k", "mark")
    again = await of_mine.cancel(which, "k", "mark")
    assert (first.ids, again) == (["a"], first)
    assert (await bench.row("b"))["status"] == "pending"
    with pytest.raises(InvalidInput):
        await of_mine.cancel(which, "k", "another")
    with pytest.raises(InvalidInput):
        await of_mine.retry(which, "k", "mark")


async def test_what_was_cut_short_is_gone_on_with(bench: Bench, of_mine: Jobs) -> None:
    """The API died before it had answered."""
    await accept(bench, "a", "b")

    async def dies(*_: object) -> object:
        raise RuntimeError("killed")

    which = Which(directory="local")
    with pytest.raises(RuntimeError):
        await of_mine._once(which, CAN_BE_CANCELLED, dies, "k", "cancel:mark")
    done = await of_mine.cancel(which, "k", "mark")
    assert done.ids == ["a", "b"]
    assert (await of_mine.cancel(which, "k", "mark")).ids == ["a", "b"]


async def test_what_names_no_jobs_is_refused(bench: Bench, of_mine: Jobs) -> None:
    await accept(bench, "a")
    for which in (Which(), Which(limit=5), Which(status=JobStatus.COMPLETED)):
        with pytest.raises(InvalidInput):
            await of_mine.cancel(which)
    with pytest.raises(InvalidInput):
        await of_mine.retry(Which(status=JobStatus.RUNNING))
    for cursor in ("x", "1.0", "nan~a", "~"):
        with pytest.raises(InvalidInput, match="cursor"):
            await of_mine.cancel(Which(directory="local", cursor=cursor))
    assert (await bench.row("a"))["status"] == "pending"


async def test_a_roster_that_is_still_read_is_nobodys_job(bench: Bench, of_mine: Jobs) -> None:
    await accept(bench, "a")
    await bench.set("a", importing=True, place=None)
    assert (await of_mine.cancel(Which(directory="local"))).ids == []
    async with begin(bench.queries.engine) as db:
        assert (await db.execute(sa.select(jobs.c.status))).scalar_one() == "pending"
