"""POST /api/accounts/generate: a job for N accounts."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from fastapi import APIRouter, Request, Response

from botrix.api.body import read_as
from botrix.api.door import Here, Key, Submits
from botrix.api.problems import Problem
from botrix.api.schemas import GenerateRequest, JobView, job_view
from botrix.errors import InvalidInput
from botrix.extra import read_groups
from botrix.identity import check_template
from botrix.ledger.idempotency import KEY_WAS_USED
from botrix.ledger.ledger import Submission, Submitted
from botrix.model import NewJob

router = APIRouter(tags=["accounts"])
_SCHEMA = GenerateRequest.model_json_schema(ref_template="#/components/schemas/{model}")
_SCHEMA.pop("$defs")  # answers name the same models, so that they stand among the components
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.post("/api/accounts/generate", status_code=202, response_model=JobView, openapi_extra=_BODY)
async def generate(request: Request, response: Response, here: Submits, key: Key) -> dict[str, Any]:
    """Accept a job for `count` accounts; answered once the job is durable."""
    asked = read_as(GenerateRequest, await request.body())
    check_template(asked.template, asked.count)
    await here.require_directory(asked.directory)
    job = NewJob(
        new_job_id(), asked.count, lane=asked.priority, directory=asked.directory,
        template=asked.template, tenant_id=here.tenant,
        tries=here.services.settings.max_retries + 1, groups=read_groups(asked.groups),
    )  # fmt: skip
    # Without groups as before there were any: a key may come again after an upgrade.
    body = asked.model_dump_json(exclude=None if asked.groups else {"groups"})
    fingerprint = fingerprint_of("generate", body.encode())
    submitted = await here.submitting.submit(Submission(job, key, fingerprint, here.who.actor))
    return await accepted(here, response, submitted)


def new_job_id() -> str:
    """Sorts by nothing, says nothing, 80 bits."""
    return f"job_{secrets.token_hex(10)}"


def fingerprint_of(verb: str, body: bytes) -> str:
    """What two requests under one Idempotency-Key must share."""
    return f"{verb}:{hashlib.sha256(body).hexdigest()}"


async def accepted(here: Here, response: Response, submitted: Submitted) -> dict[str, Any]:
    """The 202 of a new job, or of the earlier one with the same key and body."""
    if submitted.clash:
        raise InvalidInput(KEY_WAS_USED)
    if submitted.refused and submitted.retry_after is None:
        raise InvalidInput(submitted.refused)
    if submitted.refused:
        raise Problem(429, "Over quota", submitted.refused, submitted.retry_after)
    response.headers["Location"] = f"/api/jobs/{submitted.job_id}"
    return job_view(await here.queries.job(here.tenant, submitted.job_id))
