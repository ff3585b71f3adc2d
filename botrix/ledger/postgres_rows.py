"""What every statement on PostgreSQL shares: the connection, the clock, the columns of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from botrix.errors import SessionLost
from botrix.model import JobState, Lane
from botrix.states import FINAL_JOB, JobStatus, Stage, Waits

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Db: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Db = Any

NOW = "extract(epoch FROM clock_timestamp())::float8"
JOB = (
    "j.id, j.tenant_id, j.status, j.lane, j.directory, j.count, j.created, j.existing, j.failed,"
    " j.cancelled, j.deleted, j.retried, j.stage, j.waits, j.finished_at - j.created_at AS lasted"
)
SUM = "j.created + j.existing + j.failed + j.cancelled + j.deleted"
_ENDS = (  # of a job whose counters move by u
    f"{SUM} + u.created + u.failed + u.cancelled + u.deleted = j.count"
)
MOVED = f"""
UPDATE jobs j SET created = j.created + u.created, failed = j.failed + u.failed,
  cancelled = j.cancelled + u.cancelled, deleted = j.deleted + u.deleted, updated_at = {NOW},
  status = CASE WHEN NOT ({_ENDS}) OR j.status = 'cancelled' THEN j.status
                WHEN j.status = 'cancelling' THEN 'cancelled'
                WHEN j.failed + u.failed > 0 THEN 'failed' ELSE 'completed' END,
  place = CASE WHEN {_ENDS} THEN NULL ELSE j.place END,
  due_at = CASE WHEN {_ENDS} THEN NULL ELSE j.due_at END,
  finished_at = CASE WHEN {_ENDS} THEN coalesce(j.finished_at, {NOW}) ELSE j.finished_at END,
  look_at = CASE WHEN {_ENDS} AND j.status IN ('running', 'cancelling')
    AND j.failed + u.failed + j.cancelled + u.cancelled > 0 THEN {NOW} ELSE j.look_at END
FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::int[])
     u (id, created, failed, cancelled, deleted)
WHERE j.id = u.id RETURNING {JOB}
"""


def job_state(row: Iterable[Any]) -> JobState:
    """From the columns of JOB, in their order (more may follow)."""
    ident, tenant, status, lane, directory, *counts, stage, waits, lasted = tuple(row)[:15]
    waiting = Waits(waits) if waits and status not in FINAL_JOB else None
    more = [*counts, Stage(stage), waiting, lasted]
    return JobState(ident, tenant, JobStatus(status), Lane(lane), directory, *more)


def lost(session: str) -> SessionLost:
    return SessionLost(f"session {session} was declared lost; the worker starts a new one")


async def moved(db: Db, changes: Mapping[str, Mapping[str, int]]) -> list[JobState]:
    """Moves the counters of jobs that this transaction has locked; final where they add up."""
    if not changes:
        return []
    names = ("created", "failed", "cancelled", "deleted")
    columns = ([change.get(name, 0) for change in changes.values()] for name in names)
    return [job_state(row) for row in await db.fetch(MOVED, list(changes), *columns)]
