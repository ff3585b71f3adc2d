"""POST /api/accounts/import: a roster, read as it arrives, in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from botrix.api.door import Here, Key, Submits
from botrix.api.generate import accepted, new_job_id
from botrix.api.problems import Problem
from botrix.api.schemas import ImportView
from botrix.errors import InvalidInput
from botrix.ledger.imports import Import, RosterRow
from botrix.ledger.ledger import Submitted
from botrix.model import Lane, NewJob, Source
from botrix.passwords import PasswordPolicy, read_policy
from botrix.roster import BadRow, RosterReader, Row

router = APIRouter(tags=["accounts"])
_BATCH = 500
_SHOWN = 1000
_TEXT = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": _TEXT, "application/x-ndjson": _TEXT},
    }
}


@router.post(
    "/api/accounts/import", status_code=202, response_model=ImportView, openapi_extra=_BODY
)
async def import_roster(
    request: Request,
    response: Response,
    here: Submits,
    key: Key,
    directory: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "local",
    priority: Lane = Lane.NORMAL,
    strict: bool = False,
) -> dict[str, Any]:
    """Accept a roster. Bad rows are left out and told; with `strict` one bad row refuses all."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/csv", "application/x-ndjson"):
        detail = "send the roster as the body, with Content-Type text/csv or application/x-ndjson"
        raise Problem(415, "Not a roster", detail)
    policy = read_policy((await here.require_directory(directory)).policy)
    job = NewJob(
        new_job_id(), 0, Source.IMPORT, priority, directory, tenant_id=here.tenant,
        tries=here.services.settings.max_retries + 1,
    )  # fmt: skip
    reading = _Reading(here, job, RosterReader(kind), policy, strict=strict)
    submitted = await reading.run(request, key)
    view = await accepted(here, response, submitted)
    rows = await here.queries.bad_rows(here.tenant, submitted.job_id, 0, _SHOWN)
    return {**view, "rows": rows, "ignored_columns": list(reading.reader.ignored_columns)}


class _Reading:
    """One roster from its first byte to its job."""

    def __init__(
        self, here: Here, job: NewJob, reader: RosterReader, policy: PasswordPolicy, *, strict: bool
    ) -> None:
        self._here = here
        self._job = job
        self.reader = reader
        self._policy = policy
        self._strict = strict
        self._import = Import(here.queries.engine, job, here.who.actor)
        self._digest = hashlib.sha256(f"{job.directory}:{job.lane}:{strict}:".encode())
        self._good: list[RosterRow] = []
        self._bad: list[tuple[int, str]] = []

    async def run(self, request: Request, key: str | None) -> Submitted:
        await self._import.begin(key)
        try:
            async for chunk in request.stream():
                self._digest.update(chunk)
                await self._take(self.reader.feed(chunk))
            await self._take(self.reader.finish())
            await self._flush()
            submitted = await self._import.finish(key, f"import:{self._digest.hexdigest()}")
        except BaseException:
            await self._import.abort()
            raise
        if submitted.replay or submitted.clash or submitted.refused:
            await self._import.abort()
        elif submitted.place is not None:
            await self._here.submitting.announce([(self._job, submitted.place)])
        return submitted

    async def _take(self, rows: Sequence[Row | BadRow]) -> None:
        for row in rows:
            if isinstance(row, BadRow):
                self._refuse(row.number, row.reason)
            else:
                self._plan(row)
            if len(self._good) + len(self._bad) >= _BATCH:
                await self._flush()

    def _plan(self, row: Row) -> None:
        try:
            person = self._here.services.planner.person_from_row(row.person)
        except InvalidInput as error:
            self._refuse(row.number, str(error))
            return
        if row.password and (problem := self._policy.problem(row.password)):
            self._refuse(row.number, problem)
            return
        self._good.append(RosterRow(row.number, person, row.password or self._policy.new()))

    def _seal(self, password: str, tag: str) -> bytes:
        return self._here.services.sealer.seal(password, self._job.tenant_id, tag)

    def _refuse(self, number: int, reason: str) -> None:
        if self._strict:
            raise InvalidInput(f"row {number}: {reason}; nothing was taken, since strict was asked")
        self._bad.append((number, reason))

    async def _flush(self) -> None:
        good, bad = self._good, self._bad
        self._good, self._bad = [], []
        for number, reason in await self._import.add(good, bad, self._seal):
            if self._strict:
                self._refuse(number, reason)
