"""/api/jobs: what was asked for and how far it is."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Query

from botrix.api.door import INDEX_MOST, Key, Operates, Reads
from botrix.api.schemas import AccountView, BadRowView, JobView, Page, account_view, job_view
from botrix.errors import InvalidInput
from botrix.model import AccountStatus, JobStatus

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("", response_model=Page[JobView])
async def jobs(
    here: Reads,
    status: JobStatus | None = None,
    directory: str | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Jobs, newest first."""
    asked = {"status": status, "directory": directory}
    where = {name: str(value) for name, value in asked.items() if value is not None}
    rows = await here.queries.jobs(here.tenant, where, _before(cursor), limit)
    last = rows[-1] if len(rows) == limit else None
    following = f"{last['created_at']!r}~{last['id']}" if last else None
    return {"items": [job_view(row) for row in rows], "next": following}


@router.get("/stats")
async def stats(here: Reads) -> dict[str, Any]:
    """How many jobs are in which state, and the sums of their counts."""
    return await here.queries.job_stats(here.tenant)


@router.get("/{job_id}", response_model=JobView)
async def job(here: Reads, job_id: str) -> dict[str, Any]:
    """One job."""
    return job_view(await here.queries.job(here.tenant, job_id))


@router.get("/{job_id}/accounts", response_model=Page[AccountView])
async def accounts(
    here: Reads,
    job_id: str,
    status: AccountStatus | None = None,
    cursor: Annotated[int, Query(ge=-1, le=INDEX_MOST)] = -1,
    limit: Limit = 100,
) -> dict[str, Any]:
    """The accounts of a job that are planned so far, by index."""
    await here.queries.job(here.tenant, job_id)
    where = {"job_id": job_id} | ({"status": status.value} if status else {})
    rows = await here.queries.accounts(here.tenant, where, (job_id, cursor), limit)
    following = str(rows[-1]["idx"]) if len(rows) == limit else None
    return {"items": [account_view(row) for row in rows], "next": following}


@router.get("/{job_id}/rows", response_model=Page[BadRowView])
async def rows(
    here: Reads,
    job_id: str,
    cursor: Annotated[int, Query(ge=0, le=INDEX_MOST)] = 0,
    limit: Limit = 1000,
) -> dict[str, Any]:
    """The roster rows that were left out, and why."""
    await here.queries.job(here.tenant, job_id)
    found = await here.queries.bad_rows(here.tenant, job_id, cursor, limit)
    return {"items": found, "next": str(found[-1]["row"]) if len(found) == limit else None}


@router.post("/{job_id}/cancel", response_model=JobView, status_code=202)
async def cancel(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Create no more accounts of this job; those under way are still finished."""
    return job_view(await here.queries.cancel(here.tenant, job_id, here.who.actor, key))


@router.post("/{job_id}/retry", response_model=JobView, status_code=202)
async def retry(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Try just the failed accounts of a failed job again."""
    view = job_view(await here.queries.retry(here.tenant, job_id, here.who.actor, key))
    await here.submitting.opened_again(job_id)
    return view


def _before(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    text, _, ident = cursor.partition("~")
    try:
        at = float(text)
    except ValueError:
        at = math.nan
    if not math.isfinite(at):
        raise InvalidInput("cursor: take it from `next` of the page before")
    return at, ident
