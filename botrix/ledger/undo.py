"""The undo of a job is a job itself: it removes the accounts that the other one created.

Their rows are copied in short transactions, as those of a roster are, and nobody sees the undo job
before it is whole. The row of the job that is undone is what such a request, another one, and a
retry come together at: each locks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import NOBODY, Act, Actor
from botrix.errors import Conflict, LedgerDown, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use, used_by
from botrix.ledger.imports import next_place, take_back
from botrix.ledger.ledger import Submitted
from botrix.ledger.tables import accounts, history, jobs
from botrix.model import MAX_DELETES
from botrix.states import FINAL_JOB, OPEN_JOB, Happening, Stage

_CHUNK = 2000
_ABANDONED = 60.0
"""Seconds without a new row, after which whoever copied must have been killed."""
_KEPT = ("tenant_id", "username", "email", "given_name", "family_name", "display_name", "entry_id")
_AS_IT_WAS = ("tenant_id", "source", "lane", "directory", "template")


@dataclass(frozen=True, slots=True)
class Undoing:
    """What is asked for. id: of the undo job; count: how many accounts the job is said to have
    created; max_deletes: how many may go at most, if somebody said so."""

    id: str
    tenant_id: str
    job_id: str
    count: int
    max_deletes: int | None = None
    tries: int = 4
    actor: Actor = NOBODY
    key: str | None = None
    traceparent: str | None = None

    @property
    def fingerprint(self) -> str:
        return f"undo:{self.job_id}:{self.count}:{self.max_deletes}"


async def undo(engine: AsyncEngine, asked: Undoing) -> Submitted:
    """The new job and its place, or the earlier one of the key. Raises NotFound; Conflict where the
    job cannot be undone now, or has created more or fewer accounts than was said."""
    await _take_back_abandoned(engine, asked.job_id)
    earlier = await _begin(engine, asked)
    if earlier is not None:
        return earlier
    try:
        copied = await _copy(engine, asked)
        return await _finish(engine, asked, copied)
    except BaseException:
        await take_back(engine, asked.id)
        raise


@dataclass(frozen=True, slots=True)
class Ties:
    """undoes: the job that this one undoes; busy: which job is undoing one of them now, as people
    are told."""

    undoes: str | None = None
    busy: str | None = None


async def ties(db: AsyncConnection, tenant: str, job_id: str) -> Ties:
    """Locks the job, and the one that it undoes, until the transaction ends."""
    undone = sa.select(jobs.c.undoes).where(jobs.c.tenant_id == tenant, jobs.c.id == job_id)
    query = sa.select(jobs.c.id, jobs.c.undoes).where(
        jobs.c.tenant_id == tenant,
        sa.or_(jobs.c.id == job_id, jobs.c.id == undone.scalar_subquery()),
    )
    rows = (await db.execute(query.order_by(jobs.c.id).with_for_update())).all()
    busy = [await _undone_by(db, row.id, besides=job_id) for row in rows]
    undoes = next((row.undoes for row in rows if row.id == job_id), None)
    return Ties(undoes, next(filter(None, busy), None))


async def _take_back_abandoned(engine: AsyncEngine, job_id: str) -> None:
    query = sa.select(jobs.c.id).where(
        jobs.c.undoes == job_id, jobs.c.importing, jobs.c.updated_at < now() - _ABANDONED
    )
    async with begin(engine) as db:
        abandoned = list((await db.execute(query)).scalars())
    for one in abandoned:
        await take_back(engine, one)


async def _begin(engine: AsyncEngine, asked: Undoing) -> Submitted | None:
    async with begin(engine) as db:
        if asked.key is not None:
            user = await used_by(db, asked.tenant_id, asked.key)
            if user is not None:
                same = user[1] == asked.fingerprint
                return Submitted(user[0], replay=same, clash=not same)
        job = await _undoable(db, asked)
        values = {name: job[name] for name in _AS_IT_WAS}
        values |= {"id": asked.id, "undoes": asked.job_id, "stage": Stage.REMOVE.value}
        values |= {
            "tries": asked.tries,
            "count": 0,
            "importing": True,
            "traceparent": asked.traceparent,
        }
        await db.execute(sa.insert(jobs).values(**values, created_at=now(), updated_at=now()))
    return None


async def _undoable(db: AsyncConnection, asked: Undoing) -> dict[str, Any]:
    """The job, which is then locked. Raises NotFound, or Conflict."""
    job_id = asked.job_id
    query = sa.select(jobs).where(jobs.c.tenant_id == asked.tenant_id, jobs.c.id == job_id)
    query = query.where(~jobs.c.importing).with_for_update()
    row = (await db.execute(query)).mappings().first()
    if row is None:
        raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
    if row["undoes"] is not None:
        raise Conflict(f"job {job_id} undoes job {row['undoes']}; what is removed stays so")
    if row["status"] not in FINAL_JOB:
        raise Conflict(
            f"job {job_id} is {row['status']}; cancel it first, and undo it once it is final"
        )
    busy = await _undone_by(db, job_id, besides=asked.id)
    if busy is not None:
        raise Conflict(busy)
    _check_count(asked, row["created"])
    return dict(row)


async def _undone_by(db: AsyncConnection, job_id: str, besides: str) -> str | None:
    """Which other job is doing so, as people are told."""
    query = sa.select(jobs.c.id, jobs.c.importing).where(
        jobs.c.undoes == job_id, jobs.c.id != besides, jobs.c.status.in_(sorted(OPEN_JOB))
    )
    other = (await db.execute(query.limit(1))).first()
    if other is None:
        return None
    if other.importing:
        return f"an undo of job {job_id} is being prepared; try again in a minute"
    return f"job {other.id} is undoing job {job_id}; wait until it ends, or cancel it"


def _check_count(asked: Undoing, created: int) -> None:
    job_id = asked.job_id
    if created == 0:
        raise Conflict(f"job {job_id} has no account that it created; there is nothing to undo")
    if asked.count != created:
        raise Conflict(
            f"job {job_id} has {created} accounts that it created, not {asked.count}; look whether "
            f"it is the job you mean, then give {created}"
        )
    most = MAX_DELETES if asked.max_deletes is None else asked.max_deletes
    if created > most:
        raise Conflict(
            f"job {job_id} has {created} accounts that it created, and at most {most} are removed "
            f"unless max_deletes says otherwise; if they are all to go, give max_deletes {created}"
        )


async def _copy(engine: AsyncEngine, asked: Undoing) -> int:
    """How many accounts there are."""
    copied, last = 0, -1
    while True:
        async with begin(engine) as db:
            await _touch(db, asked.id, {"updated_at": now()})
            n = await _copy_some(db, asked, copied, last)
            rows = sa.select(sa.func.max(accounts.c.row)).where(
                accounts.c.job_id == asked.id, accounts.c.idx >= copied
            )
            copied += n
            if n < _CHUNK:
                return copied
            last = (await db.execute(rows)).scalar_one()


async def _copy_some(db: AsyncConnection, asked: Undoing, copied: int, after: int) -> int:
    """Of higher index than `after`, numbered from `copied` on."""
    mine = (accounts.c.job_id == asked.job_id, accounts.c.status == "created")
    some = sa.select(accounts.c.idx, *(accounts.c[name] for name in _KEPT))
    some = some.where(*mine, accounts.c.idx > after).order_by(accounts.c.idx).limit(_CHUNK)
    found = some.subquery()
    number = sa.func.row_number().over(order_by=found.c.idx) - 1 + copied
    rows = sa.select(
        sa.literal(asked.id), number, found.c.idx, now(), *(found.c[name] for name in _KEPT)
    )
    names = ["job_id", "idx", "row", "updated_at", *_KEPT]
    return (await db.execute(sa.insert(accounts).from_select(names, rows))).rowcount


async def _finish(engine: AsyncEngine, asked: Undoing, copied: int) -> Submitted:
    """From here on the undo job is there."""
    async with begin(engine) as db:
        if not await first_use(db, asked.tenant_id, asked.key, asked.fingerprint, asked.id):
            raise Conflict("the same was asked with this Idempotency-Key meanwhile; ask again")
        await _undoable(db, asked)
        if copied != asked.count:
            raise Conflict(f"the accounts of job {asked.job_id} changed meanwhile; ask again")
        place = await next_place(db)
        change = {"importing": False, "place": place, "count": copied, "next_index": copied}
        await _touch(db, asked.id, {**change, "updated_at": now()})
        values = {"tenant_id": asked.tenant_id, "job_id": asked.job_id, "at": now()}
        detail = f"{copied} accounts, by job {asked.id}"
        await db.execute(
            sa.insert(history).values(**values, what=Happening.UNDO.value, detail=detail)
        )
        await note_act(db, Act("job.undo", asked.job_id, detail, asked.tenant_id), asked.actor)
    return Submitted(asked.id, place)


async def _touch(db: AsyncConnection, job_id: str, change: dict[str, Any]) -> None:
    """Raises LedgerDown where it was taken for abandoned."""
    mine = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.importing)
    if (await db.execute(mine.values(**change))).rowcount != 1:
        raise LedgerDown("the undo took too long to be prepared and was taken back; ask again")
