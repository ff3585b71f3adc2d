"""Jobs that enter PostgreSQL by one statement: their lines in the audit record are as hashed by
Python, whoever enters some at the same time; who has quotas is held to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio

from botrix.audit import Act, Actor, Line, around
from botrix.ledger.audit import verify
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Submission
from botrix.ledger.postgres import PostgresLedger
from botrix.ledger.postgres_entering import WRITTEN
from botrix.ledger.tenants import Tenants
from botrix.model import NewJob
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.suite("PostgreSQL")
_ODD = 'a\tb\x01\x1f"\\/\x7f\u2028é\U0001f600'
_ACTOR = Actor(_ODD, "::1")


@dataclass
class Two:
    """Ledgers of one database, as two APIs have them."""

    url: str
    one: PostgresLedger
    other: PostgresLedger

    async def found(self, sql: str) -> list[asyncpg.Record]:
        db = await asyncpg.connect(self.url)
        try:
            return list(await db.fetch(sql))
        finally:
            await db.close()

    async def chain(self, tenant: str) -> tuple[int, str | None]:
        """How many lines it has, and what is wrong with them."""
        engine = create_engine(self.url)
        try:
            verdict = await verify(engine, tenant)
        finally:
            await engine.dispose()
        return verdict.n, verdict.problem


@pytest_asyncio.fixture
async def two(postgres_server: PostgresServer) -> AsyncIterator[Two]:
    url = await postgres_server.database()
    made = Two(url, PostgresLedger(url), PostgresLedger(url))
    engine = create_engine(url)
    await Tenants(engine).create("acme", {}, _ACTOR)
    await engine.dispose()
    yield made
    await made.one.close()
    await made.other.close()


def _submission(name: str, tenant: str = "default") -> Submission:
    return Submission(NewJob(name, 1, directory=_ODD, tenant_id=tenant), actor=_ACTOR)


async def test_jobs_of_several_tenants_enter_in_their_order(two: Two) -> None:
    mixed = [_submission(f"j{n}", ("default", "acme")[n % 3 == 0]) for n in range(20)]
    done = await two.one.submit(mixed)
    assert [one.job_id for one in done] == [one.job.id for one in mixed]
    places = [one.place for one in done]
    assert None not in places
    assert places == sorted(places, key=lambda place: place or 0)
    assert await two.chain("default") == (13, None)
    assert await two.chain("acme") == (8, None)  # the first is that it was made
    told = await two.found(
        "SELECT object, j.created_at, a.at, a.detail, a.who, a.address, j.place FROM audit a"
        " JOIN jobs j ON j.id = object WHERE what = 'job.submit' ORDER BY a.tenant_id DESC, n"
    )
    assert [row["object"] for row in told] == [
        one.job.id for one in sorted(mixed, key=lambda one: one.job.tenant_id == "acme")
    ]
    assert all(row["at"] == row["created_at"] for row in told)
    assert {row["at"] for row in told} == {one.at for one in done}
    assert {tuple(row)[3:6] for row in told} == {(f"1 accounts, directory {_ODD}", *_ACTOR)}


async def test_who_enters_at_the_same_time_adds_to_one_chain(two: Two) -> None:
    batches = [
        [_submission(f"j{n}-{m}", random.choice(("default", "acme"))) for m in range(3)]
        for n in range(40)
    ]
    ledgers = (two.one, two.other)
    await asyncio.gather(*(ledgers[n % 2].submit(batch) for n, batch in enumerate(batches)))
    told = [await two.chain(tenant) for tenant in ("default", "acme")]
    assert [problem for _, problem in told] == [None, None]
    assert sum(n for n, _ in told) == 121


async def test_one_that_cannot_enter_leaves_no_line(two: Two) -> None:
    await two.one.submit([_submission("j")])
    with pytest.raises(Exception, match="refused the data"):
        await two.other.submit([_submission("new"), _submission("j")])
    assert await two.chain("default") == (1, None)
    (row,) = await two.found("SELECT count(*) FROM jobs")
    assert row[0] == 1


async def test_who_gets_a_quota_is_held_to_it_at_once(two: Two) -> None:
    mixed = [_submission("a", "acme"), _submission("b")]
    await two.one.submit(mixed)
    engine = create_engine(two.url)
    await Tenants(engine).set("acme", {"open_jobs": 2}, _ACTOR)
    await engine.dispose()
    more = [_submission("c", "acme"), _submission("d"), _submission("e", "acme")]
    done = await two.one.submit(more)
    assert [bool(one.refused) for one in done] == [False, False, True]
    assert await two.chain("default") == (2, None)
    assert (await two.chain("acme"))[1] is None


def test_the_text_that_is_hashed_can_be_put_together() -> None:
    act = Act("job.submit", _ODD, _ODD, _ODD)
    head, tail = around(act, _ACTOR)
    line = Line(_ODD, 7, 1.5, *_ACTOR, "job.submit", _ODD, _ODD)
    assert '["before' + head + "7,1.5" + tail == line.text("before").decode()


async def test_times_are_written_as_python_writes_them(two: Two) -> None:
    digits = ("0", "000000", "5", "000001", "100000", "999999", "123456", "120000")
    times = [f"{whole}.{part}" for whole in (1, 1795712345, 4102444800) for part in digits]
    sql = (
        f"SELECT {WRITTEN} FROM (SELECT trim_scale(unnest('{{{','.join(times)}}}'::numeric[])) at)"
    )
    assert [row[0] for row in await two.found(f"{sql} u")] == [repr(float(one)) for one in times]
