"""What `botrix reconcile` changes in the ledger: counters add up, and what moved meanwhile is left
as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from botrix.ledger.audit import verify
from botrix.ledger.ledger import Ledger, Room
from botrix.ledger.mending import Mend, Mending
from botrix.ledger.passwords import Passwords
from botrix.ledger.queries import Queries
from botrix.ledger.reconciling import Reconciling
from botrix.ledger.tables import accounts, audit, jobs
from botrix.model import GONE, NewJob
from botrix.states import AccountStatus
from tests.ledger.test_turns import claimed
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

CREATED, FAILED = AccountStatus.CREATED, AccountStatus.FAILED


@pytest.fixture
def mending(queries: Queries) -> Mending:
    return Mending(queries.engine, "default", CONSOLE)


def sealed(index: int) -> bytes:
    return f"new {index}".encode()


async def made(ledger: Ledger, *ends: AccountStatus, job: str = "j") -> None:
    """A job whose accounts ended like this, each at the first attempt."""
    asked = await placed(ledger, NewJob(job, len(ends)))
    found = (await ledger.claim("s1", [asked], Room(len(ends)), plan)).accounts
    told = [result(a, end, entry_id=f"e{a.index}") for a, end in zip(found, ends, strict=True)]
    await ledger.record("s1", told)


async def counts(queries: Queries, job: str = "j") -> tuple[Any, ...]:
    row = await queries.job("default", job)
    return tuple(row[name] for name in ("status", "created", "failed", "cancelled", "deleted"))


async def account(queries: Queries, index: int) -> Any:
    async with queries.engine.begin() as db:
        mine = (accounts.c.job_id == "j", accounts.c.idx == index)
        return (await db.execute(sa.select(accounts).where(*mine))).one()


async def told(queries: Queries) -> list[tuple[int | None, str]]:
    rows = await queries.history("default", "j", None, 0, 100)
    return [(row["idx"], row["what"]) for row in rows if row["reason"] == "reconciled"]


async def acts(queries: Queries) -> list[str]:
    """Of the audit record, which is whole."""
    assert (await verify(queries.engine, "default")).problem is None
    async with queries.engine.begin() as db:
        query = sa.select(audit.c.detail).where(audit.c.what == "job.reconcile")
        return [row.detail for row in await db.execute(query.order_by(audit.c.n))]


async def test_what_is_gone_is_noted_as_deleted_once(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, CREATED, CREATED)
    mends = [Mend(1, 1), Mend(0, 2), Mend(7, 1)]
    assert await mending.forget("j", mends) == [1]
    assert await mending.forget("j", mends) == []
    assert await counts(queries) == ("completed", 1, 0, 0, 1)
    row = await account(queries, 1)
    assert (row.status, row.reason, row.sealed) == ("deleted", GONE, None)
    assert await told(queries) == [(1, "gone")]
    assert await acts(queries) == ["1 accounts noted as gone"]


async def test_what_is_gone_is_made_anew_with_another_password(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, CREATED, CREATED, CREATED)
    await Passwords(queries.engine).reveal("default", "j", 1, lambda *_: "the old one", CONSOLE)
    before = await account(queries, 1)
    assert await mending.anew("j", [Mend(1, 1), Mend(2, 5)], sealed) == [1]
    assert await mending.anew("j", [Mend(1, 1)], sealed) == []
    assert await counts(queries) == ("running", 2, 0, 0, 0)
    (again,) = await claimed(ledger, "j")
    assert (again.index, again.find_first, again.sealed) == (1, True, b"new 1")
    assert (again.tag, again.person.username) == ("botrix:j:1", before.username)
    await ledger.record("s1", [result(again, CREATED, entry_id="e1 anew")])
    assert await counts(queries) == ("completed", 3, 0, 0, 0)
    row = await account(queries, 1)
    assert (row.entry_id, row.revealed_at, row.attempt) == ("e1 anew", None, 2)
    assert await told(queries) == [(1, "to be made anew")]
    assert await acts(queries) == ["1 accounts to be made anew"]


async def test_a_failed_job_is_left_failed_when_its_lost_account_is_there_again(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, CREATED, FAILED)
    assert await mending.anew("j", [Mend(0, 1)], sealed) == [0]
    assert await counts(queries) == ("running", 0, 1, 0, 0)
    (again,) = await claimed(ledger, "j")
    await ledger.record("s1", [result(again, CREATED)])
    assert await counts(queries) == ("failed", 1, 1, 0, 0)
    assert await ledger.look_again("s1", 0.0) is not None  # what failed is looked for once more


@pytest.mark.parametrize("how", ["cancelled", "undone", "another stage", "another tenant"])
async def test_what_nobody_wants_is_not_made_anew(
    ledger: Ledger, queries: Queries, mending: Mending, how: str
) -> None:
    await made(ledger, CREATED, CREATED)
    changes: dict[str, dict[str, Any]] = {
        "cancelled": {"status": "cancelled"},
        "another stage": {"stage": "remove"},
        "another tenant": {},
        "undone": {},
    }
    if how == "undone":
        await made(ledger, CREATED, job="u")
        query = sa.update(jobs).where(jobs.c.id == "u").values(undoes="j")
    else:
        query = sa.update(jobs).where(jobs.c.id == "j").values(changes[how] or {"layout": None})
    async with queries.engine.begin() as db:
        await db.execute(query)
    if how == "another tenant":
        mending = Mending(queries.engine, "another", CONSOLE)
    assert await mending.anew("j", [Mend(0, 1)], sealed) == []
    assert (await account(queries, 0)).status == "created"


async def test_what_was_changed_is_taken_over(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, CREATED, CREATED, CREATED)
    mends = [
        Mend(0, 1, seen={"email": "new@x", "entry_id": "e0 moved", "password": "x"}),
        Mend(1, 1, seen={"username": "J-2"}),  # another account of the job has this name
        Mend(2, 1, seen={"display_name": "x" * 1001}),
        Mend(2, 1, seen={}),
    ]
    assert await mending.accept("j", mends) == [0]
    row = await account(queries, 0)
    assert (row.email, row.entry_id, row.given_name) == ("new@x", "e0 moved", "g")
    assert (await account(queries, 1)).username == "j-1"
    assert await mending.accept("j", [Mend(1, 1, seen={"username": "renamed"})]) == [1]
    assert (await account(queries, 1)).username == "renamed"
    assert await told(queries) == [(0, "taken over"), (1, "taken over")]


async def test_what_failed_and_is_there_is_adopted(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, CREATED, FAILED, FAILED)
    mends = [Mend(index, 1, f"e{index}", FAILED) for index in (0, 1, 2)]
    assert await mending.adopt("j", mends[:2]) == [1]
    assert await counts(queries) == ("failed", 2, 1, 0, 0)
    assert await mending.adopt("j", mends) == [2]
    assert await counts(queries) == ("completed", 3, 0, 0, 0)
    row = await account(queries, 2)
    assert (row.status, row.entry_id, row.reason) == ("created", "e2", "landed late")


async def test_what_was_cancelled_and_removed_counts_as_deleted(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, AccountStatus.CANCELLED, AccountStatus.CANCELLED, CREATED)
    mend = Mend(0, 1, None, AccountStatus.CANCELLED)
    assert await mending.removed("j", [mend]) == [0]
    assert await mending.removed("j", [mend]) == []
    again = Mend(0, 1, None, AccountStatus.DELETED)
    assert await mending.removed("j", [again]) == [0]
    assert (await counts(queries))[1:] == (1, 0, 1, 1)


async def test_many_who_mend_at_once_change_each_account_once(
    ledger: Ledger, queries: Queries, mending: Mending
) -> None:
    await made(ledger, *[CREATED] * 8)
    mends = [Mend(index, 1) for index in range(8)]
    forgets = [mending.forget("j", mends) for _ in range(3)]
    steps = [*forgets, *(mending.anew("j", mends, sealed) for _ in range(3))]
    done = [index for some in await asyncio.gather(*steps) for index in some]
    assert sorted(done) == list(range(8))
    _, created, *_, deleted = await counts(queries)
    again = await claimed(ledger, "j")
    assert (created, deleted + len(again)) == (0, 8)


async def test_a_forgotten_one_that_comes_back_is_not_removed_by_workers(
    ledger: Ledger, mending: Mending
) -> None:
    await made(ledger, CREATED, FAILED)
    await mending.forget("j", [Mend(0, 1)])
    assert [late.account.index for late in await ledger.provisional("j", -1, 10)] == [1]


async def test_what_the_ledger_knows_of_tags(ledger: Ledger, queries: Queries) -> None:
    await made(ledger, CREATED, FAILED)
    reconciling = Reconciling(queries.engine)
    known = await reconciling.known([("j", 0), ("j", 1), ("j", 2), ("j", 1 << 40), ("gone", 0)])
    states = {key: one.status for key, one in known.items()}
    assert states == {("j", 0): "created", ("j", 1): "failed", ("j", 2): None, ("j", 1 << 40): None}
    assert await reconciling.known([]) == {}
    (job,) = await reconciling.jobs("default", "local", None, 10)
    assert (job.id, job.created, job.undone) == ("j", 1, False)
    assert await reconciling.jobs("default", "local", job, 10) == []
    assert await reconciling.count("default", "local") == 1
    assert await reconciling.recorded({"j", "never"}) == {"j": "default"}
    (row,) = await reconciling.created("j", -1, 10)
    assert (row.tag, row.entry_id, row.unguessable) == ("botrix:j:0", "e0", True)
