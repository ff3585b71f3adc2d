"""GET /api/jobs/{job_id}/failed-rows: what did not become an account, as it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from botrix.api.described import PROBLEM
from botrix.api.door import Here, Reads
from botrix.api.problems import Problem
from botrix.export import harmless
from botrix.ledger.uploads import Failed, Upload, Uploads
from botrix.model import tag_of
from botrix.plain import plain
from botrix.roles import Scope
from botrix.upload import given_back

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
_KINDS = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_SAID: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The rows, with the headers Botrix-Rows (how many), Botrix-Left (accounts "
        "that are not final yet) and Botrix-Passwords (`yes` where there may be some).",
        "content": {"text/csv": {}, "application/x-ndjson": {}},
    },
    409: {"description": "The job came without a roster", "content": PROBLEM},
    410: {"description": "The roster was erased", "content": PROBLEM},
}


@router.get("/{job_id}/failed-rows", response_class=StreamingResponse, responses=_SAID)
async def failed_rows(here: Reads, job_id: str) -> StreamingResponse:
    """The rows of a roster that were left out or whose account failed, as they were written, with a
    last column (or key) `botrix_reason`: to be mended and imported again as it is. **Passwords that
    the roster gave are among it, in the clear**; then a key must be allowed to reveal."""
    uploads = Uploads(here.queries.engine, here.services.sealer)
    upload = await uploads.of(here.tenant, job_id)
    if upload.layout.secret:
        _require_reveal(here)
        await uploads.note(upload, here.who.actor)
    name = f"{job_id}-failed.{upload.layout.kind}"
    headers = {
        "Botrix-Rows": str(upload.rows),
        "Botrix-Left": str(upload.left),
        "Botrix-Passwords": "yes" if upload.layout.secret else "no",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    kind = _KINDS[upload.layout.kind]
    return StreamingResponse(_file(here, uploads, upload), headers=headers, media_type=kind)


def _require_reveal(here: Here) -> None:
    if Scope.REVEAL not in here.who.scopes:
        detail = (
            f"the roster holds passwords, so that its failed rows need a key that may reveal; "
            f"{here.who.name!r} is a {here.who.role}'s"
        )
        raise Problem(403, "Not allowed", detail)


async def _file(here: Here, uploads: Uploads, upload: Upload) -> AsyncIterator[bytes]:
    yield upload.layout.top()
    async for rows in uploads.failed(upload):
        yield await asyncio.to_thread(_written, here, upload, rows)


def _written(here: Here, upload: Upload, rows: list[Failed]) -> bytes:
    return b"".join(
        given_back(upload.layout, row.record, _said(row), _password(here, upload, row))
        for row in rows
    )


def _said(row: Failed) -> str:
    """Part of it may be what a directory answered."""
    return harmless(plain(row.reason))


def _password(here: Here, upload: Upload, row: Failed) -> str | None:
    if not row.record.given or row.sealed is None or row.idx is None:
        return None
    tag = tag_of(upload.job_id, row.idx)
    return here.services.sealer.unseal(bytes(row.sealed), upload.tenant_id, tag)
