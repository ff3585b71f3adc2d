"""What one tenant may hold, and who waits: as both ledgers tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
import sqlalchemy as sa

from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Asked, Ledger, Placed, Room, Submission
from botrix.ledger.tables import tenants
from botrix.model import Lane, NewJob, Person, PlannedAccount
from botrix.services import open_ledger


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    opened = open_ledger(url)
    await opened.open_session("s", "w", "host", 1, "0")
    yield opened
    await opened.close()


def plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
    person = Person(job, "e", "g", "f", "d")
    return [PlannedAccount(job, i, person, b"sealed") for i in indexes]


async def enter(url: str, *names: str) -> None:
    """Tenants, beside the one there is."""
    engine = create_engine(url)
    async with engine.begin() as db:
        await db.execute(sa.insert(tenants), [{"id": name, "created_at": 0} for name in names])
    await engine.dispose()


async def submit(
    ledger: Ledger, tenant: str, *names: str, lane: Lane = Lane.NORMAL
) -> list[Placed]:
    """Each of five accounts; every other one in a directory of its own."""
    jobs = [
        NewJob(name, 5, tenant_id=tenant, lane=lane, directory=f"d{n % 2}")
        for n, name in enumerate(names)
    ]
    done = await ledger.submit([Submission(job) for job in jobs])
    return [Placed(one.job_id, one.place or 0, lane) for one in done]


async def test_the_first_of_each_lane_of_each_tenant_wait(ledger: Ledger, url: str) -> None:
    await enter(url, "a", "b", "c")
    low = await submit(ledger, "a", "a1", "a2", "a3", lane=Lane.LOW)
    normal = await submit(ledger, "a", "a4")
    b = await submit(ledger, "b", "b1", "b2")
    high = await submit(ledger, "a", "a5", "a6", "a7", lane=Lane.HIGH)
    c = await submit(ledger, "c", "c1")
    assert await ledger.waiting("", 9, 2) == {"a": high[:2] + normal + low[:2], "b": b, "c": c}
    assert list(await ledger.waiting("", 2, 1)) == ["a", "b"]
    assert await ledger.waiting("a", 9, 1) == {"b": b[:1], "c": c}
    assert await ledger.waiting("c", 9, 1) == {}


async def test_who_has_nothing_to_claim_does_not_wait(ledger: Ledger, url: str) -> None:
    await enter(url, "a")
    (one,) = await submit(ledger, "a", "a1")
    await ledger.claim("s", [Asked(one.id, one.place)], Room(9), plan)
    assert await ledger.waiting("", 9, 9) == {}


async def test_several_tenants_are_two(ledger: Ledger, url: str) -> None:
    assert not await ledger.several_tenants()
    await enter(url, "a")
    assert await ledger.several_tenants()


async def test_a_tenant_leaves_room_to_others_whatever_its_directories(
    ledger: Ledger, url: str
) -> None:
    """It holds 3 of 12 already; 9 is its share."""
    await enter(url, "a", "b")
    a = await submit(ledger, "a", "a1", "a2", "a3")
    b = await submit(ledger, "b", "b1")
    asked = [Asked(one.id, one.place) for one in a + b]
    room = Room(12, 99, {("a", "x"): 3, ("b", "x"): 0}, tenant_share=9)
    claim = await ledger.claim("s", asked, room, plan)
    got = [account.job_id for account in claim.accounts]
    assert {job: got.count(job) for job in got} == {"a1": 5, "a2": 1, "b1": 5}
    assert [one.back is not None for one in claim.rulings] == [False, True, True, False]
