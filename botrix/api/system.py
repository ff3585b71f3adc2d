"""What runs: workers, the line, and whether all is well."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Response

from botrix import __version__
from botrix.api.door import Anybody, Here, Reads
from botrix.api.problems import LINE_DOWN
from botrix.errors import LedgerDown, LineDown
from botrix.ledger.revisions import check

router = APIRouter(tags=["system"])


@router.get("/api/workers")
async def workers(here: Reads) -> dict[str, Any]:
    """The live workers, as their health keys tell. A job of another tenant is not named."""
    try:
        items = [json.loads(text) for text in await here.services.line.workers()]
    except LineDown:
        return {"items": [], "note": LINE_DOWN}
    at_work = {item["current_job"] for item in items} - {None}
    mine = await here.queries.those_of(here.tenant, at_work) if at_work else set()
    shown = [{**item, "current_job": _if_in(mine, item["current_job"])} for item in items]
    return {"items": shown}


def _if_in(mine: set[str], job_id: str | None) -> str | None:
    return job_id if job_id in mine else None


@router.get("/api/line")
async def line(here: Reads) -> dict[str, Any]:
    """How many entries stand in each lane, and their sum."""
    try:
        depths = await here.services.line.depths()
    except LineDown:
        return {"up": False, "note": LINE_DOWN}
    return {
        "up": True,
        **{lane.value: n for lane, n in depths.items()},
        "sum": sum(depths.values()),
    }


_DOWN = {"description": "The ledger cannot be used", "content": {"application/json": {}}}


@router.get("/health", responses={503: _DOWN})
async def health(here: Anybody, response: Response) -> dict[str, Any]:
    """What is up, and which versions. 503 where the ledger cannot be used."""
    revision, ledger = await _ledger(here)
    line_up = await _line_up(here)
    live = sum((await here.queries.live_workers()).values()) if ledger else 0
    if not ledger:
        response.status_code = 503
    status = "ok" if ledger and line_up and live else ("degraded" if ledger else "down")
    up = {"ledger": ledger, "line": line_up, "workers": live}
    return {"status": status, **up, "version": __version__, "revision": revision}


@router.get("/live")
async def live() -> dict[str, str]:
    """This process answers, whatever else is down: starting it again would mend no outage."""
    return {"status": "live"}


@router.get("/ready")
async def ready(here: Anybody) -> dict[str, str]:
    """All that this process works with answers. 503 where ledger or line does not; jobs are
    accepted without the line too, so who wants only that asks `/health`."""
    await here.services.ledger.ping()
    await here.services.line.ping()
    return {"status": "ready"}


async def _ledger(here: Here) -> tuple[str | None, bool]:
    """Its revision, where it has one, and whether it can be used."""
    revision = None
    try:
        revision = await here.services.ledger.revision()
        check(revision)
    except LedgerDown:
        return revision, False
    return revision, True


async def _line_up(here: Here) -> bool:
    try:
        await here.services.line.ping()
    except LineDown:
        return False
    return True
