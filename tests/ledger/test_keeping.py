"""Erasing and purging, on both databases: what goes, what stays, side by side and half done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.audit import NOBODY
from botrix.errors import Conflict, Gone, NotFound
from botrix.ledger import keeping
from botrix.ledger.engine import create_engine, now
from botrix.ledger.imports import sweep
from botrix.ledger.keeping import DAY, Keeping, Outlived, Rule
from botrix.ledger.ledger import Ledger
from botrix.ledger.migrate import upgrade
from botrix.ledger.passwords import Passwords
from botrix.ledger.queries import Queries
from botrix.ledger.tables import accounts, bad_rows, history, jobs, roster_chunks, tenants
from botrix.services import open_ledger
from botrix.worker.keeper import Keeper

_ENDED = 40 * DAY


class Store:
    """A ledger, and rows put into it by hand."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ledger: Ledger = open_ledger(url)
        self.queries = Queries(create_engine(url))

    async def close(self) -> None:
        await self.ledger.close()
        await self.queries.close()

    async def job(self, name: str, count: int = 3, ago: float | None = _ENDED, **more: Any) -> None:
        """A job of created accounts that ended so long ago; None: it is open yet."""
        tenant = more.get("tenant_id", "default")
        at = now() - (_ENDED if ago is None else ago)
        ends = {"status": "completed", "created": count, "finished_at": at}
        row = {"id": name, "source": "generate", "directory": "local", "count": count}
        row |= {"next_index": count, "created_at": at - 1, "updated_at": at}
        row |= ends if ago is not None else {"status": "running"}
        status = "created" if ago is not None else "planned"
        person = ("username", "email", "given_name", "family_name", "display_name")
        values = {"job_id": name, "tenant_id": tenant, "status": status, "sealed": b"sealed"}
        values |= dict.fromkeys(person, "x")
        noted = {"job_id": name, "tenant_id": tenant, "what": "leased"}
        async with self.queries.engine.begin() as db:
            await db.execute(sa.insert(jobs).values(**row | more))
            await db.execute(
                sa.insert(accounts).values(updated_at=at),
                [values | {"idx": n} for n in range(count)],
            )
            await db.execute(sa.insert(history).values(at=at), [noted] * (count * 2))
            await db.execute(
                sa.insert(bad_rows),
                [{"job_id": name, "row": n, "reason": "r"} for n in range(count)],
            )

    async def roster(self, name: str, chunks: int = 5) -> None:
        """As it came, for a job that there is."""
        row = {"job_id": name, "sealed": b"sealed"}
        rows = [row | {"first_row": 2 + 10 * n, "last_row": 11 + 10 * n} for n in range(chunks)]
        await self.change(sa.insert(roster_chunks).values(rows))

    async def tenant(self, name: str, **days: int) -> None:
        async with self.queries.engine.begin() as db:
            await db.execute(sa.insert(tenants).values(id=name, created_at=now(), **days))

    async def change(self, statement: Any) -> None:
        async with self.queries.engine.begin() as db:
            await db.execute(statement)

    async def sealed(self) -> Counter[str]:
        """How many passwords each job has."""
        query = sa.select(accounts.c.job_id).where(accounts.c.sealed.is_not(None))
        async with self.queries.engine.begin() as db:
            return Counter((await db.execute(query)).scalars())

    async def count(self, table: sa.Table) -> int:
        async with self.queries.engine.begin() as db:
            return int(
                (await db.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            )


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[Store]:
    made = Store(url)
    yield made
    await made.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and pages of which a test needs few rows."""
    monkeypatch.setattr(keeping, "BATCH", 3)
    monkeypatch.setattr(keeping, "_PAGE", 2)
    monkeypatch.setattr(keeping, "CHUNKS", 2)


async def _erase(ledger: Keeping, rule: Rule) -> Counter[str]:
    done = Counter[str]()
    async for step in keeping.erase(ledger, rule):
        done.update(passwords=step.accounts, jobs=step.done, left=step.left)
    return +done


async def _purge(ledger: Keeping, rule: Rule) -> Counter[str]:
    done = Counter[str]()
    async for step in keeping.purge(ledger, rule):
        done.update(accounts=step.accounts, jobs=step.done)
    return +done


@pytest.mark.usefixtures("small")
async def test_passwords_live_as_long_as_was_set(store: Store) -> None:
    await store.tenant("brief", password_days=1)
    await store.tenant("long", password_days=50)
    await store.tenant("ever", password_days=0)
    for n in range(5):
        await store.job(f"old{n}", 7)
    await store.job("young", ago=29 * DAY)
    await store.job("open", ago=None)
    await store.job("brief", ago=1.1 * DAY, tenant_id="brief")
    await store.job("briefer", ago=0.9 * DAY, tenant_id="brief")
    for name in ("long", "ever"):
        await store.job(name, tenant_id=name)
    await store.job("unknown", tenant_id="of no row")
    assert await _erase(store.ledger, Rule(30, 0)) == {"passwords": 41, "jobs": 7}
    assert set(await store.sealed()) == {"young", "open", "briefer", "long", "ever"}
    assert await _erase(store.ledger, Rule(30, 0)) == {}, "an erased job is not looked at again"
    assert await store.count(jobs) == 12


async def test_a_tenant_of_its_own_and_for_ever(store: Store) -> None:
    await store.tenant("other")
    await store.job("mine")
    await store.job("theirs", tenant_id="other")
    assert await _erase(store.ledger, Rule(0, 0)) == {}
    assert await _erase(store.ledger, Rule(30, 0, "other")) == {"passwords": 3, "jobs": 1}
    assert set(await store.sealed()) == {"mine"}
    assert await _purge(store.ledger, Rule(30, 30, "other")) == {"accounts": 3, "jobs": 1}
    assert await keeping.survey(store.ledger, Rule(30, 30)) == {
        "erase_jobs": 1, "erase_accounts": 3, "purge_jobs": 1, "purge_accounts": 3,
    }  # fmt: skip


async def test_a_password_that_is_younger_than_its_job_stays(store: Store) -> None:
    """As one is that was reset later."""
    await store.job("j")
    first = sa.and_(accounts.c.job_id == "j", accounts.c.idx == 1)
    await store.change(sa.update(accounts).where(first).values(updated_at=now() - 5 * DAY))
    assert await _erase(store.ledger, Rule(30, 0)) == {"passwords": 2, "left": 1}
    assert await store.sealed() == {"j": 1}
    assert await _erase(store.ledger, Rule(4, 0)) == {"passwords": 1, "jobs": 1}


async def test_nothing_fails_where_a_password_was_erased(store: Store) -> None:
    await store.job("j", 1)
    await store.job("bad", 2, status="failed", created=0, failed=2)
    failed = {"status": "failed", "reason": "rejected"}
    await store.change(sa.update(accounts).where(accounts.c.job_id == "bad").values(**failed))
    await _erase(store.ledger, Rule(30, 0))
    with pytest.raises(Gone, match="was erased, as its time was over"):
        await Passwords(store.queries.engine).reveal("default", "j", 0, _opened, NOBODY)
    assert (await store.queries.account("default", "j", 0))["revealed_at"] is None
    with pytest.raises(Conflict, match="were erased, so it cannot be retried"):
        await store.queries.retry("default", "bad", NOBODY, "a key")
    job = await store.queries.job("default", "bad")
    assert (job["status"], job["failed"], job["erased_at"] is not None) == ("failed", 2, True)


def _opened(_sealed: bytes, _index: int) -> str:
    raise AssertionError("there is nothing to open")


async def test_who_was_opened_again_is_not_touched(store: Store) -> None:
    await store.job("j")
    (job,) = await store.ledger.outlived_passwords(Rule(30, 0), None, 10)
    opened = {"status": "running", "created": 0, "finished_at": None}
    await store.change(sa.update(jobs).values(**opened))
    assert await store.ledger.erase(job, range(3)) is None
    assert await store.ledger.erased(job) is None
    assert await store.ledger.purge(job, range(3)) is None
    assert await store.ledger.remove(job, 10) is None
    assert await store.sealed() == {"j": 3}


@pytest.mark.usefixtures("small")
async def test_jobs_go_with_all_that_is_theirs(store: Store) -> None:
    await store.tenant("brief", retention_days=1)
    await store.tenant("ever", retention_days=0)
    for n in range(5):
        await store.job(f"old{n}", 7)
        await store.roster(f"old{n}")
    await store.job("none", 1)
    await store.change(sa.delete(accounts).where(accounts.c.job_id == "none"))
    await store.change(
        sa.update(jobs).where(jobs.c.id == "none").values(created=0, count=0, next_index=0)
    )
    await store.job("young", ago=29 * DAY)
    await store.job("open", ago=None)
    await store.job("brief", ago=1.1 * DAY, tenant_id="brief")
    await store.job("ever", tenant_id="ever")
    assert await _purge(store.ledger, Rule(0, 30)) == {"accounts": 38, "jobs": 7}
    left = ((jobs, 3), (accounts, 9), (history, 18), (bad_rows, 9), (roster_chunks, 0))
    for table, rows in left:
        assert await store.count(table) == rows, table.name
    assert await _purge(store.ledger, Rule(0, 0)) == {}


@pytest.mark.usefixtures("small")
async def test_rosters_go_with_the_passwords(store: Store) -> None:
    """Also where some password is younger, and where no row became an account."""
    for name in ("old", "reset", "young"):
        await store.job(name, ago=DAY if name == "young" else _ENDED)
        await store.roster(name)
    await store.job("none", 1)
    await store.roster("none")
    await store.change(sa.delete(accounts).where(accounts.c.job_id == "none"))
    none = {"created": 0, "count": 0, "next_index": 0}
    await store.change(sa.update(jobs).where(jobs.c.id == "none").values(**none))
    reset = sa.and_(accounts.c.job_id == "reset", accounts.c.idx == 1)
    await store.change(sa.update(accounts).where(reset).values(updated_at=now()))
    assert await _erase(store.ledger, Rule(30, 0)) == {"passwords": 5, "jobs": 2, "left": 1}
    query = sa.select(roster_chunks.c.job_id).distinct()
    async with store.queries.engine.begin() as db:
        assert list((await db.execute(query)).scalars()) == ["young"]


async def test_a_roster_is_forgotten_from_its_beginning(store: Store) -> None:
    """So that who reads it sees by the first chunk whether there are all."""
    await store.job("j")
    await store.roster("j")
    (job,) = await store.ledger.outlived_passwords(Rule(30, 0), None, 10)
    query = sa.select(roster_chunks.c.first_row).order_by(roster_chunks.c.first_row)
    for left in ([22, 32, 42], [42], []):
        assert await store.ledger.forget(job, 2) is (left == [])
        async with store.queries.engine.begin() as db:
            assert list((await db.execute(query)).scalars()) == left
    await store.change(sa.update(jobs).values(finished_at=None, status="running", created=0))
    assert await store.ledger.forget(job, 2) is None


@pytest.mark.usefixtures("small")
async def test_half_a_job_is_hidden_and_taken_up_again(store: Store) -> None:
    await store.job("j", 20, status="failed", created=19, failed=1)
    async for step in keeping.purge(store.ledger, Rule(0, 30)):
        assert step.accounts == 3
        break
    assert 0 < await store.count(accounts) < 20
    with pytest.raises(NotFound):
        await store.queries.job("default", "j")
    for ask in (store.queries.retry, store.queries.cancel):
        with pytest.raises(NotFound):
            await ask("default", "j", NOBODY)
    assert await store.queries.jobs("default", {}, None, 10) == []
    assert (await store.queries.job_stats("default"))["jobs"] == {}
    assert await _purge(store.ledger, Rule(0, 30)) == {"accounts": 17, "jobs": 1}
    assert await store.count(history) == 0


@pytest.mark.usefixtures("small")
async def test_half_a_job_goes_even_if_all_is_kept_from_now_on(store: Store) -> None:
    await store.job("j", 20)
    async for _ in keeping.purge(store.ledger, Rule(0, 30)):
        break
    assert await sweep(store.queries.engine, older_than=3600) == 0
    await store.change(sa.update(jobs).values(updated_at=0))
    assert await sweep(store.queries.engine, older_than=3600) == 1
    assert [await store.count(table) for table in (jobs, accounts, history)] == [0, 0, 0]


@pytest.mark.usefixtures("small")
async def test_two_keepers_side_by_side(store: Store) -> None:
    for n in range(12):
        await store.job(f"old{n}", 30)
        await store.job(f"ancient{n}", 30, ago=400 * DAY)
    others = [open_ledger(store.url) for _ in range(2)]
    try:
        keepers = [Keeper(ledger, Rule(30, 365)) for ledger in (store.ledger, *others)]
        await asyncio.gather(*(keeper.tick() for keeper in keepers))
        await keepers[0].tick()  # what one found taken is nobody's now
    finally:
        for ledger in others:
            await ledger.close()
    assert [await store.count(table) for table in (jobs, accounts)] == [12, 360]
    assert await store.sealed() == {}
    assert await _erase(store.ledger, Rule(30, 0)) == {}


async def test_a_keeper_asks_once_an_hour_for_what_it_had_to_leave(store: Store) -> None:
    await store.job("j")
    await store.change(sa.update(accounts).where(accounts.c.idx == 0).values(updated_at=now()))
    clock = 0.0
    keeper = Keeper(store.ledger, Rule(30, 0), lambda: clock)
    await keeper.tick()
    assert await store.sealed() == {"j": 1}
    await store.change(sa.update(accounts).values(updated_at=0))
    await keeper.tick()
    assert await store.sealed() == {"j": 1}
    clock += 3601
    await keeper.tick()
    assert await store.sealed() == {}


@pytest.mark.suite("SQLite")
async def test_a_keeper_scrubs_what_was_revealed(tmp_path: Path) -> None:
    """Pages were split before, so that a copy of it stands in the gap of one."""
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    passwords = Passwords(store.queries.engine)

    def traces() -> int:
        files = [path, path.with_name(f"{path.name}-wal")]
        return sum(file.read_bytes().count(b"to-be-revealed") for file in files if file.exists())

    clock = 0.0
    keeper = Keeper(store.ledger, Rule(0, 0), lambda: clock)
    try:
        await store.job("j", 200)
        await store.change(sa.update(accounts).values(sealed=b"to-be-revealed"))
        await keeper.tick()
        assert traces() >= 200
        for n in range(200):
            await passwords.reveal("default", "j", n, lambda *_: "password", NOBODY)
        assert traces() > 0
        await keeper.tick()
        assert traces() == 0
        await keeper.tick()
        await store.change(sa.update(accounts).values(sealed=b"to-be-revealed", revealed_at=None))
        await passwords.reveal("default", "j", 0, lambda *_: "password", NOBODY)
        clock += 3601
        await keeper.tick()
        assert traces() == 199
    finally:
        await store.close()


@pytest.mark.suite("SQLite")
async def test_who_reads_holds_the_scrubbing_up_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_SCRUB_AGAIN", 0.01)
    from botrix.ledger.migrate import upgrade

    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    wal = path.with_name(f"{path.name}-wal")
    try:
        await store.job("j")
        async with store.queries.engine.connect() as reader:
            raw: Any = (await reader.get_raw_connection()).driver_connection
            await raw.execute("BEGIN")
            await raw.execute("SELECT count(*) FROM jobs")
            await _erase(store.ledger, Rule(30, 0))
            assert not await store.ledger.scrub(0)
            scrubbing = asyncio.create_task(keeping.scrubbed(store.ledger))
            await raw.execute("COMMIT")
        assert await scrubbing
        assert wal.stat().st_size == 0
    finally:
        await store.close()


async def test_outlived_is_paged_in_order(store: Store) -> None:
    for n in range(7):
        await store.job(f"j{n}", 1, ago=_ENDED + (n % 3) * DAY)
    for verb in (store.ledger.outlived_passwords, store.ledger.outlived_jobs):
        seen: list[Outlived] = []
        while page := await verb(Rule(30, 30), seen[-1] if seen else None, 2):
            seen += page
        assert len(seen) == len({job.job_id for job in seen}) == 7
