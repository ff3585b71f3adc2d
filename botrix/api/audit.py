"""/api/audit: who did what, when, from where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from botrix.api.door import NOTE_MOST, Administers
from botrix.api.schemas import time_of
from botrix.ledger import audit as record

router = APIRouter(prefix="/api/audit", tags=["audit"])
Cursor = Annotated[int, Query(ge=0, le=NOTE_MOST)]


@router.get("")
async def lines(
    here: Administers, cursor: Cursor = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """The record of this tenant, oldest first."""
    found = [row async for row in record.lines(here.queries.engine, here.tenant, cursor, limit)]
    following = str(found[-1]["n"]) if len(found) == limit else None
    return {"items": [{**row, "at": time_of(row["at"])} for row in found], "next": following}


@router.get("/export", response_class=StreamingResponse)
async def export(here: Administers, cursor: Cursor = 0) -> StreamingResponse:
    """All of it as NDJSON, with the numbers that the hashes were made of."""

    async def text() -> AsyncIterator[bytes]:
        async for row in record.lines(here.queries.engine, here.tenant, cursor):
            yield msgspec.json.encode(row) + b"\n"

    return StreamingResponse(text(), media_type="application/x-ndjson")
