"""POST /api/accounts/import: a roster, read as it arrives, in constant memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from botrix.api.door import Here, Key, Submits
from botrix.api.forms import fingerprint, form_of
from botrix.api.generate import accepted, new_job_id
from botrix.api.problems import Problem
from botrix.api.rows import planned
from botrix.api.run import Asked
from botrix.api.schemas import ImportView
from botrix.drafts import Form
from botrix.errors import InvalidInput
from botrix.ledger.imports import Import
from botrix.ledger.ledger import Submitted
from botrix.ledger.uploads import Copy
from botrix.mappings import MOST
from botrix.model import Lane, NewJob, Source
from botrix.passwords import PasswordPolicy, read_policy
from botrix.repeats import RosterRow
from botrix.roster import BadRow, RosterReader, Row
from botrix.templates import NAME
from botrix.traceparent import current

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
    run: Asked,
    directory: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "local",
    priority: Lane = Lane.NORMAL,
    strict: bool = False,
    template: Annotated[str | None, Query(pattern=NAME)] = None,
    mapping: Annotated[str | None, Query(max_length=MOST)] = None,
) -> dict[str, Any]:
    """Accept a roster. Bad rows are left out and told; with `strict` one bad row refuses all.
    template: the name of one. mapping: `moodle`, `canvas`, `google`, `entra`, or JSON by column."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/csv", "application/x-ndjson"):
        detail = "send the roster as the body, with Content-Type text/csv or application/x-ndjson"
        raise Problem(415, "Not a roster", detail)
    form = await form_of(here, template, mapping)
    policy = read_policy((await here.require_directory(directory)).policy)
    job = NewJob(
        new_job_id(), 0, Source.IMPORT, priority, directory, tenant_id=here.tenant,
        tries=here.services.settings.max_retries + 1, traceparent=current.get(),
        **run.of_job(),
    )  # fmt: skip
    await here.require_heed(job)
    reading = _Reading(here, job, RosterReader(kind, form), policy, strict=strict)
    reading.reads_by(form)
    async with here.entry(key):
        submitted = await reading.run(request, key)
    view = await accepted(here, response, submitted)
    rows = await here.queries.bad_rows(here.tenant, submitted.job_id, 0, _SHOWN)
    more = f"/api/jobs/{submitted.job_id}/failed-rows" if rows else None
    reader = reading.reader
    columns = {"ignored_columns": list(reader.ignored_columns), "mapping": reader.mapping}
    return {**view, "rows": rows, "failed_rows": more, **columns}


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
        if not job.is_plain:  # a key may come again after an upgrade
            asked = msgspec.structs.asdict(msgspec.structs.replace(job, id=""))
            del asked["traceparent"]
            self._digest.update(msgspec.json.encode(asked))
        self._roster = hashlib.sha256()
        self._slow = False
        self._good: list[RosterRow] = []
        self._bad: list[tuple[int, str]] = []
        self._copy = Copy(here.services.sealer, job, lambda: reader.layout)

    def reads_by(self, form: Form) -> None:
        """What it is read by makes it another request, too; and a template takes time."""
        self._digest.update(fingerprint(form).encode())
        self._slow = form.template is not None

    async def run(self, request: Request, key: str | None) -> Submitted:
        await self._import.begin(key)
        try:
            async for chunk in request.stream():
                self._digest.update(chunk)
                self._roster.update(chunk)
                await self._take(await self._fed(chunk))
            await self._take(self.reader.finish())
            await self._flush()
            submitted = await self._import.finish(
                key,
                f"import:{self._digest.hexdigest()}",
                self._roster.hexdigest(),
                self._copy.layout(),
            )
        except BaseException:
            await self._import.abort()
            raise
        if submitted.replay or submitted.clash or submitted.refused:
            await self._import.abort()
        elif self._import.count:
            await self._here.submitting.announce([(self._job, submitted.place)])
        return submitted

    async def _fed(self, chunk: bytes) -> Sequence[Row | BadRow]:
        if self._slow:  # so that others are answered meanwhile
            return await asyncio.to_thread(self.reader.feed, chunk)
        return self.reader.feed(chunk)

    async def _take(self, rows: Sequence[Row | BadRow]) -> None:
        for row in rows:
            self._copy.add(row)
            if isinstance(row, BadRow):
                self._refuse(row.number, row.reason)
            else:
                self._plan(row)
            if len(self._good) + len(self._bad) >= _BATCH or self._copy.is_full:
                await self._flush()

    def _plan(self, row: Row) -> None:
        try:
            planner = self._here.services.planner
            made = planned(planner, row, row.password or self._policy.new())
        except InvalidInput as error:
            self._refuse(row.number, str(error))
            return
        if row.password and (problem := self._policy.problem(row.password)):
            self._refuse(row.number, problem)
            return
        self._good.append(made)

    def _seal(self, password: str, tag: str) -> bytes:
        return self._here.services.sealer.seal(password, self._job.tenant_id, tag)

    def _refuse(self, number: int, reason: str) -> None:
        if self._strict:
            raise InvalidInput(f"row {number}: {reason}; nothing was taken, since strict was asked")
        self._bad.append((number, reason))

    async def _flush(self) -> None:
        good, bad = self._good, self._bad
        self._good, self._bad = [], []
        for number, reason in await self._import.add(good, bad, self._seal, self._copy):
            if self._strict:
                self._refuse(number, reason)
