"""The configured directories, and how they are used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastapi import APIRouter, Request

from botrix.api.body import read_as
from botrix.api.door import Here, Key, Operates, Reads
from botrix.api.schemas import Directories, DirectoryView, PauseRequest, time_of
from botrix.creators.limits import read_limits, read_on_undo
from botrix.errors import DirectoryError, NotFound
from botrix.ledger import burden
from botrix.ledger.governing import used
from botrix.ledger.pausing import Pausing
from botrix.states import DirectoryStatus

T = TypeVar("T")
router = APIRouter(prefix="/api/directories", tags=["directories"])
_SCHEMA = PauseRequest.model_json_schema()
_BODY = {"requestBody": {"required": False, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.get("", response_model=Directories)
async def directories(here: Reads) -> dict[str, Any]:
    """The configured directories; credentials are no part of them."""
    rows = await here.queries.directories(here.tenant)
    busy = await burden.in_flight(here.queries.engine, here.tenant)
    return {
        "items": [await _view(here, busy, row["name"], row["kind"], row["config"]) for row in rows]
    }


@router.get("/{name}", response_model=DirectoryView)
async def directory(here: Reads, name: str) -> dict[str, Any]:
    """How much it is asked, and why; whether its jobs wait, and why."""
    return await view_of(here, name)


@router.post("/{name}/pause", response_model=DirectoryView, openapi_extra=_BODY)
async def pause(request: Request, here: Operates, name: str, key: Key) -> dict[str, Any]:
    """Leave a directory alone until it is resumed. Its jobs are held, and lose nothing by it; what
    is under way is still finished."""
    body = await request.body()
    asked = read_as(PauseRequest, body) if body else PauseRequest()
    await Pausing(here.queries.engine).pause(here.tenant, name, asked.reason, here.who.actor, key)
    return await view_of(here, name)


@router.post("/{name}/resume", response_model=DirectoryView)
async def resume(here: Operates, name: str, key: Key) -> dict[str, Any]:
    """Use a paused directory again. One that was failing is tried by one call at a time first."""
    await Pausing(here.queries.engine).resume(here.tenant, name, here.who.actor, key)
    return await view_of(here, name)


async def view_of(here: Here, name: str) -> dict[str, Any]:
    """Raises NotFound where the tenant has no such directory."""
    row = await here.services.ledger.directory(here.tenant, name)
    if row is None:
        raise NotFound(f"there is no directory {name!r}; see: GET /api/directories")
    busy = await burden.in_flight(here.queries.engine, here.tenant)
    return await _view(here, busy, name, row.kind, row.config)


async def _view(
    here: Here, busy: Mapping[str, int], name: str, kind: str, config: str
) -> dict[str, Any]:
    use = used(await here.services.ledger.standing(here.tenant, name))
    limits, on_undo = _said(read_limits, config), _said(read_on_undo, config)
    return {
        "name": name,
        "kind": kind,
        "paused": use.status == "paused",
        "status": use.status,
        "reason": use.reason or None,
        "paused_by": use.by or None,
        "since": time_of(use.since),
        "next_probe_in": use.next_probe_in,
        "limit": use.limit,
        "limit_reason": use.limit_reason,
        "most": limits and limits.most,
        "rate": limits and limits.rate,
        "workers": use.workers,
        "at_once": use.at_once,
        "in_flight": busy.get(name, 0),
        "held": await _held(here, name, use.status),
        "on_undo": on_undo,
    }


async def _held(here: Here, name: str, status: DirectoryStatus) -> int:
    """Of one that works none is held, or no longer."""
    if status is DirectoryStatus.WORKING:
        return 0
    return await burden.held(here.queries.engine, here.tenant, name)


def _said(read: Callable[[dict[str, Any]], T], config: str) -> T | None:
    """None where it was entered by other hands and cannot be used; the use of the directory says
    so."""
    try:
        return read(json.loads(config))
    except DirectoryError:
        return None
