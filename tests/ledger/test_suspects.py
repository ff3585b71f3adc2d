"""Accounts whose session was lost time and again: claimed alone, then set aside."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from botrix.errors import SessionLost
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Asked, Ledger, Room, Submission
from botrix.ledger.queries import Queries
from botrix.model import NewJob
from botrix.services import open_ledger
from botrix.states import AccountStatus, JobStatus
from tests.ledger.test_verbs import plan, result
from tests.servers.keys import CONSOLE


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    opened = open_ledger(url)
    yield opened
    await opened.close()


async def _lose(ledger: Ledger, session: str, job: str) -> None:
    """A session takes what it can of the job, and dies."""
    await ledger.open_session(session, "w", "host", 1, "0")
    places = await ledger.places([job])
    if places[job] is not None:
        await ledger.claim(session, [Asked(job, places[job])], Room(10), plan)
    await ledger.mark_lost(session, None)
    await ledger.free(100)


async def _twice_lost(ledger: Ledger, count: int) -> None:
    await ledger.submit([Submission(NewJob("j", count))])
    for session in ("s1", "s2"):
        await _lose(ledger, session, "j")
    await ledger.open_session("s3", "w", "host", 1, "0")


async def test_who_was_lost_twice_is_claimed_alone(ledger: Ledger) -> None:
    await _twice_lost(ledger, 2)
    places = await ledger.places(["j"])
    claim = await ledger.claim("s3", [Asked("j", places["j"])], Room(10), plan)
    assert (claim.accounts, claim.rulings[0].back) == ([], None)
    assert await ledger.suspects()
    one = await ledger.claim_suspect("s3")
    assert one is not None
    assert (one.index, one.attempt, one.find_first) == (0, 3, True)
    assert await ledger.claim_suspect("s3") is None  # it holds one already
    await ledger.record("s3", [result(one, AccountStatus.CREATED)])
    two = await ledger.claim_suspect("s3")
    assert two is not None
    (job,) = (await ledger.record("s3", [result(two, AccountStatus.CREATED)])).jobs
    assert (job.status, job.created) == (JobStatus.COMPLETED, 2)
    assert not await ledger.suspects()


async def test_the_third_loss_sets_it_aside_and_spares_its_neighbour(
    ledger: Ledger, url: str
) -> None:
    await _twice_lost(ledger, 2)
    assert await ledger.claim_suspect("s3")
    await ledger.mark_lost("s3", None)
    freed = await ledger.free(100)
    assert [(job.status, job.failed) for job in freed.jobs] == [(JobStatus.RUNNING, 1)]
    await ledger.open_session("s4", "w", "host", 1, "0")
    other = await ledger.claim_suspect("s4")
    assert other is not None
    assert other.index == 1
    (job,) = (await ledger.record("s4", [result(other, AccountStatus.CREATED)])).jobs
    assert (job.status, job.created, job.failed) == (JobStatus.FAILED, 1, 1)
    queries = Queries(create_engine(url))
    try:
        account = await queries.account("default", "j", 0)
        assert (account["status"], account["reason"], account["tries"]) == ("failed", "poison", 0)
        await queries.retry("default", "j", CONSOLE)
    finally:
        await queries.close()
    (due,) = (await ledger.due(10)).placed  # a retry forgets the crashes as well
    claim = await ledger.claim("s4", [Asked("j", due.place)], Room(10), plan)
    assert [(a.index, a.find_first) for a in claim.accounts] == [(0, True)]


async def test_the_last_of_a_job_set_aside_ends_it(ledger: Ledger) -> None:
    await _twice_lost(ledger, 1)
    assert await ledger.claim_suspect("s3")
    await ledger.mark_lost("s3", None)
    (job,) = (await ledger.free(100)).jobs
    assert (job.status, job.failed) == (JobStatus.FAILED, 1)
    assert (await ledger.free(100)).jobs == []


async def test_a_session_that_ends_in_order_convicts_nobody(ledger: Ledger) -> None:
    await _twice_lost(ledger, 1)
    assert await ledger.claim_suspect("s3")
    await ledger.end_session("s3")
    assert (await ledger.free(100)).jobs == []
    await ledger.open_session("s4", "w", "host", 1, "0")
    assert await ledger.claim_suspect("s4")


async def test_a_lost_session_claims_no_suspect(ledger: Ledger) -> None:
    await _twice_lost(ledger, 1)
    await ledger.mark_lost("s3", None)
    with pytest.raises(SessionLost):
        await ledger.claim_suspect("s3")


async def test_a_cancelled_suspect_is_only_looked_for(ledger: Ledger, url: str) -> None:
    await _twice_lost(ledger, 1)
    queries = Queries(create_engine(url))
    try:
        await queries.cancel("default", "j", CONSOLE)
    finally:
        await queries.close()
    for _ in range(3):
        await ledger.due(10)
    one = await ledger.claim_suspect("s3")
    assert one is not None
    assert one.find_only
    (job,) = (await ledger.record("s3", [result(one, AccountStatus.PLANNED)])).jobs
    assert (job.status, job.cancelled) == (JobStatus.CANCELLED, 1)
