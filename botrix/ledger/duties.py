"""What is wanted of workers: it stands at their sessions, which hear it with their next beat."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin
from botrix.ledger.idempotency import first_use
from botrix.ledger.tables import sessions
from botrix.states import Duty


async def want(
    engine: AsyncEngine, tenant: str, worker_id: str, duty: Duty, actor: Actor,
    key: str | None = None,
) -> None:  # fmt: skip
    """Of the live session of a worker. All workers are the first tenant's, though they work for
    all: only its operators may ask them. Raises NotFound where no such worker lives, Conflict where
    it is of a release that cannot be asked."""
    mine = (sessions.c.tenant_id == tenant, sessions.c.worker_id == worker_id)
    live = (*mine, sessions.c.status == "live")
    async with begin(engine) as db:
        query = sa.select(sessions.c.id, sessions.c.wanted).where(*live).order_by(sessions.c.id)
        found = (await db.execute(query.with_for_update())).all()
        if not found:
            raise NotFound(f"there is no live worker {worker_id!r}; see: botrix workers")
        if not await first_use(db, tenant, key, f"{duty}:{worker_id}", worker_id):
            return
        able = [row.id for row in found if row.wanted is not None]
        if not able:
            raise Conflict(
                f"worker {worker_id} is of an earlier release, which hears no orders; end it by "
                "SIGTERM, and start one of this release"
            )
        change = sa.update(sessions).where(sessions.c.id.in_(able)).values(wanted=duty.value)
        await db.execute(change)
        await note_act(db, Act(f"worker.{duty}", worker_id, "", tenant), actor)
