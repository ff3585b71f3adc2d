"""Rosters on their way into the ledger, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.errors import LedgerDown
from botrix.ledger.engine import create_engine
from botrix.ledger.imports import Import, sweep
from botrix.ledger.queries import Queries
from botrix.ledger.tables import ROSTER_NAME
from botrix.model import NewJob, Person, Source
from botrix.repeats import RosterRow


@pytest_asyncio.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(url)
    yield made
    await made.dispose()


def rows(*names: str) -> list[RosterRow]:
    return [
        RosterRow(number, Person(name, "e@x", "g", "f", "d"), "pw")
        for number, name in enumerate(names, 2)
    ]


def seal(password: str, tag: str) -> bytes:
    return f"{password} of {tag}".encode()


async def test_repeats_are_told_and_indexes_have_no_gap(engine: AsyncEngine) -> None:
    work = Import(engine, NewJob("j", 0, Source.IMPORT))
    await work.begin()
    assert await work.add(rows("ann", "bob", "ann"), [(9, "bad")], seal) == [
        (4, "repeats the user name of row 2")
    ]
    again = [RosterRow(20, Person("BOB", "e@x", "g", "f", "d"), "pw"), *rows("eve")]
    assert await work.add(again, [], seal) == [(20, "repeats the user name of row 3")]
    submitted = await work.finish(None, "")
    assert submitted.place is not None
    queries = Queries(engine)
    accounts = await queries.accounts("default", {"job_id": "j"}, None, 10)
    assert [(a["idx"], a["username"]) for a in accounts] == [(0, "ann"), (1, "bob"), (2, "eve")]
    job = await queries.job("default", "j")
    assert (job["count"], job["bad_rows"]) == (3, 3)


async def test_each_batch_looks_names_up_by_their_index(engine: AsyncEngine) -> None:
    """By the job's accounts alone it would read all that the roster has so far, each time."""
    said: list[tuple[str, Any]] = []

    def hear(_db: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        if sql.startswith("SELECT lower("):
            said.append((sql, values))

    sa.event.listen(engine.sync_engine, "before_cursor_execute", hear)
    work = Import(engine, NewJob("j", 0, Source.IMPORT))
    await work.begin()
    for n in range(4):
        named = rows(*(f"p{n}-{k}" for k in range(500)))
        await work.add([replace(one, number=n * 500 + one.number) for one in named], [], seal)
    (sql, values), *_ = reversed(said)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    async with engine.connect() as db:
        if engine.dialect.name != "sqlite":
            await db.execute(sa.text("ANALYZE accounts"))
        plan = await db.exec_driver_sql(f"{explain} {sql}", values)
        told = "\n".join(str(row) for row in plan)
    assert ROSTER_NAME in told, told


async def test_of_one_key_sent_at_once_one_job_comes(engine: AsyncEngine) -> None:
    works = [Import(engine, NewJob(f"j{n}", 0, Source.IMPORT)) for n in range(8)]
    for work in works:
        await work.begin()
        await work.add(rows("ann"), [], seal)
    done = await asyncio.gather(*(work.finish("key", "print") for work in works))
    assert len({one.job_id for one in done}) == 1
    assert sum(one.replay for one in done) == 7
    other = Import(engine, NewJob("other", 0, Source.IMPORT))
    await other.begin()
    assert (await other.finish("key", "another")).clash


async def test_what_was_left_half_imported_is_taken_back(engine: AsyncEngine) -> None:
    work, done = (Import(engine, NewJob(name, 0, Source.IMPORT)) for name in ("half", "whole"))
    for one in (work, done):
        await one.begin()
        await one.add(rows("ann"), [(7, "bad")], seal)
    await done.finish(None, "")
    assert await sweep(engine, older_than=60.0) == 0
    assert await sweep(engine, older_than=-1.0) == 1
    queries = Queries(engine)
    assert [a["job_id"] for a in await queries.accounts("default", {}, None, 9)] == ["whole"]
    with pytest.raises(LedgerDown, match="taken back"):
        await work.add(rows("eve"), [], seal)
    with pytest.raises(LedgerDown, match="taken back"):
        await work.finish(None, "")
