"""What undoes a job: it gets the accounts that were created, and both jobs tell what became."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from botrix.errors import Conflict, LedgerDown, NotFound
from botrix.ledger import undo as undo_module
from botrix.ledger.engine import now
from botrix.ledger.imports import sweep, take_back
from botrix.ledger.ledger import Asked, Found, Ledger, Room, Submission, Submitted
from botrix.ledger.queries import Queries
from botrix.ledger.tables import accounts, audit, jobs, tenants
from botrix.ledger.undo import Undoing, undo
from botrix.model import DISABLED, LeasedAccount, NewJob, Source, tag_of
from botrix.states import AccountStatus, JobStatus, Stage
from tests.ledger.test_verbs import placed, plan, result
from tests.servers.keys import CONSOLE

CREATED, EXISTING, FAILED, DELETED, UNSURE = (
    AccountStatus.CREATED, AccountStatus.EXISTING, AccountStatus.FAILED, AccountStatus.DELETED,
    AccountStatus.UNSURE,
)  # fmt: skip
_ENDS = (CREATED, EXISTING, CREATED, FAILED, CREATED)


async def ended(
    ledger: Ledger, ends: tuple[AccountStatus, ...] = _ENDS, job: str = "j", **more: Any
) -> None:
    """A job whose accounts have come to these ends."""
    asked = await placed(ledger, NewJob(job, len(ends), **more))
    leased = (await ledger.claim("s1", [asked], Room(5000), plan)).accounts
    pairs = zip(leased, ends, strict=True)
    done = [
        result(a, end, entry_id=f"e{a.index}", reason="r", in_doubt=end is UNSURE)
        for a, end in pairs
    ]
    await ledger.record("s1", done)


async def asked(queries: Queries, count: int = 3, ident: str = "u", **more: Any) -> Submitted:
    return await undo(queries.engine, Undoing(ident, "default", "j", count, actor=CONSOLE, **more))


async def claimed(ledger: Ledger, job: str = "u", room: int = 5000) -> list[LeasedAccount]:
    place = (await ledger.places([job]))[job]
    return (await ledger.claim("s1", [Asked(job, place)], Room(room), plan)).accounts


async def removed(ledger: Ledger, leased: list[LeasedAccount], reason: str | None = None) -> None:
    await ledger.record("s1", [result(a, DELETED, reason=reason) for a in leased])


async def rows(queries: Queries, job: str) -> list[tuple[Any, ...]]:
    columns = (accounts.c.idx, accounts.c.status, accounts.c.reason, accounts.c.sealed)
    async with queries.engine.begin() as db:
        query = sa.select(*columns).where(accounts.c.job_id == job).order_by(accounts.c.idx)
        return [tuple(row) for row in (await db.execute(query)).all()]


async def told(queries: Queries, job: str) -> list[tuple[int | None, str, str | None]]:
    noted = await queries.history("default", job, None, 0, 1000)
    return [(one["idx"], one["what"], one["detail"]) for one in noted]


async def test_just_what_was_created_is_to_be_removed(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    done = await asked(queries)
    assert done.place is not None
    job = await queries.job("default", "u")
    assert (job["undoes"], job["stage"], job["count"], job["status"]) == (
        "j",
        "remove",
        3,
        "pending",
    )
    leased = await claimed(ledger)
    assert [(a.index, a.row, a.tag, a.entry_id) for a in leased] == [
        (0, 0, tag_of("j", 0), "e0"), (1, 2, tag_of("j", 2), "e2"), (2, 4, tag_of("j", 4), "e4"),
    ]  # fmt: skip
    assert {(a.stage, a.undoes, a.sealed, a.unguessable) for a in leased} == {
        (Stage.REMOVE, "j", None, True)
    }
    assert [a.person.username for a in leased] == ["j-0", "j-2", "j-4"]


async def test_what_is_removed_is_so_in_both_jobs(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    first, second, third = await claimed(ledger)
    await removed(ledger, [first])
    job = await queries.job("default", "j")
    assert (job["created"], job["deleted"], job["status"]) == (2, 1, "failed")
    await removed(ledger, [second, third], "was gone already")
    job, undone = await queries.job("default", "j"), await queries.job("default", "u")
    assert (job["created"], job["existing"], job["failed"], job["deleted"]) == (0, 1, 1, 3)
    assert (undone["status"], undone["deleted"], undone["created"]) == ("completed", 3, 0)
    assert undone["finished_at"] is not None
    assert await rows(queries, "j") == [
        (0, "deleted", None, None), (1, "existing", "r", b"sealed"),
        (2, "deleted", "was gone already", None), (3, "failed", "r", b"sealed"),
        (4, "deleted", "was gone already", None),
    ]  # fmt: skip
    assert [n for n in await told(queries, "j") if n[1] in {"removed", "undo asked"}] == [
        (None, "undo asked", "3 accounts, by job u"), (0, "removed", "by job u"),
        (2, "removed", "by job u"), (4, "removed", "by job u"),
    ]  # fmt: skip


async def test_a_batch_may_hold_results_of_both_kinds(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    leased = await claimed(ledger)
    (other,) = (
        await ledger.claim("s1", [await placed(ledger, NewJob("k", 1))], Room(9), plan)
    ).accounts
    mixed = [result(a, DELETED, reason=None) for a in leased[:2]]
    mixed += [result(other, CREATED), result(leased[2], FAILED)]
    recorded = await ledger.record("s1", mixed)
    assert {job.id: job.status for job in recorded.jobs} == {
        "u": JobStatus.FAILED, "k": JobStatus.COMPLETED,
    }  # fmt: skip
    job = await queries.job("default", "j")
    assert (job["created"], job["deleted"]) == (1, 2)


async def test_a_result_counts_once(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    leased = await claimed(ledger)
    await removed(ledger, leased[:1])
    again = await ledger.record("s1", [result(a, DELETED) for a in leased[:1]])
    assert (again.accepted, again.stale) == (0, [("u", 0)])
    job = await queries.job("default", "j")
    assert (job["created"], job["deleted"]) == (2, 1)


async def test_a_lost_worker_leaves_it_to_another(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    leased = await claimed(ledger)
    await removed(ledger, leased[:1])
    await ledger.mark_lost("s1", None)
    await ledger.free(10)
    await ledger.open_session("s2", "worker-2", "host", 1, "0")
    place = (await ledger.places(["u"]))["u"]
    again = (await ledger.claim("s2", [Asked("u", place)], Room(9), plan)).accounts
    assert [(a.index, a.attempt, a.find_first, a.tag) for a in again] == [
        (1, 2, True, tag_of("j", 2)), (2, 2, True, tag_of("j", 4)),
    ]  # fmt: skip
    await ledger.record("s2", [result(a, DELETED) for a in again])
    assert (await queries.job("default", "u"))["status"] == "completed"


async def test_the_count_must_be_right(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    for count in (1, 4, 5):
        with pytest.raises(Conflict, match=f"has 3 accounts that it created, not {count}"):
            await asked(queries, count)
    with pytest.raises(Conflict, match="at most 2 are removed unless max_deletes"):
        await asked(queries, 3, max_deletes=2)
    assert (await asked(queries, 3, max_deletes=3)).place is not None


async def test_many_go_only_if_somebody_says_so(
    ledger: Ledger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_module, "MAX_DELETES", 2)
    await ended(ledger)
    with pytest.raises(Conflict, match="give max_deletes 3"):
        await asked(queries)
    assert (await asked(queries, max_deletes=3)).place is not None


async def test_only_a_final_job_can_be_undone(ledger: Ledger, queries: Queries) -> None:
    await placed(ledger, NewJob("j", 3))
    with pytest.raises(Conflict, match="is pending; cancel it first"):
        await asked(queries)
    with pytest.raises(NotFound):
        await undo(queries.engine, Undoing("u", "default", "nothing", 3))
    with pytest.raises(NotFound):
        await undo(queries.engine, Undoing("u", "another tenant", "j", 3))


async def test_where_nothing_was_created_there_is_nothing_to_undo(
    ledger: Ledger, queries: Queries
) -> None:
    await ended(ledger, (EXISTING, FAILED))
    with pytest.raises(Conflict, match="nothing to undo"):
        await asked(queries, 2)


async def test_a_job_is_undone_by_one_at_a_time(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    done = await asyncio.gather(
        *(asked(queries, ident=f"u{n}") for n in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, Submitted) for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 3
    (one,) = [one for one in done if isinstance(one, Submitted)]
    with pytest.raises(Conflict, match=f"job {one.job_id} is undoing job j"):
        await asked(queries)
    leased = await claimed(ledger, one.job_id)
    await removed(ledger, leased[:1])
    await ledger.record("s1", [result(a, FAILED) for a in leased[1:]])
    assert (await asked(queries, 2)).place is not None  # what is left


async def test_an_undo_is_not_undone_itself(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    await removed(ledger, await claimed(ledger))
    with pytest.raises(Conflict, match="undoes job j"):
        await undo(queries.engine, Undoing("v", "default", "u", 3))


async def test_a_job_that_is_being_undone_is_not_retried(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    with pytest.raises(Conflict, match="job u is undoing job j"):
        await queries.retry("default", "j", CONSOLE)
    await removed(ledger, await claimed(ledger))
    retried = await queries.retry("default", "j", CONSOLE)
    assert (retried["status"], retried["deleted"]) == ("running", 3)


async def test_what_could_not_be_removed_is_tried_again(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    one, two, three = await claimed(ledger)
    await ledger.record("s1", [result(one, DELETED), result(two, FAILED), result(three, FAILED)])
    assert (await queries.job("default", "u"))["status"] == "failed"
    await asked(queries, 2, "v")
    with pytest.raises(Conflict, match="job v is undoing job j"):
        await queries.retry("default", "u", CONSOLE)
    one, two = await claimed(ledger, "v")
    await ledger.record("s1", [result(one, DELETED), result(two, FAILED)])
    await queries.retry("default", "u", CONSOLE)
    with pytest.raises(Conflict, match="job u is undoing job j"):
        await asked(queries, 1, "w")
    await ledger.due(10)
    again = await claimed(ledger)
    assert [a.index for a in again] == [1, 2]
    await removed(ledger, again)  # of which one was gone already
    job, undone = await queries.job("default", "j"), await queries.job("default", "u")
    assert (undone["status"], undone["deleted"]) == ("completed", 3)
    assert (job["created"], job["deleted"], job["existing"], job["failed"]) == (0, 3, 1, 1)


async def test_a_cancelled_undo_removes_no_more(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    (one,) = await claimed(ledger, room=1)
    await queries.cancel("default", "u", CONSOLE)
    await removed(ledger, [one])
    await ledger.due(10)
    job, undone = await queries.job("default", "j"), await queries.job("default", "u")
    assert (undone["status"], undone["deleted"], undone["cancelled"]) == ("cancelled", 1, 2)
    assert (job["created"], job["deleted"]) == (2, 1)
    assert (await asked(queries, 2, "v")).place is not None


async def test_a_key_gives_the_same_undo(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries, key="k")
    again = await asked(queries, ident="v", key="k")
    assert (again.job_id, again.replay, again.place) == ("u", True, None)
    assert (await asked(queries, 2, "w", key="k")).clash
    await removed(ledger, await claimed(ledger))
    assert (await asked(queries, ident="x", key="k")).replay


async def test_who_is_refused_leaves_nothing_behind(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    with pytest.raises(Conflict):
        await asked(queries, 4, key="k")
    async with queries.engine.begin() as db:
        assert (await db.execute(sa.select(jobs.c.id))).scalars().all() == ["j"]
    assert (await asked(queries, key="k")).place is not None


async def test_it_is_written_down_who_asked(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    await asked(queries)
    async with queries.engine.begin() as db:
        query = sa.select(audit.c.who, audit.c.object, audit.c.detail)
        lines = (await db.execute(query.where(audit.c.what == "job.undo"))).all()
    assert [tuple(line) for line in lines] == [(CONSOLE.who, "j", "3 accounts, by job u")]


async def test_large_jobs_are_copied_in_parts(
    ledger: Ledger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_module, "_CHUNK", 4)
    await ended(ledger, (FAILED, *(CREATED,) * 8, EXISTING, *(CREATED,) * 3))
    await asked(queries, 11)
    leased = await claimed(ledger)
    assert [(a.index, a.row) for a in leased] == [
        *((n, n + 1) for n in range(8)), *((n, n + 2) for n in range(8, 11)),
    ]  # fmt: skip


async def test_what_lands_while_it_is_prepared_is_noticed(
    ledger: Ledger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the reconciler: the number that was confirmed is then not that of the job."""
    await ended(ledger)
    late = (await ledger.provisional("j", -1, 10))[0]
    copy = undo_module._copy

    async def slow(*given: Any) -> int:
        copied = await copy(*given)
        await ledger.landed("s1", [Found(late, "e3")])
        return copied

    monkeypatch.setattr(undo_module, "_copy", slow)
    with pytest.raises(Conflict, match="has 4 accounts that it created, not 3"):
        await asked(queries)
    assert await rows(queries, "u") == []


