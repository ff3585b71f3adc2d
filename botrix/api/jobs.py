"""/api/jobs: what was asked for and how far it is."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from botrix.api.body import read_as
from botrix.api.door import INDEX_MOST, Key, Operates, Reads
from botrix.api.schemas import (
    AccountView,
    ApplyRequest,
    BadRowView,
    JobView,
    Page,
    ReasonView,
    account_view,
    job_view,
)
from botrix.api.times import Time
from botrix.errors import InvalidInput
from botrix.ledger import statistics
from botrix.ledger.plans import Plans
from botrix.states import AccountStatus, JobStatus, Prospect, Stage, Waits

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
_APPLY = ApplyRequest.model_json_schema()
_APPLY_BODY = {"requestBody": {"content": {"application/json": {"schema": _APPLY}}}}
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("", response_model=Page[JobView])
async def jobs(
    here: Reads,
    status: JobStatus | None = None,
    directory: str | None = None,
    stage: Stage | None = None,
    waits: Waits | None = None,
    undoes: str | None = None,
    created_after: Time | None = None,
    created_before: Time | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Jobs, newest first. waits: for a person, and why; undoes: the job whose accounts they
    remove."""
    asked = {"status": status, "directory": directory, "stage": stage, "waits": waits}
    where: dict[str, Any] = {name: str(value) for name, value in asked.items() if value is not None}
    where |= {} if undoes is None else {"undoes": undoes}
    times = {"after": created_after, "before": created_before}
    where |= {name: time.timestamp() for name, time in times.items() if time is not None}
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
    prospect: Prospect | None = None,
    reason: str | None = None,
    cursor: Annotated[int, Query(ge=-1, le=INDEX_MOST)] = -1,
    limit: Limit = 100,
) -> dict[str, Any]:
    """The accounts of a job that are planned so far, by index. reason: of those that failed."""
    if reason is not None and status not in (None, AccountStatus.FAILED):
        raise InvalidInput(f"reason: it is that of failed accounts; leave status={status} out")
    await here.queries.job(here.tenant, job_id)
    asked = {"job_id": job_id, "status": status and status.value, "reason": reason}
    asked["prospect"] = prospect and prospect.value
    where = {name: value for name, value in asked.items() if value is not None}
    rows = await here.queries.accounts(here.tenant, where, (job_id, cursor), limit)
    following = str(rows[-1]["idx"]) if len(rows) == limit else None
    return {"items": [account_view(row) for row in rows], "next": following}


@router.get("/{job_id}/reasons", response_model=Page[ReasonView])
async def reasons(here: Reads, job_id: str) -> dict[str, Any]:
    """Why accounts of a job failed, and how many, the most frequent first."""
    await here.queries.job(here.tenant, job_id)
    found = await statistics.of_reasons(here.queries.engine, here.tenant, job_id)
    return {"items": found, "next": None}


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
    row = await here.queries.cancel(here.tenant, job_id, here.who.actor, key)
    await here.submitting.moved(row)
    return job_view(row)


@router.post("/{job_id}/retry", response_model=JobView, status_code=202)
async def retry(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Try just the failed accounts of a failed job again."""
    row = await here.queries.retry(here.tenant, job_id, here.who.actor, key)
    await here.submitting.opened_again(row)
    return job_view(row)


@router.post("/{job_id}/apply", response_model=JobView, status_code=202, openapi_extra=_APPLY_BODY)
async def apply(request: Request, here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Create what a plan showed. It is looked at again before, and refused where the directory has
    moved since: then the plan is a new one, which waits again, and `moved` says how many rows."""
    asked = read_as(ApplyRequest, await request.body() or b"{}")
    plans = Plans(here.queries.engine)
    await plans.apply(here.tenant, job_id, asked.roster_sha256, here.who.actor, key)
    row = await here.queries.job(here.tenant, job_id)
    await here.submitting.moved(row)
    return job_view(row)


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
