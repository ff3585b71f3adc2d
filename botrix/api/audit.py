"""/api/audit: who did what, when, from where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from botrix.api.door import NOTE_MOST, Administers
from botrix.api.schemas import time_of
from botrix.errors import InvalidInput
from botrix.ledger import audit as record

router = APIRouter(prefix="/api/audit", tags=["audit"])
Cursor = Annotated[int, Query(ge=0, le=NOTE_MOST)]


@router.get("")
async def lines(
    here: Administers,
    cursor: Cursor = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    newest: bool = False,
    kind: Annotated[str, Query(pattern="^[a-z]{0,20}$")] = "",
    find: Annotated[str, Query(max_length=200)] = "",
) -> dict[str, Any]:
    """The record of this tenant, oldest first; newest: that first, and of it only what is of a
    kind (the acts of jobs, keys, …) or holds a text. A search may find nothing yet and go on."""
    engine, tenant = here.queries.engine, here.tenant
    sought = record.Sought(kind, find)
    if newest:
        found, n = await record.newest(engine, tenant, cursor, limit, sought)
    elif sought != record.Sought():
        raise InvalidInput("`kind` and `find` go backwards; add newest=true")
    else:
        found = [row async for row in record.lines(engine, tenant, cursor, limit)]
        n = found[-1]["n"] if len(found) == limit else None
    following = None if n is None else str(n)
    return {"items": [{**row, "at": time_of(row["at"])} for row in found], "next": following}


@router.get("/export", response_class=StreamingResponse)
async def export(here: Administers, cursor: Cursor = 0) -> StreamingResponse:
    """All of it as NDJSON, with the numbers that the hashes were made of."""

    async def text() -> AsyncIterator[bytes]:
        async for row in record.lines(here.queries.engine, here.tenant, cursor):
            yield msgspec.json.encode(row) + b"\n"

    return StreamingResponse(text(), media_type="application/x-ndjson")
