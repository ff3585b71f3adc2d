"""POST /api/jobs/{job_id}/undo: a job that removes what another one created."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from botrix.api.body import read_as
from botrix.api.door import Key, Operates
from botrix.api.generate import accepted, new_job_id
from botrix.api.schemas import JobView, UndoRequest
from botrix.ledger.undo import Undoing
from botrix.ledger.undo import undo as begin_undo
from botrix.model import Lane, NewJob
from botrix.states import Stage
from botrix.traceparent import current

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
_SCHEMA = UndoRequest.model_json_schema()
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.post("/{job_id}/undo", response_model=JobView, status_code=202, openapi_extra=_BODY)
async def undo(
    request: Request, response: Response, here: Operates, job_id: str, key: Key
) -> dict[str, Any]:
    """Remove the accounts that a final job created, and no other: answered with the job that does
    so. What existed before, and what the directory shows to be somebody else's, is left as it is.
    """
    asked = read_as(UndoRequest, await request.body())
    undoing = Undoing(
        new_job_id(), here.tenant, job_id, asked.count, asked.max_deletes,
        here.services.settings.max_retries + 1, here.who.actor, key, current.get(),
    )  # fmt: skip
    submitted = await begin_undo(here.queries.engine, undoing)
    view = await accepted(here, response, submitted)
    if submitted.place is not None:
        job = NewJob(
            view["id"], view["count"], lane=Lane(view["lane"]), directory=view["directory"],
            tenant_id=here.tenant, stage=Stage.REMOVE,
        )  # fmt: skip
        await here.submitting.announce([(job, submitted.place)])
    return view
