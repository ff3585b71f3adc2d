"""The list of jobs: each page reads little more than it shows; see ranges.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.ledger.engine import begin
from botrix.ledger.ranges import Query, Range, merged
from botrix.ledger.tables import jobs

Row = dict[str, Any]
Cursor = tuple[float, str]
_HIDDEN = (
    "next_index", "due_at", "importing", "look_at", "looked_at", "look", "walked", "digest",
    "layout",
)  # fmt: skip
_PROVISIONAL = sa.and_(jobs.c.look_at.is_not(None), jobs.c.looked_at.is_(None))
JOB = [*(c for c in jobs.c if c.name not in _HIDDEN), _PROVISIONAL.label("provisional")]
WHOLE = sa.text("NOT jobs.importing")
"""Of the jobs that people see; as in ix_jobs_kind."""
_EVER, _LAST = 1e300, "\U0010ffff"
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a job must be; None is whatever. after, before: when it was created, these excluded."""

    status: str | None = None
    directory: str | None = None
    stage: str | None = None
    waits: str | None = None
    undoes: str | None = None
    after: float | None = None
    before: float | None = None

    @property
    def kind(self) -> tuple[str | None, str | None, str | None]:
        return self.directory, self.stage, self.status

    def rest(self) -> list[sa.ColumnElement[bool]]:
        """What is left to look at where jobs are few as it is."""
        names = ("status", "directory", "stage")
        pairs = [(jobs.c[name], getattr(self, name)) for name in names]
        return [column == value for column, value in pairs if value is not None]


async def listed(
    engine: AsyncEngine, tenant: str, wanted: JobFilter, cursor: Cursor | None, limit: int
) -> list[Row]:
    """Newest first, older than the cursor. A rare kind of job is found as soon as a common one:
    there are few kinds (directory, stage, status), and each is a range of ix_jobs_kind."""
    async with begin(engine, reading=True) as db:
        dialect = db.dialect.name
        if wanted.undoes is not None:
            return await _rows(db, _undoing(tenant, wanted, cursor, limit))
        if wanted.waits is not None:
            waiting = _span("ix_jobs_waits", {"waits": wanted.waits}, tenant, wanted, cursor)
            query = waiting.select(JOB, limit, dialect)
            return await _rows(db, query.where(WHOLE, jobs.c.waits.is_not(None), *wanted.rest()))
        if not any(wanted.kind):
            every = _span("ix_jobs_tenant", {}, tenant, wanted, cursor)
            return await _rows(db, every.select(JOB, limit, dialect).where(WHOLE))
        fitting = [kind for kind in await kinds(db, tenant) if _fits(kind, wanted)]
        found: list[Row] = []
        for n in range(0, len(fitting), _AT_ONCE):
            ranges = [_of_kind(kind, tenant, wanted, cursor) for kind in fitting[n : n + _AT_ONCE]]
            found += await _rows(db, _in_ranges(ranges, limit, dialect))
    return sorted(found, key=lambda row: (row["created_at"], row["id"]), reverse=True)[:limit]


def _in_ranges(ranges: Sequence[Range], limit: int, dialect: str) -> Query:
    if len(ranges) == 1:
        return ranges[0].select(JOB, limit, dialect)
    key = (jobs.c.created_at, jobs.c.id)
    parts = [one.select(key, limit, dialect) for one in ranges]
    keys = merged(parts, ("created_at", "id"), limit, down=True)
    return sa.select(*JOB).select_from(keys.join(jobs, jobs.c.id == keys.c.id))


KINDS = sa.text("""
WITH RECURSIVE kind (id) AS (
  SELECT (SELECT id FROM jobs
          WHERE (tenant_id, directory) >= (:tenant, '') AND tenant_id <= :tenant AND NOT importing
          ORDER BY tenant_id, directory, stage, status, created_at, id LIMIT 1)
  UNION ALL
  SELECT (SELECT n.id FROM jobs n
          WHERE (n.tenant_id, n.directory, n.stage, n.status, n.created_at)
                > (j.tenant_id || '', j.directory || '', j.stage || '', j.status || '', 1e300)
            AND n.tenant_id <= j.tenant_id AND NOT n.importing
          ORDER BY n.tenant_id, n.directory, n.stage, n.status, n.created_at, n.id LIMIT 1)
  FROM kind k JOIN jobs j ON j.id = k.id
)
SELECT j.directory, j.stage, j.status FROM kind k JOIN jobs j ON j.id = k.id
""")
"""Which there are: the index is entered anew behind each, and so is not read through. (What is
compared with a bare column bounds no index of SQLite.)"""


async def kinds(db: AsyncConnection, tenant: str) -> list[tuple[str, str, str]]:
    """Directory, stage and status."""
    rows = (await db.execute(KINDS, {"tenant": tenant})).all()
    return [(row.directory, row.stage, row.status) for row in rows]


def _fits(kind: tuple[str, str, str], wanted: JobFilter) -> bool:
    return all(want in (None, has) for want, has in zip(wanted.kind, kind, strict=True))


def _of_kind(
    kind: tuple[str, str, str], tenant: str, wanted: JobFilter, cursor: Cursor | None
) -> Range:
    fixed = dict(zip(("directory", "stage", "status"), kind, strict=True))
    return _span("ix_jobs_kind", fixed, tenant, wanted, cursor)


def _span(
    index: str, fixed: dict[str, str], tenant: str, wanted: JobFilter, cursor: Cursor | None
) -> Range:
    """By time, newest first."""
    columns = tuple(jobs.c[name] for name in ("tenant_id", *fixed, "created_at", "id"))
    start = (_EVER if wanted.before is None else wanted.before, "")
    end = () if wanted.after is None else (wanted.after, _LAST)
    where = (WHOLE,) if index == "ix_jobs_kind" else ()
    values = (tenant, *fixed.values())
    return Range(index, jobs, columns, values, min(start, cursor or start), end, True, where)


def _undoing(tenant: str, wanted: JobFilter, cursor: Cursor | None, limit: int) -> Query:
    waits = () if wanted.waits is None else (jobs.c.waits == wanted.waits,)
    at, ident = min(cursor or (_EVER, ""), (_EVER if wanted.before is None else wanted.before, ""))
    mine = jobs.c.tenant_id.concat("") == tenant  # so that all that undo it are read, and sorted
    query = sa.select(*JOB).where(jobs.c.undoes == wanted.undoes, mine)
    query = query.where(
        WHOLE, *wanted.rest(), *waits, sa.tuple_(jobs.c.created_at, jobs.c.id) < (at, ident)
    )
    if wanted.after is not None:
        query = query.where(jobs.c.created_at > wanted.after)
    query = query.with_hint(jobs, "INDEXED BY ix_jobs_undoes", "sqlite")
    return query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)


async def _rows(db: AsyncConnection, query: Query) -> list[Row]:
    return [dict(row) for row in (await db.execute(query)).mappings()]
