"""Which jobs are open, or ended since a time: what somebody must know who missed their events."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.ledger.engine import begin
from botrix.ledger.ranges import Query, Range
from botrix.ledger.tables import jobs

Row = dict[str, Any]
_SHOWN = [
    jobs.c[name]
    for name in (
        "id", "tenant_id", "status", "lane", "directory", "count", "created", "existing", "failed",
        "cancelled", "deleted", "stage", "waits", "importing", "updated_at",
    )
]  # fmt: skip
_OPEN = sa.text("status IN ('pending', 'running', 'cancelling')")
_KEPT = sa.text("erased_at IS NULL AND finished_at IS NOT NULL")
"""As in ix_jobs_open and ix_jobs_kept, letter by letter."""
_EVER = 1e300


async def moved(
    engine: AsyncEngine, tenant: str, since: float, limit: int
) -> tuple[list[Row], bool]:
    """since: by the ledger's clock. At most `limit` of each; and whether these are all: where many
    ended, of whichever tenant, not all of them were looked at."""
    opened = await open_ones(engine, tenant, limit + 1)
    ended = await ended_since(engine, since, limit + 1)  # last: what ended meanwhile is in both
    whole = len(opened) <= limit and len(ended) <= limit
    mine = [row for row in ended[:limit] if row["tenant_id"] == tenant]
    return [row for row in (*opened[:limit], *mine) if not row["importing"]], whole


async def open_ones(engine: AsyncEngine, tenant: str, limit: int) -> list[Row]:
    """In no order."""
    async with begin(engine, reading=True) as db:
        return await _rows(db, _open(tenant, limit, db.dialect.name))


async def ended_since(engine: AsyncEngine, since: float, limit: int) -> list[Row]:
    """Of all tenants, newest first."""
    async with begin(engine, reading=True) as db:
        return await _rows(db, _ended(since, limit, db.dialect.name))


def _open(tenant: str, limit: int, dialect: str) -> Query:
    query = sa.select(*_SHOWN).where(_OPEN).limit(limit)
    if dialect == "sqlite":
        query = query.where(jobs.c.tenant_id == tenant)
        return query.with_hint(jobs, "INDEXED BY ix_jobs_open", "sqlite")
    return query.where(jobs.c.tenant_id >= tenant, jobs.c.tenant_id <= tenant)


def _ended(since: float, limit: int, dialect: str) -> Query:
    """Newest first."""
    newest = Range(
        "ix_jobs_kept", jobs, (jobs.c.finished_at,), (), (_EVER,), (since,), True, (_KEPT,)
    )
    return newest.select(_SHOWN, limit, dialect)


async def _rows(db: AsyncConnection, query: Query) -> list[Row]:
    return [dict(row) for row in (await db.execute(query)).mappings()]
