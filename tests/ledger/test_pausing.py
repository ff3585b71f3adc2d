"""A directory that somebody paused is left alone until somebody resumes it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.ledger.engine import begin, create_engine
from botrix.ledger.governing import used
from botrix.ledger.ledger import Ledger, Room
from botrix.ledger.pausing import Pausing
from botrix.ledger.tables import throttles
from botrix.states import DirectoryStatus
from tests.ledger.test_governing import DAY, KEY, ledger, paused, plan, report, submitted
from tests.servers.keys import CONSOLE

__all__ = ["ledger"]  # the fixture


@pytest_asyncio.fixture
async def pausing(url: str) -> AsyncIterator[Pausing]:
    made = Pausing(create_engine(url))
    yield made
    await made._engine.dispose()


async def status(ledger: Ledger) -> DirectoryStatus:
    standing = await ledger.standing(*KEY)
    assert standing is not None
    return standing.governed.mood.status


async def test_its_jobs_are_held_and_go_on_at_once(ledger: Ledger, pausing: Pausing) -> None:
    """Also where it was never used."""
    asked = await submitted(ledger, "a", "b")
    await pausing.pause(*KEY, "moving house", CONSOLE)
    claim = await ledger.claim("s1", asked, Room(99), plan)
    assert (claim.accounts, [one.back for one in claim.rulings]) == ([], [None] * 2)
    use = used(await ledger.standing(*KEY))
    assert (use.status, use.by, use.reason) == ("paused", "test", "moving house")
    assert (use.next_probe_in, use.limit) == (None, 0)
    assert await pausing.resume(*KEY, CONSOLE) == DirectoryStatus.WORKING
    await ledger.release(10)
    assert sorted(one.id for one in (await ledger.due(10)).placed) == ["a", "b"]
    use = used(await ledger.standing(*KEY))
    assert (use.status, use.by, use.reason) == ("working", "", "")


async def test_nothing_but_a_resume_ends_it(ledger: Ledger, pausing: Pausing) -> None:
    """Neither calls that go well, nor a probe that was under way, nor the end of patience."""
    await paused(ledger)
    await pausing.pause(*KEY, "", CONSOLE)
    assert await ledger.due_probe() is None
    for problem in ("", "HTTP 401 still"):
        await ledger.probed(*KEY, problem, 0.0)
        assert await status(ledger) is DirectoryStatus.PAUSED
    (told,) = await ledger.govern("s1", [report(done=50)])
    assert (told.status, told.share, told.limit) == (DirectoryStatus.PAUSED, 0, 0)
    (told,) = await ledger.govern("s2", [report(fatal="credentials refused: HTTP 401")])
    assert (told.status, told.reason) == (DirectoryStatus.PAUSED, "by test")


async def test_one_that_was_failing_is_tried_with_care(ledger: Ledger, pausing: Pausing) -> None:
    await paused(ledger)
    await pausing.pause(*KEY, "", CONSOLE)
    assert await pausing.resume(*KEY, CONSOLE) == DirectoryStatus.TRYING
    (told,) = await ledger.govern("s1", [report(failed=1, problem="HTTP 500")])
    assert told.status is DirectoryStatus.PAUSED
    assert used(await ledger.standing(*KEY)).next_probe_in is not None  # the breaker's own again
    assert await pausing.resume(*KEY, CONSOLE) == DirectoryStatus.TRYING
    (told,) = await ledger.govern("s1", [report(done=1)])
    assert told.status is DirectoryStatus.WORKING


async def test_the_limit_that_was_found_is_kept(ledger: Ledger, pausing: Pausing) -> None:
    before = (await ledger.govern("s1", [report()]))[0].limit
    await pausing.pause(*KEY, "", CONSOLE)
    await pausing.resume(*KEY, CONSOLE)
    assert (await ledger.govern("s1", [report()]))[0].limit == before


async def test_what_cannot_be_paused_or_resumed_is_refused(
    ledger: Ledger, pausing: Pausing
) -> None:
    for tenant, name in (("default", "nowhere"), ("another", "local")):
        with pytest.raises(NotFound):
            await pausing.pause(tenant, name, "", CONSOLE)
    with pytest.raises(Conflict, match="working, so there is nothing to resume"):
        await pausing.resume(*KEY, CONSOLE)


async def test_a_key_pauses_a_directory_once(ledger: Ledger, pausing: Pausing) -> None:
    await pausing.pause(*KEY, "why", CONSOLE, "k")
    await pausing.resume(*KEY, CONSOLE)
    await pausing.pause(*KEY, "why", CONSOLE, "k")
    assert await status(ledger) is DirectoryStatus.WORKING
    with pytest.raises(InvalidInput):
        await pausing.pause(*KEY, "another reason", CONSOLE, "k")


async def test_what_is_leased_of_it_is_counted(ledger: Ledger, pausing: Pausing) -> None:
    (asked,) = await submitted(ledger, "a")
    await ledger.claim("s1", [asked], Room(99), plan)
    assert await pausing.leased(*KEY) == 3
    assert await pausing.leased("default", "other") == 0
    await ledger.end_session("s1")
    await ledger.free(10)
    assert await pausing.leased(*KEY) == 0


async def test_a_worker_of_an_earlier_release_does_not_end_it(
    ledger: Ledger, pausing: Pausing
) -> None:
    """It writes the state without what it does not know."""
    await pausing.pause(*KEY, "", CONSOLE)
    async with begin(pausing._engine) as db:
        state = msgspec.json.decode((await db.execute(sa.select(throttles.c.state))).scalar_one())
        del state["mood"]["by"]
        await db.execute(sa.update(throttles).values(state=msgspec.json.encode(state).decode()))
    await ledger.probed(*KEY, "", DAY)
    use = used(await ledger.standing(*KEY))
    assert (use.status, use.by, use.next_probe_in) == ("paused", "somebody", None)
