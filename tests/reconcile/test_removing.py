"""Only an entry is deleted that still bears the very tag, and that no account wants."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.creators import open_creator
from botrix.creators.creator import Creator, Wanted
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Room
from botrix.ledger.mending import Mending
from botrix.ledger.queries import Queries
from botrix.ledger.reconciling import Reconciling
from botrix.ledger.tables import accounts
from botrix.model import DISABLED, NewJob, Person, tag_of
from botrix.reconcile.findings import Finding, Findings, What
from botrix.reconcile.looking import Look, Tally
from botrix.reconcile.mending import Mender, Wish
from botrix.services import open_ledger
from botrix.states import AccountStatus
from tests.ledger.conftest import url  # noqa: F401
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE


def wanted(name: str, tag: str) -> Wanted:
    return Wanted(tag, Person(name, f"{name}@x.example", "", "", ""), "Pass-w0rd!")


class Place:
    """A local directory with an entry for each of these tags, and what is unknown of them."""

    def __init__(self, path: Path, creator: Creator, queries: Queries, folder: Path) -> None:
        self.path = path
        self.creator = creator
        self.queries = queries
        self.findings = Findings(folder)
        self.reconciling = Reconciling(queries.engine)

    async def look(self) -> list[Finding]:
        look = Look(
            "default", self.reconciling, self.creator, self.findings, Tally(), lambda _: None
        )
        await look.ours()
        return list(self.findings.all())

    async def mend(self, wish: Wish) -> list[str]:
        """The tags that are left."""
        mending = Mending(self.queries.engine, "default", CONSOLE)

        async def opened_again(_: str) -> None: ...

        mender = Mender(
            self.reconciling, mending, self.creator, self.findings, lambda *_: b"new", opened_again
        )
        await mender.mend(wish)
        return await self.tags()

    async def tags(self) -> list[str]:
        return sorted(str(one.tag) for one in (await self.creator.ours(None)).entries)

    def do(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(sql)


@pytest_asyncio.fixture
async def place(url: str, tmp_path: Path) -> AsyncIterator[Place]:  # noqa: F811
    """Of job `j`: 0 failed, 1 was cancelled, 2 is created; there is no 9, and no job `gone`."""
    ledger, queries = open_ledger(url), Queries(create_engine(url))
    await ledger.open_session("s1", "w", "host", 1, "0")
    asked = await placed(ledger, NewJob("j", 3))
    found = (await ledger.claim("s1", [asked], Room(3), plan)).accounts
    ends = (AccountStatus.FAILED, AccountStatus.CANCELLED, AccountStatus.CREATED)
    await ledger.record("s1", [result(a, end) for a, end in zip(found, ends, strict=True)])
    path = tmp_path / "entries.sqlite"
    creator = await open_creator("local", {"path": str(path)})
    keys = [("j", 0), ("j", 1), ("j", 2), ("j", 9), ("gone", 0)]
    await creator.create([wanted(f"{job}-{n}", tag_of(job, n)) for job, n in keys])
    made = Place(path, creator, queries, tmp_path)
    yield made
    made.findings.close()
    await creator.close()
    await ledger.close()
    await queries.close()


async def test_what_nobody_wants_is_removed_and_nothing_else(place: Place) -> None:
    assert {one.reason for one in await place.look()} == {
        "failed", "cancelled", "no such account", "no such job",
    }  # fmt: skip
    wish = Wish(remove=True)
    assert wish.plan(place.findings) == {"to be removed at the directory": 2}
    assert await place.mend(wish) == ["botrix:gone:0", "botrix:j:0", "botrix:j:2"]
    assert await place.mend(Wish(remove=True, also_of=("other",))) == [
        "botrix:gone:0", "botrix:j:0", "botrix:j:2",
    ]  # fmt: skip
    left = await place.mend(Wish(remove=True, also_of=("gone",)))
    assert left == ["botrix:j:0", "botrix:j:2"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET tag = 'botrix:other:' || entry_id",
        "UPDATE entries SET tag = 'by hand'",
        "UPDATE entries SET entry_id = 'another' || entry_id",
    ],
)
async def test_what_is_another_by_now_is_not_removed(place: Place, change: str) -> None:
    await place.look()
    place.do(change)
    before = await place.tags()
    assert await place.mend(Wish(remove=True, also_of=("gone",))) == before


async def test_what_an_account_wants_by_now_is_not_removed(place: Place) -> None:
    await place.look()
    async with place.queries.engine.begin() as db:
        again = sa.update(accounts).where(accounts.c.idx == 1)
        await db.execute(again.values(status=AccountStatus.PLANNED))
    left = await place.mend(Wish(remove=True))
    assert "botrix:j:1" in left
    assert "botrix:j:9" not in left


async def test_what_failed_is_adopted_once(place: Place) -> None:
    await place.look()
    assert len(await place.mend(Wish(adopt=True))) == 5
    job = await place.queries.job("default", "j")
    assert (job["created"], job["failed"]) == (2, 0)
    await place.mend(Wish(adopt=True))
    assert (await place.queries.job("default", "j"))["created"] == 2
    assert place.findings.count(What.UNKNOWN) == 3


async def test_an_entry_of_a_job_that_was_purged(place: Place) -> None:
    async with place.queries.engine.begin() as db:
        await db.execute(sa.text("DELETE FROM accounts"))
        await db.execute(sa.text("DELETE FROM history"))
        await db.execute(sa.text("DELETE FROM jobs"))
    told = {one.reason for one in await place.look()}
    assert told == {"job purged", "no such job"}
    assert await place.mend(Wish(remove=True)) == ["botrix:gone:0"]


async def test_a_second_entry_with_the_tag_of_an_account_is_told_and_stays(place: Place) -> None:
    await place.creator.create([wanted("copy", "botrix:j:2")])
    reasons = [one.reason for one in await place.look() if one.idx == 2]
    assert set(reasons) == {"a second entry"}
    left = await place.mend(Wish(remove=True))
    assert left.count("botrix:j:2") == 2


@pytest.mark.parametrize("active", [0, 1])
async def test_what_an_undo_disabled_is_as_it_should_be_unless_enabled(
    place: Place, active: int
) -> None:
    async with place.queries.engine.begin() as db:
        gone = sa.update(accounts).where(accounts.c.idx == 1)
        await db.execute(gone.values(status=AccountStatus.DELETED, reason=DISABLED))
    place.do(f"UPDATE entries SET active = {active}")
    told = [one.reason for one in await place.look() if one.idx == 1]
    assert told == (["enabled again"] if active else [])
    assert "botrix:j:1" in await place.mend(Wish(remove=True))
