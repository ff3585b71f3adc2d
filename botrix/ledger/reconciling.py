"""What `botrix reconcile` asks of the ledger, page by page."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.errors import NotFound
from botrix.extra import person_of
from botrix.ledger.engine import begin
from botrix.ledger.tables import accounts, audit, jobs
from botrix.model import Person, Source, tag_of
from botrix.states import AccountStatus, JobStatus

Key = tuple[str, int]
"""Job and index."""
_PERSON = ("username", "email", "given_name", "family_name", "display_name")
_OPEN = ("pending", "running", "cancelling")
_undo = jobs.alias()


class Job(NamedTuple):
    """undone: there is a job that undoes it; undoing: which is not final yet."""

    id: str
    directory: str
    status: JobStatus
    created: int
    at: float
    undone: bool
    undoing: bool


class Row(NamedTuple):
    """A created account. unguessable: as of `Wanted`."""

    job_id: str
    idx: int
    attempt: int
    entry_id: str | None
    unguessable: bool
    person: Person

    @property
    def tag(self) -> str:
        return tag_of(self.job_id, self.idx)


class Known(NamedTuple):
    """What the ledger has for a tag. status: None where it has the job and no such account."""

    tenant_id: str
    directory: str
    job_status: JobStatus
    attempt: int = 0
    status: AccountStatus | None = None
    reason: str | None = None
    username: str = ""
    entry_id: str | None = None


class Reconciling:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def job(self, tenant: str, job_id: str) -> Job:
        """Raises NotFound."""
        rows = await self._rows(_jobs(tenant).where(jobs.c.id == job_id))
        if not rows:
            raise NotFound(f"there is no job {job_id!r}; see: botrix jobs")
        return _job(rows[0])

    async def jobs(self, tenant: str, directory: str, after: Job | None, limit: int) -> list[Job]:
        """Of those that created anything there, in the order in which they came."""
        query = _jobs(tenant).where(jobs.c.directory == directory, jobs.c.created > 0)
        if after is not None:
            where = sa.tuple_(jobs.c.created_at, jobs.c.id)
            query = query.where(where > sa.tuple_(sa.literal(after.at), sa.literal(after.id)))
        query = query.order_by(jobs.c.created_at, jobs.c.id).limit(limit)
        return [_job(row) for row in await self._rows(query)]

    async def count(self, tenant: str, directory: str) -> int:
        """Created accounts there."""
        total = sa.select(sa.func.coalesce(sa.func.sum(jobs.c.created), 0))
        mine = (jobs.c.tenant_id == tenant, jobs.c.directory == directory, ~jobs.c.importing)
        async with begin(self._engine) as db:
            return int((await db.execute(total.where(*mine))).scalar_one())

    async def created(self, job_id: str, after: int, limit: int) -> list[Row]:
        """Of one job, in the order of their indexes."""
        names = ("idx", "attempt", "entry_id", *_PERSON, "extra")
        query = sa.select(*(accounts.c[name] for name in names), jobs.c.source, jobs.c.template)
        query = query.join(jobs, jobs.c.id == accounts.c.job_id)
        these = (accounts.c.job_id == job_id, accounts.c.idx > after)
        query = query.where(*these, accounts.c.status == AccountStatus.CREATED)
        rows = await self._rows(query.order_by(accounts.c.idx).limit(limit))
        return [_row(job_id, row) for row in rows]

    async def known(self, keys: Collection[Key]) -> dict[Key, Known]:
        """Of those whose job there is, whosever it is."""
        columns = (jobs.c.id, jobs.c.tenant_id, jobs.c.directory, jobs.c.status)
        found = sa.select(*columns).where(jobs.c.id.in_({job for job, _ in keys}))
        by_id = {row.id: row for row in await self._rows(found.where(~jobs.c.importing))}
        names = ("job_id", "idx", "attempt", "status", "reason", "username", "entry_id")
        query = sa.select(*(accounts.c[name] for name in names)).where(_among(keys))
        rows = {(row.job_id, row.idx): row for row in await self._rows(query)}
        known = {}
        for key in keys:
            if (job := by_id.get(key[0])) is not None:
                whose = (job.tenant_id, job.directory, JobStatus(job.status))
                known[key] = _known(whose, rows.get(key))
        return known

    async def persons(self, job_id: str, indexes: Collection[int]) -> dict[int, Person]:
        """Whom these accounts of a job are for."""
        names = ("idx", *_PERSON, "extra")
        query = sa.select(*(accounts.c[name] for name in names))
        query = query.where(accounts.c.job_id == job_id, accounts.c.idx.in_(indexes))
        rows = await self._rows(query)
        return {r.idx: person_of([getattr(r, name) for name in _PERSON], r.extra) for r in rows}

    async def recorded(self, ids: Collection[str]) -> dict[str, str]:
        """The tenants whose audit record names these jobs, as it does of some that are gone. There
        is no index for it: ask once for each."""
        named = sa.select(audit.c.object, audit.c.tenant_id).distinct()
        query = named.where(audit.c.object.in_(ids), audit.c.what.like("job.%"))
        return {row.object: row.tenant_id for row in await self._rows(query)}

    async def _rows(self, query: sa.Select[Any]) -> list[Any]:
        async with begin(self._engine) as db:
            return list((await db.execute(query)).all())


def _jobs(tenant: str) -> sa.Select[Any]:
    undo = sa.select(1).where(_undo.c.undoes == jobs.c.id)
    names = ("id", "directory", "status", "created", "created_at")
    return sa.select(
        *(jobs.c[name] for name in names),
        undo.exists().label("undone"),
        undo.where(_undo.c.status.in_(_OPEN)).exists().label("undoing"),
    ).where(jobs.c.tenant_id == tenant, ~jobs.c.importing)


def _job(row: Any) -> Job:
    status = JobStatus(row.status)
    undone, undoing = bool(row.undone), bool(row.undoing)
    return Job(row.id, row.directory, status, row.created, row.created_at, undone, undoing)


def _row(job_id: str, row: Any) -> Row:
    template = None if row.source == Source.IMPORT else row.template or ""
    unguessable = template is not None and (not template or "{random}" in template)
    person = person_of([getattr(row, name) for name in _PERSON], row.extra)
    return Row(job_id, row.idx, row.attempt, row.entry_id, unguessable, person)


def _known(whose: tuple[str, str, JobStatus], row: Any) -> Known:
    if row is None:
        return Known(*whose)
    status = AccountStatus(row.status)
    return Known(*whose, row.attempt, status, row.reason, row.username, row.entry_id)


def _among(keys: Iterable[Key]) -> sa.ColumnElement[bool]:
    """An index that no column can hold is none of ours."""
    asked = [(job, idx) for job, idx in keys if 0 <= idx < 1 << 31]
    return sa.tuple_(accounts.c.job_id, accounts.c.idx).in_(asked)
