"""How workers share what a directory bears, and how its jobs wait while it is paused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from botrix.breaker import Window
from botrix.ledger.engine import create_engine
from botrix.ledger.governing import Report
from botrix.ledger.ledger import Asked, Ledger, Room, Submission
from botrix.ledger.queries import Queries
from botrix.model import NewJob
from botrix.services import open_ledger
from botrix.states import DirectoryStatus
from botrix.throttle import Observed
from tests.ledger.test_verbs import plan

KEY = ("default", "local")
SESSIONS = ("s1", "s2", "s3")
DAY = 86_400.0


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    opened = open_ledger(url)
    for session in SESSIONS:
        await opened.open_session(session, session, "host", 1, "0")
    yield opened
    await opened.close()


def report(demand: int = 100, most: int = 64, **window: object) -> Report:
    return Report(*KEY, demand, most, Observed(), Window(**window))  # type: ignore[arg-type]


async def paused(ledger: Ledger) -> None:
    (told,) = await ledger.govern("s1", [report(fatal="credentials refused: HTTP 401")])
    assert (told.status, told.share, told.limit) == (DirectoryStatus.PAUSED, 0, 0)
    assert "401" in told.reason


async def submitted(ledger: Ledger, *names: str) -> list[Asked]:
    done = await ledger.submit([Submission(NewJob(name, 3)) for name in names])
    return [Asked(one.job_id, one.place) for one in done]


async def test_shares_never_add_up_to_more_than_the_limit(ledger: Ledger) -> None:
    shares = dict.fromkeys(SESSIONS, 0)
    for session in SESSIONS * 4:
        (told,) = await ledger.govern(session, [report()])
        shares[session] = told.share
        assert sum(shares.values()) <= told.limit == 2
    assert sum(shares.values()) == 2


async def test_who_wants_nothing_leaves_it_to_others(ledger: Ledger) -> None:
    (all_of_it,) = await ledger.govern("s1", [report()])
    (nothing_yet,) = await ledger.govern("s2", [report()])
    await ledger.govern("s1", [report(demand=0)])
    (now,) = await ledger.govern("s2", [report()])
    assert (all_of_it.share, nothing_yet.share, now.share) == (2, 0, 2)


async def test_the_share_of_an_ended_session_is_free_at_once(ledger: Ledger) -> None:
    await ledger.govern("s1", [report()])
    await ledger.end_session("s1")
    (told,) = await ledger.govern("s2", [report()])
    assert told.share == 2


async def test_what_is_refused_pauses_the_directory_and_no_other(ledger: Ledger) -> None:
    other = Report("default", "other", 5, 9, Observed(), Window())
    told = await ledger.govern("s1", [report(fatal="TLS failure: expired"), other])
    assert [one.status for one in told] == [DirectoryStatus.PAUSED, DirectoryStatus.WORKING]
    (same,) = await ledger.govern("s2", [report()])
    assert (same.status, same.reason) == (DirectoryStatus.PAUSED, "TLS failure: expired")


async def test_a_job_of_a_paused_directory_is_held_and_goes_on(ledger: Ledger) -> None:
    asked = await submitted(ledger, "a", "b", "c")
    await paused(ledger)
    claim = await ledger.claim("s1", asked, Room(99), plan)
    assert (claim.accounts, [one.back for one in claim.rulings]) == ([], [None] * 3)
    assert not await ledger.release(10)
    assert (await ledger.due(10)).placed == []
    assert await ledger.fetch(10) == []

    await ledger.probed(*KEY, "", DAY)
    assert not await ledger.release(10)
    assert [one.id for one in (await ledger.due(10)).placed] == ["a"]  # on trial
    (told,) = await ledger.govern("s1", [report(done=1)])
    assert told.status is DirectoryStatus.WORKING
    assert await ledger.release(1)
    assert not await ledger.release(10)
    placed = (await ledger.due(10)).placed
    assert sorted(one.id for one in placed) == ["b", "c"]
    claim = await ledger.claim("s1", [Asked(p.id, p.place) for p in placed], Room(99), plan)
    assert len(claim.accounts) == 6
    assert {account.attempt for account in claim.accounts} == {1}


async def test_the_history_of_a_held_job_tells_it_once(ledger: Ledger, url: str) -> None:
    (asked,) = await submitted(ledger, "a")
    await paused(ledger)
    await ledger.claim("s1", [asked], Room(99), plan)
    await ledger.claim("s1", [asked], Room(99), plan)
    await ledger.probed(*KEY, "", DAY)
    while not (await ledger.due(10)).placed:
        await ledger.release(10)
    queries = Queries(create_engine(url))
    try:
        told = await queries.history("default", "a", None, 0, 10)
    finally:
        await queries.close()
    assert [row["what"] for row in told] == ["held", "goes on"]


async def test_one_worker_probes_at_a_time(ledger: Ledger) -> None:
    await paused(ledger)
    assert await ledger.due_probe() is None  # not before a second has passed
    await ledger.probed(*KEY, "HTTP 401 still", 0.0)
    standing = await ledger.standing(*KEY)
    assert standing is not None
    assert standing.governed.mood.status is DirectoryStatus.GIVEN_UP  # its patience is over
    assert standing.governed.mood.reason == "HTTP 401 still"


async def test_of_what_was_never_used_nothing_is_known(ledger: Ledger) -> None:
    assert await ledger.standing(*KEY) is None
    assert await ledger.due_probe() is None
    await ledger.probed(*KEY, "x", DAY)
    assert not await ledger.release(10)


async def test_others_are_told_how_long_to_wait(ledger: Ledger) -> None:
    await ledger.govern("s1", [report(after=30.0)])
    (told,) = await ledger.govern("s2", [report()])
    assert 28 < told.wait <= 30
