"""Each password leaves the ledger once, whoever asks for it at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.errors import Conflict, Gone, NotFound, SettingsError
from botrix.ledger import passwords
from botrix.ledger.audit import verify
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Ledger, Room
from botrix.ledger.passwords import Part, Passwords, Row
from botrix.ledger.queries import Queries
from botrix.ledger.tables import accounts, audit, jobs
from botrix.model import NewJob
from botrix.states import AccountStatus
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

_COUNT = 60


@pytest_asyncio.fixture
async def held(url: str, ledger: Ledger) -> AsyncIterator[Passwords]:
    """Of job `j`, whose accounts are all created."""
    asked = await placed(ledger, NewJob("j", _COUNT))
    claim = await ledger.claim("s1", [asked], Room(_COUNT), plan)
    await ledger.record(
        "s1", [result(a, AccountStatus.CREATED, entry_id="e") for a in claim.accounts]
    )
    engine = create_engine(url)
    yield Passwords(engine)
    await engine.dispose()


def opened(sealed: bytes, index: int) -> str:
    return f"{sealed.decode()} {index}"


def packed(rows: list[Row]) -> bytes:
    return ",".join(opened(bytes(row["sealed"]), row["idx"]) for row in rows).encode()


async def rows(held: Passwords, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    async with held._engine.begin() as db:
        return [tuple(row) for row in await db.execute(query)]


async def change(held: Passwords, statement: sa.Update) -> None:
    async with held._engine.begin() as db:
        await db.execute(statement)


async def reset(held: Passwords, index: int = 0, sealed: bytes = b"new") -> None:
    await held.finish_reset(await held.begin_reset("default", "j", index, 60), sealed, CONSOLE)


async def test_what_is_revealed_is_erased(held: Passwords) -> None:
    assert await held.reveal("default", "j", 0, opened, CONSOLE) == ("j-0", "sealed 0")
    with pytest.raises(Gone, match=r"revealed; .*POST /api/accounts/j:0/reset"):
        await held.reveal("default", "j", 0, opened, CONSOLE)
    found = sa.select(accounts.c.idx, accounts.c.sealed).where(accounts.c.revealed_at.is_not(None))
    assert await rows(held, found) == [(0, None)]


async def test_what_cannot_be_opened_stays(held: Passwords) -> None:
    def fails(*_: object) -> Any:
        raise SettingsError("another key")

    with pytest.raises(SettingsError):
        await held.reveal("default", "j", 0, fails, CONSOLE)
    with pytest.raises(SettingsError):
        await held.export("default", "j", 10, fails, CONSOLE)
    assert (await held.reveal("default", "j", 0, opened, CONSOLE))[1] == "sealed 0"
    assert (await held.export("default", "j", _COUNT, packed, CONSOLE)).accounts == _COUNT - 1


async def test_what_was_erased_is_not_revealed(held: Passwords) -> None:
    await change(held, sa.update(accounts).values(sealed=None))
    with pytest.raises(Gone, match="erased, as its time was over"):
        await held.reveal("default", "j", 0, opened, CONSOLE)
    with pytest.raises(Gone):
        await held.export("default", "j", 10, packed, CONSOLE)
    await reset(held)
    assert (await held.reveal("default", "j", 0, opened, CONSOLE))[1] == "new 0"


async def test_nothing_is_told_of_another_tenant(held: Passwords) -> None:
    for ask in (
        held.reveal("other", "j", 0, opened, CONSOLE),
        held.begin_reset("other", "j", 0, 60),
        held.export("other", "j", 10, packed, CONSOLE),
        held.reveal("default", "j", 999, opened, CONSOLE),
    ):
        with pytest.raises(NotFound):
            await ask


async def test_a_job_is_exported_once_in_parts(
    held: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_CHUNK", 7)
    parts = [await held.export("default", "j", 25, packed, CONSOLE) for _ in range(3)]
    assert [(part.accounts, part.left) for part in parts] == [(25, 35), (25, 10), (10, 0)]
    given = b",".join(part.content for part in parts).decode().split(",")
    assert given == [f"sealed {n}" for n in range(_COUNT)]
    with pytest.raises(Gone, match="no password of job j is left"):
        await held.export("default", "j", 25, packed, CONSOLE)
    assert await rows(held, sa.select(accounts.c.idx).where(accounts.c.sealed.is_not(None))) == []
    assert (await rows(held, sa.select(jobs.c.exported_at)))[0][0] is not None
    await reset(held)
    with pytest.raises(Gone):  # the job was exported; what was set anew is revealed
        await held.export("default", "j", 25, packed, CONSOLE)
    assert (await held.reveal("default", "j", 0, opened, CONSOLE))[1] == "new 0"
    acts = sa.select(audit.c.what, audit.c.object, audit.c.detail).order_by(audit.c.n)
    noted = await rows(held, acts.where(audit.c.what != "job.submit"))
    assert noted == [
        ("job.export", "j", "25 accounts, 35 left"),
        ("job.export", "j", "25 accounts, 10 left"),
        ("job.export", "j", "10 accounts, 0 left"),
        ("account.reset", "j:0", ""),
        ("account.reveal", "j:0", ""),
    ]


async def test_an_open_job_is_not_exported(ledger: Ledger, url: str) -> None:
    await placed(ledger, NewJob("open", 1))
    engine = create_engine(url)
    try:
        with pytest.raises(Conflict, match="job open is pending"):
            await Passwords(engine).export("default", "open", 1, packed, CONSOLE)
    finally:
        await engine.dispose()


async def test_each_password_leaves_once(held: Passwords, url: str) -> None:
    """Reveals and exports at once, by two engines, as two processes have."""
    other = Passwords(create_engine(url))
    both = (held, other)
    asked = [
        both[n % 2].reveal("default", "j", n % _COUNT, opened, CONSOLE) for n in range(2 * _COUNT)
    ] + [both[n % 2].export("default", "j", 3, packed, CONSOLE) for n in range(60)]
    random.Random(1).shuffle(asked)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    await other._engine.dispose()
    given: list[str] = []
    for answer in answers:
        if isinstance(answer, Part):
            given += answer.content.decode().split(",")
        elif isinstance(answer, tuple):
            given.append(answer[1])
        else:
            assert isinstance(answer, Gone), answer
    assert sorted(given) == sorted(f"sealed {n}" for n in range(_COUNT))
    assert any(isinstance(answer, Part) for answer in answers)
    assert (await verify(held._engine, "default")).problem is None


async def test_of_many_resets_one_goes_on(held: Passwords) -> None:
    with pytest.raises(Conflict, match="not revealed yet"):
        await held.begin_reset("default", "j", 0, 60)
    await held.reveal("default", "j", 0, opened, CONSOLE)
    begun = await asyncio.gather(
        *(held.begin_reset("default", "j", 0, 60) for _ in range(8)), return_exceptions=True
    )
    (taken,) = [one for one in begun if not isinstance(one, BaseException)]
    refused = [str(one) for one in begun if isinstance(one, Conflict)]
    assert len(refused) == 7
    assert all("is being reset; try again in 60 s" in one for one in refused)
    assert taken.entry_id == "e"
    await held.finish_reset(taken, b"new", CONSOLE)
    assert (await held.reveal("default", "j", 0, opened, CONSOLE))[1] == "new 0"


async def test_who_was_taken_over_keeps_nothing(held: Passwords) -> None:
    await held.reveal("default", "j", 0, opened, CONSOLE)
    first = await held.begin_reset("default", "j", 0, 60)
    await change(held, sa.update(accounts).values(resetting_at=accounts.c.resetting_at - 61))
    second = await held.begin_reset("default", "j", 0, 60)
    for end in (held.finish_reset(first, b"first", CONSOLE), held.leave_reset(first)):
        await asyncio.gather(end, return_exceptions=True)
    with pytest.raises(Conflict, match="is being reset"):
        await held.begin_reset("default", "j", 0, 60)
    await held.finish_reset(second, b"second", CONSOLE)
    assert (await held.reveal("default", "j", 0, opened, CONSOLE))[1] == "second 0"
    with pytest.raises(Conflict, match="another reset of j:0 took over"):
        await held.finish_reset(first, b"first", CONSOLE)


async def test_an_erased_job_has_something_to_erase_again(held: Passwords) -> None:
    await change(held, sa.update(accounts).values(sealed=None))
    await change(held, sa.update(jobs).values(erased_at=1.0))
    await reset(held)
    assert await rows(held, sa.select(jobs.c.erased_at)) == [(None,)]


async def test_the_record_holds_whatever_happens_at_once(held: Passwords, ledger: Ledger) -> None:
    queries = Queries(held._engine)
    for n in range(8):
        asked = await placed(ledger, NewJob(f"f{n}", 1))
        (account,) = (await ledger.claim("s1", [asked], Room(1), plan)).accounts
        await ledger.record("s1", [result(account, AccountStatus.FAILED)])
        await placed(ledger, NewJob(f"p{n}", 1))
    acts = [
        act
        for n in range(8)
        for act in (
            held.reveal("default", "j", n, opened, CONSOLE),
            queries.retry("default", f"f{n}", CONSOLE),
            queries.cancel("default", f"p{n}", CONSOLE),
            held.export("default", "j", 5, packed, CONSOLE),
        )
    ]
    await asyncio.gather(*acts, return_exceptions=True)
    found = await verify(held._engine, "default")
    assert found.problem is None
    told = [row[0] for row in await rows(held, sa.select(audit.c.what))]
    assert (told.count("job.retry"), told.count("job.cancel")) == (8, 8)
    assert found.n == len(told)


async def test_a_key_notes_an_act_once(ledger: Ledger, held: Passwords) -> None:
    await placed(ledger, NewJob("open", 1))
    queries = Queries(held._engine)
    for _ in range(3):
        await queries.cancel("default", "open", CONSOLE, "k")
    cancelled = sa.select(audit.c.object).where(audit.c.what == "job.cancel")
    assert await rows(held, cancelled) == [("open",)]


async def test_a_retried_job_can_be_exported_again(ledger: Ledger, held: Passwords) -> None:
    asked = await placed(ledger, NewJob("two", 2))
    one, two = (await ledger.claim("s1", [asked], Room(2), plan)).accounts
    await ledger.record(
        "s1", [result(one, AccountStatus.CREATED), result(two, AccountStatus.FAILED)]
    )
    assert (await held.export("default", "two", 9, packed, CONSOLE)).accounts == 1
    await Queries(held._engine).retry("default", "two", CONSOLE)
    with pytest.raises(Conflict):
        await held.export("default", "two", 9, packed, CONSOLE)
    (due,) = (await ledger.due(10)).placed
    (account,) = (await ledger.claim("s1", [type(asked)("two", due.place)], Room(2), plan)).accounts
    await ledger.record("s1", [result(account, AccountStatus.CREATED)])
    assert (await held.export("default", "two", 9, packed, CONSOLE)).content == b"sealed 1"
