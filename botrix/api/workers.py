"""/api/workers/{worker_id}: what is wanted of a worker. It hears it with its next beat."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from botrix.api.door import Here, Key, Operates
from botrix.api.schemas import DutyView
from botrix.ledger.duties import want
from botrix.states import Duty

router = APIRouter(prefix="/api/workers", tags=["system"])


@router.post("/{worker_id}/quiet", response_model=DutyView, status_code=202)
async def quiet(here: Operates, worker_id: str, key: Key) -> dict[str, Any]:
    """Take nothing more, finish what is held, and stay."""
    return await _wanted(here, worker_id, Duty.QUIET, key)


@router.post("/{worker_id}/drain", response_model=DutyView, status_code=202)
async def drain(here: Operates, worker_id: str, key: Key) -> dict[str, Any]:
    """Take nothing more, finish what is held, and end with exit status 0."""
    return await _wanted(here, worker_id, Duty.DRAIN, key)


@router.post("/{worker_id}/work", response_model=DutyView, status_code=202)
async def work(here: Operates, worker_id: str, key: Key) -> dict[str, Any]:
    """Take again, after `quiet`, or after a `drain` that has not ended yet."""
    return await _wanted(here, worker_id, Duty.WORK, key)


async def _wanted(here: Here, worker_id: str, duty: Duty, key: str | None) -> dict[str, Any]:
    await want(here.queries.engine, here.tenant, worker_id, duty, here.who.actor, key)
    return {"worker_id": worker_id, "wanted": duty}
