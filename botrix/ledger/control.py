"""What people decide about a job: that it waits, and that it goes on.

A job that waits has `paused` set and `waits` says why; it has no place in the line and falls due at
no time, so that nothing of it is claimed. What is under way is finished.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use
from botrix.ledger.queries import Queries
from botrix.ledger.tables import history, jobs
from botrix.ledger.turns import GUARDED_COLUMNS, Guarded, turn
from botrix.states import Happening, Waits

Row = dict[str, Any]
_OPEN = ("pending", "running")
_VERB = {
    Waits.PLAN: ("apply", "is planned and waits to be applied"),
    Waits.CANARY: ("approve", "waits for somebody to approve its first accounts"),
    Waits.FAILURES: ("release", "waits since too many of its accounts failed"),
    Waits.PAUSED: ("resume", "is paused"),
}
"""By what a job waits for: the verb that lets it go on, and how people are told."""
_MORE = "more may fail"
_AT_ONCE_OR_LATER = sa.case((jobs.c.not_before > now(), jobs.c.not_before), else_=now())
_GO_ON: Row = {"paused": False, "waits": None, "due_at": _AT_ONCE_OR_LATER}
_LOOKED_AT = (
    jobs.c.status, jobs.c.paused, jobs.c.waits, jobs.c.held, jobs.c.directory, jobs.c.failed,
    jobs.c.max_failures,
)  # fmt: skip


class Control:
    """Each answers the job as it then is. Raises NotFound where the tenant has no such job, and
    Conflict, naming the verb to use, where it does not wait for this."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def pause(self, tenant: str, job_id: str, actor: Actor, key: str | None = None) -> Row:
        """Until somebody resumes it, whatever its directory does."""
        async with begin(self._engine) as db:
            if await self._first(db, tenant, job_id, "pause", key) is not None:
                change: Row = {"paused": True, "waits": Waits.PAUSED.value, "held": False}
                change |= {"place": None, "due_at": None}
                await _change(db, job_id, change)
                await _note(db, tenant, job_id, Happening.PAUSED)
                await note_act(db, Act("job.pause", job_id, "", tenant), actor)
        return await self._shown(tenant, job_id)

    async def resume(self, tenant: str, job_id: str, actor: Actor, key: str | None = None) -> Row:
        async with begin(self._engine) as db:
            if await self._first(db, tenant, job_id, "resume", key) is not None:
                await _change(db, job_id, _GO_ON)
                await _note(db, tenant, job_id, Happening.RESUMED)
                await _take_turn(db, tenant, job_id)
                await note_act(db, Act("job.resume", job_id, "", tenant), actor)
        return await self._shown(tenant, job_id)

    async def approve(self, tenant: str, job_id: str, actor: Actor, key: str | None = None) -> Row:
        """All accounts of the job may be created."""
        async with begin(self._engine) as db:
            if await self._first(db, tenant, job_id, "approve", key) is not None:
                await _change(db, job_id, {**_GO_ON, "reach": None})
                await _note(db, tenant, job_id, Happening.APPROVED)
                await note_act(db, Act("job.approve", job_id, "", tenant), actor)
        return await self._shown(tenant, job_id)

    async def release(self, tenant: str, job_id: str, actor: Actor, key: str | None = None) -> Row:
        """As many accounts may fail besides as were allowed at first."""
        async with begin(self._engine) as db:
            job = await self._first(db, tenant, job_id, "release", key)
            if job is not None:
                budget = await _budget(db, job_id, job["max_failures"] or 0)
                await _change(db, job_id, {**_GO_ON, "max_failures": job["failed"] + budget})
                why = f"{budget} {_MORE}"
                await _note(db, tenant, job_id, Happening.LET_ON, why)
                await _take_turn(db, tenant, job_id)
                await note_act(db, Act("job.release", job_id, why, tenant), actor)
        return await self._shown(tenant, job_id)

    async def _first(
        self, db: AsyncConnection, tenant: str, job_id: str, verb: str, key: str | None
    ) -> Row | None:
        """The job, locked, if it is to be done; None where it was, with this key."""
        query = sa.select(*_LOOKED_AT).where(jobs.c.tenant_id == tenant, jobs.c.id == job_id)
        found = await db.execute(query.where(~jobs.c.importing).with_for_update())
        job = found.mappings().first()
        if job is None:
            raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
        if not await first_use(db, tenant, key, f"{verb}:{job_id}", job_id):
            return None
        refusal = _refusal(job, verb)
        if refusal is not None:
            raise Conflict(f"job {job_id} {refusal.format(job=job_id)}")
        return dict(job)

    async def _shown(self, tenant: str, job_id: str) -> Row:
        return await Queries(self._engine).job(tenant, job_id)


def _refusal(job: sa.RowMapping, verb: str) -> str | None:
    """Why this is no verb for the job, which stands as {job}."""
    if job["status"] not in _OPEN:
        return f"is {job['status']}; only an open job can be {_DONE[verb]}"
    if not job["paused"]:
        return None if verb == "pause" else _waits_for_nobody(job, verb)
    right, told = _VERB[Waits(job["waits"] or Waits.PAUSED)]
    return None if right == verb else f"{told}; use: botrix {right} {{job}}"


def _waits_for_nobody(job: sa.RowMapping, verb: str) -> str:
    if job["held"]:
        name = job["directory"]
        return (
            f"waits for its directory {name}, so there is nothing to {verb} at the job; see: "
            f"botrix directory show {name}"
        )
    return f"is {job['status']} and waits for nobody, so there is nothing to {verb}"


_DONE = {"pause": "paused", "resume": "resumed", "approve": "approved", "release": "released"}


async def _budget(db: AsyncConnection, job_id: str, allowed: int) -> int:
    """How many failures were allowed at first: the note of an earlier release has it, since the
    column holds by then where the job is to stop next."""
    query = sa.select(history.c.reason).where(
        history.c.job_id == job_id, history.c.what == Happening.LET_ON.value
    )
    before = (await db.execute(query.order_by(history.c.n).limit(1))).scalar_one_or_none()
    return allowed if before is None else int(before.partition(" ")[0])


async def _take_turn(db: AsyncConnection, tenant: str, job_id: str) -> None:
    """What was under way when the job was let wait may have been the last of its canary, or of its
    looks; then nothing is left to be recorded, and so nobody else would see that it turns."""
    query = sa.text(f"SELECT {GUARDED_COLUMNS} FROM jobs j WHERE j.id = :id")  # noqa: S608  a constant
    one = turn(Guarded(*(await db.execute(query, {"id": job_id})).one()))
    if one is None:
        return
    change: Row = {"stage": one.stage, "look": one.look, "reach": one.reach}
    if one.waits is not None:
        change |= {"paused": True, "waits": one.waits.value, "due_at": None}
    await _change(db, job_id, change)
    await _note(db, tenant, job_id, one.happening, one.waits)


async def _change(db: AsyncConnection, job_id: str, change: Row) -> None:
    query = sa.update(jobs).where(jobs.c.id == job_id)
    await db.execute(query.values(**change, updated_at=now()))


async def _note(
    db: AsyncConnection, tenant: str, job_id: str, what: Happening, why: str | None = None
) -> None:
    values = {"tenant_id": tenant, "job_id": job_id, "what": what.value, "reason": why}
    await db.execute(sa.insert(history).values(**values, at=now()))
