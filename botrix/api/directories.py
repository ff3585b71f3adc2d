"""The configured directories, and how they are used."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from botrix.api.door import Here, Reads
from botrix.api.schemas import Directories, DirectoryView, time_of
from botrix.creators.limits import read_limits
from botrix.errors import DirectoryError, NotFound
from botrix.ledger.governing import used

router = APIRouter(prefix="/api/directories", tags=["directories"])


@router.get("", response_model=Directories)
async def directories(here: Reads) -> dict[str, Any]:
    """The configured directories; credentials are no part of them."""
    rows = await here.queries.directories(here.tenant)
    return {"items": [await _view(here, row["name"], row["kind"], row["config"]) for row in rows]}


@router.get("/{name}", response_model=DirectoryView)
async def directory(here: Reads, name: str) -> dict[str, Any]:
    """How much it is asked, and why; whether its jobs wait, and why."""
    row = await here.services.ledger.directory(here.tenant, name)
    if row is None:
        raise NotFound(f"there is no directory {name!r}; see: GET /api/directories")
    return await _view(here, name, row.kind, row.config)


async def _view(here: Here, name: str, kind: str, config: str) -> dict[str, Any]:
    use = used(await here.services.ledger.standing(here.tenant, name))
    try:
        limits = read_limits(json.loads(config))
    except DirectoryError:  # entered by other hands; its use says so
        limits = None
    return {
        "name": name,
        "kind": kind,
        "paused": use.status == "paused",
        "status": use.status,
        "reason": use.reason or None,
        "since": time_of(use.since),
        "next_probe_in": use.next_probe_in,
        "limit": use.limit,
        "limit_reason": use.limit_reason,
        "most": limits and limits.most,
        "rate": limits and limits.rate,
        "workers": use.workers,
        "at_once": use.at_once,
    }
