"""What people decide about jobs: /api/jobs/{job_id}/pause and the like, and many jobs at once."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request

from botrix.api.body import read_as
from botrix.api.door import Here, Key, Operates
from botrix.api.schemas import JobView, ManyRequest, ManyView, job_view
from botrix.errors import InvalidInput
from botrix.ledger.control import Control
from botrix.ledger.many import CAN_BE_CANCELLED, CAN_BE_RETRIED, Jobs, Many, Which

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
_SCHEMA = ManyRequest.model_json_schema(ref_template="#/components/schemas/{model}")
_SCHEMA.pop("$defs")  # see generate.py
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.post("/{job_id}/pause", response_model=JobView)
async def pause(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Let an open job wait until it is resumed; accounts under way are still finished."""
    return await _shown(here, await _of(here).pause(here.tenant, job_id, here.who.actor, key))


@router.post("/{job_id}/resume", response_model=JobView)
async def resume(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Let a paused job go on."""
    return await _shown(here, await _of(here).resume(here.tenant, job_id, here.who.actor, key))


@router.post("/{job_id}/approve", response_model=JobView)
async def approve(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Create the rest of a job that waits after its first accounts (its canary)."""
    return await _shown(here, await _of(here).approve(here.tenant, job_id, here.who.actor, key))


@router.post("/{job_id}/release", response_model=JobView)
async def release(here: Operates, job_id: str, key: Key) -> dict[str, Any]:
    """Let a job go on of which too many accounts failed; as many more may fail as were allowed."""
    return await _shown(here, await _of(here).release(here.tenant, job_id, here.who.actor, key))


@router.post("/cancel", response_model=ManyView, openapi_extra=_BODY)
async def cancel_many(request: Request, here: Operates, key: Key) -> dict[str, Any]:
    """Cancel the open jobs that are so, oldest first, one after another."""
    asked = read_as(ManyRequest, await request.body())
    found = Jobs(here.queries.engine, here.tenant, here.who.actor)
    if asked.dry_run:
        return _counted(*await found.count(_which(asked), CAN_BE_CANCELLED))
    done = await found.cancel(_which(asked), key, _mark(asked))
    await here.submitting.moved(*await here.queries.named(here.tenant, done.ids))
    return _told(done)


@router.post("/retry", response_model=ManyView, openapi_extra=_BODY)
async def retry_many(request: Request, here: Operates, key: Key) -> dict[str, Any]:
    """Try the failed accounts of the failed jobs that are so again; with a reason just those that
    failed for it."""
    asked = read_as(ManyRequest, await request.body())
    found = Jobs(here.queries.engine, here.tenant, here.who.actor)
    if asked.dry_run:
        return _counted(*await found.count(_which(asked), CAN_BE_RETRIED))
    done = await found.retry(_which(asked), key, _mark(asked))
    await here.submitting.opened_again(*await here.queries.named(here.tenant, done.ids))
    return _told(done)


def _which(asked: ManyRequest) -> Which:
    after = _seconds("created_after", asked.created_after)
    before = _seconds("created_before", asked.created_before)
    return Which(
        asked.status, asked.directory, asked.reason, after, before, asked.cursor, asked.limit
    )


def _seconds(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidInput(f"{name}: write a time with its zone, such as 2026-11-26T08:00:00Z")
    return at.timestamp()


def _mark(asked: ManyRequest) -> str:
    return sha256(asked.model_dump_json().encode()).hexdigest()


def _told(done: Many) -> dict[str, Any]:
    more = done.next is not None
    return {"jobs": len(done.ids), "ids": done.ids, "more": more, "next": done.next}


def _counted(n: int, following: str | None) -> dict[str, Any]:
    return {"jobs": n, "ids": [], "more": following is not None, "next": following}


def _of(here: Here) -> Control:
    return Control(here.queries.engine)


async def _shown(here: Here, row: dict[str, Any]) -> dict[str, Any]:
    await here.submitting.moved(row)
    return job_view(row)
