"""POST /api/accounts/generate: a job for N accounts."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import fields
from operator import attrgetter
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from msgspec.json import encode

from botrix import traces
from botrix.api.body import read_as
from botrix.api.door import Here, Key, Submits
from botrix.api.problems import Problem
from botrix.api.run import Run
from botrix.api.schemas import GenerateRequest, JobView, job_view, new_job_view
from botrix.errors import InvalidInput
from botrix.extra import read_groups
from botrix.identity import check_template
from botrix.ledger.idempotency import KEY_WAS_USED
from botrix.ledger.ledger import Submission, Submitted
from botrix.model import NewJob
from botrix.traceparent import current

router = APIRouter(tags=["accounts"])
_SCHEMA = GenerateRequest.model_json_schema(ref_template="#/components/schemas/{model}")
_SCHEMA.pop("$defs")  # answers name the same models, so that they stand among the components
_DEFAULTS = GenerateRequest.model_fields
_EPOCH = 1577836800.0
"""2020 began; ten digits last until 2054, and are one more from then on."""
_RUN = [one.name for one in fields(Run)]
_run_of = attrgetter(*_RUN)
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}}


@router.post("/api/accounts/generate", status_code=202, response_model=JobView, openapi_extra=_BODY)
async def generate(request: Request, here: Submits, key: Key) -> Response:
    """Accept a job for `count` accounts; answered once the job is durable."""
    asked = read_as(GenerateRequest, await request.body())
    check_template(asked.template, asked.count)
    await here.require_known(asked.directory)
    job = NewJob(
        new_job_id(), asked.count, lane=asked.priority, directory=asked.directory,
        template=asked.template, tenant_id=here.tenant,
        tries=here.services.settings.max_retries + 1, groups=read_groups(asked.groups),
        traceparent=current.get(),
        **Run(*_run_of(asked)).of_job(),
    )  # fmt: skip
    await here.require_heed(job)
    fingerprint = "" if key is None else fingerprint_of("generate", _without_news(asked).encode())
    async with here.entry(key):
        submitted = await here.submitting.submit(Submission(job, key, fingerprint, here.who.actor))
    require_accepted(submitted)
    if submitted.at is None:
        view = job_view(await here.queries.job(here.tenant, submitted.job_id))
        view = JobView.model_validate(view).model_dump()
    else:
        view = new_job_view(job, submitted.at)
    return _Accepted(encode(view), submitted.job_id)


class _Accepted(Response):
    """As one of starlette's, which would read and write each header anew."""

    def __init__(self, body: bytes, job_id: str) -> None:
        self.status_code, self.body, self.background = 202, body, None
        self.raw_headers = [
            (b"location", b"/api/jobs/%s" % job_id.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]


route = next(one for one in router.routes if isinstance(one, APIRoute))
"""To which requests come straight: see straight.py."""


def _without_news(asked: GenerateRequest) -> str:
    """What a release knew that had less to ask for: a key may come again after an upgrade."""
    news = {"groups", *_RUN}
    usual = {name for name in news if getattr(asked, name) == _DEFAULTS[name].default}
    return asked.model_dump_json(exclude=usual)


def new_job_id() -> str:
    """By when it was made, to the millisecond, and 40 bits of chance: what is made at about the
    same time lies side by side in the ledger, and is written with few pages."""
    since = int((time.time() - _EPOCH) * 1e3)
    return f"job_{since:010x}{secrets.token_hex(5)}"


def fingerprint_of(verb: str, body: bytes) -> str:
    """What two requests under one Idempotency-Key must share."""
    return f"{verb}:{hashlib.sha256(body).hexdigest()}"


async def accepted(here: Here, response: Response, submitted: Submitted) -> dict[str, Any]:
    """The 202 of a new job, or of the earlier one with the same key and body."""
    require_accepted(submitted)
    response.headers["Location"] = f"/api/jobs/{submitted.job_id}"
    return job_view(await here.queries.job(here.tenant, submitted.job_id))


def require_accepted(submitted: Submitted) -> None:
    """Raises what the ledger refused it for."""
    if submitted.clash:
        raise InvalidInput(KEY_WAS_USED)
    if submitted.refused and submitted.retry_after is None:
        raise InvalidInput(submitted.refused)
    if submitted.refused:
        raise Problem(429, "Over quota", submitted.refused, submitted.retry_after)
    traces.note({"botrix.job.id": submitted.job_id})
