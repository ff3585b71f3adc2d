"""A plan is a job that was only looked at so far. Applied, it is looked at again, and then made."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use
from botrix.ledger.tables import history, jobs, sessions
from botrix.states import Happening, SessionStatus, Stage, Waits

_AGAIN = {"to_create": 0, "to_adopt": 0, "to_conflict": 0, "moved": 0}


class Plans:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def apply(
        self, tenant: str, job_id: str, digest: str | None, actor: Actor, key: str | None = None
    ) -> None:
        """Workers look at all of it again, and make it unless something moved. digest: SHA-256 of
        the roster that whoever asks holds for the planned one. Raises Conflict where it is no plan
        that waits, or another roster."""
        async with begin(self._engine) as db:
            job = await _locked(db, tenant, job_id)
            if not await first_use(db, tenant, key, f"apply:{job_id}:{digest}", job_id):
                return
            _check(job_id, job, digest)
            change = {"stage": Stage.CHECK, "paused": False, "waits": None, "due_at": now()}
            change |= {"look": jobs.c.look + 1, "updated_at": now(), "walked": 0, **_AGAIN}
            await db.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**change))
            noted = {"tenant_id": tenant, "job_id": job_id, "what": Happening.APPLIED.value}
            await db.execute(sa.insert(history).values(**noted, at=now()))
            await note_act(db, Act("job.apply", job_id, "", tenant), actor)

    async def heeded(self) -> str:
        """Why the workers that run now would not heed how a job is to be run that is not plain; ""
        if they would."""
        live = sessions.c.status == SessionStatus.LIVE.value
        old = sa.select(sessions.c.worker_id).where(live, sessions.c.wanted.is_(None)).limit(1)
        async with begin(self._engine) as db:
            worker = (await db.execute(old)).scalar_one_or_none()
        if worker is None:
            return ""
        return (
            f"worker {worker} is of an earlier release, which would create the accounts at once; "
            "upgrade the workers, then ask again"
        )


async def _locked(db: AsyncConnection, tenant: str, job_id: str) -> Any:
    columns = (jobs.c.status, jobs.c.stage, jobs.c.waits, jobs.c.digest)
    mine = (jobs.c.tenant_id == tenant, jobs.c.id == job_id, ~jobs.c.importing)
    row = (await db.execute(sa.select(*columns).where(*mine).with_for_update())).first()
    if row is None:
        raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
    return row


def _check(job_id: str, job: Any, digest: str | None) -> None:
    if job.stage == Stage.PLAN and job.waits == Waits.PLAN:
        if digest is not None and digest != job.digest:
            raise Conflict(
                f"the roster is not the one that {job_id} planned; plan it anew, or apply the plan "
                "without naming a roster"
            )
        return
    if job.stage in (Stage.PLAN, Stage.CHECK) and job.status in ("pending", "running"):
        raise Conflict(f"job {job_id} is still being looked at; apply it when its plan is there")
    raise Conflict(f"job {job_id} is no plan that waits to be applied")