async def test_what_was_left_half_copied_is_taken_back(
    ledger: Ledger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(ledger)

    async def killed(*_: Any) -> int:
        raise KeyboardInterrupt

    async def nothing(*_: Any) -> None: ...

    with monkeypatch.context() as broken:
        broken.setattr(undo_module, "_finish", killed)
        broken.setattr(undo_module, "take_back", nothing)
        with pytest.raises(KeyboardInterrupt):
            await asked(queries)
    assert len(await rows(queries, "u")) == 3
    with pytest.raises(NotFound):  # nobody sees it
        await queries.job("default", "u")
    with pytest.raises(Conflict, match="being prepared"):
        await asked(queries, ident="v")
    with pytest.raises(Conflict, match="being prepared"):
        await queries.retry("default", "j", CONSOLE)
    async with queries.engine.begin() as db:
        await db.execute(sa.update(jobs).where(jobs.c.id == "u").values(updated_at=now() - 61))
    assert (await asked(queries, ident="v")).place is not None
    assert await rows(queries, "u") == []
    assert await sweep(queries.engine, -1.0) == 0


async def test_what_is_whole_is_not_taken_back(
    ledger: Ledger, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answer to its last commit was lost."""
    await ended(ledger)
    finish = undo_module._finish

    async def unheard(*given: Any) -> Submitted:
        await finish(*given)
        raise LedgerDown("no answer")

    monkeypatch.setattr(undo_module, "_finish", unheard)
    with pytest.raises(LedgerDown):
        await asked(queries)
    await take_back(queries.engine, "u")
    assert len(await claimed(ledger)) == 3


async def test_the_reconciler_leaves_alone_what_an_undo_left(
    ledger: Ledger, queries: Queries
) -> None:
    """Neither what it could not remove nor what it only disabled is to be removed behind it."""
    await ended(ledger)
    await asked(queries)
    one, two, three = await claimed(ledger)
    await removed(ledger, [one], DISABLED)
    await ledger.record("s1", [result(two, FAILED), result(three, FAILED)])
    assert [late.account.index for late in await ledger.provisional("j", -1, 10)] == [3]
    assert await ledger.provisional("u", -1, 10) == []


async def test_what_a_late_call_may_make_again_is_looked_for(
    ledger: Ledger, queries: Queries
) -> None:
    """Of an account that was created, some earlier call may not have been answered; once the name
    is free again, it can land."""
    await ended(ledger, (UNSURE, CREATED))
    await ledger.due(10)
    (doubted,) = await claimed(ledger, "j")
    await ledger.record("s1", [result(doubted, CREATED, entry_id="e0", reason="adopted")])
    await asked(queries, 2)
    one, two = await claimed(ledger)
    await removed(ledger, [two])
    assert await ledger.look_again("s1", 0.0) is None
    await removed(ledger, [one])
    job = await ledger.look_again("s1", 0.0)
    assert job is not None
    assert job.job_id == "j"
    assert [late.account.index for late in await ledger.provisional("j", -1, 10)] == [0, 1]


async def test_an_undo_counts_against_no_quota(ledger: Ledger, queries: Queries) -> None:
    async with queries.engine.begin() as db:
        await db.execute(sa.update(tenants).values(open_jobs=1, accounts_per_day=6))
    await ended(ledger)
    await asked(queries)
    (other,) = await ledger.submit([Submission(NewJob("k", 1))])
    assert not other.refused


async def test_names_of_a_roster_stay_those_of_a_roster(ledger: Ledger, queries: Queries) -> None:
    await ended(ledger)
    async with queries.engine.begin() as db:
        await db.execute(sa.update(jobs).values(source=Source.IMPORT.value))
    await asked(queries)
    assert {a.unguessable for a in await claimed(ledger)} == {False}
