"""How much of its work lies with each directory of a tenant, for people."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.ledger.engine import begin
from botrix.ledger.tables import accounts, jobs

MOST = 10_000
"""Held jobs that are counted; where there are more, it is told as this many."""
_HELD = sa.text("jobs.held")
"""In the words of the index, or SQLite does not know it again."""


async def in_flight(engine: AsyncEngine, tenant: str) -> dict[str, int]:
    """By directory, how many of its accounts workers hold."""
    query = (
        sa.select(jobs.c.directory, sa.func.count())
        .select_from(accounts.join(jobs, jobs.c.id == accounts.c.job_id))
        .where(accounts.c.tenant_id == tenant, accounts.c.session_id.is_not(None))
        .with_hint(accounts, "INDEXED BY ix_accounts_session", "sqlite")
        .group_by(jobs.c.directory)
    )
    async with begin(engine, reading=True) as db:
        return {row[0]: row[1] for row in await db.execute(query)}


async def held(engine: AsyncEngine, tenant: str, name: str) -> int:
    """How many jobs wait, since their directory is paused."""
    mine = sa.and_(jobs.c.tenant_id == tenant, jobs.c.directory == name, _HELD)
    some = sa.select(sa.literal(1)).select_from(jobs).where(mine).limit(MOST)
    some = some.with_hint(jobs, "INDEXED BY ix_jobs_held", "sqlite")
    async with begin(engine, reading=True) as db:
        counted = sa.select(sa.func.count()).select_from(some.subquery())
        return int((await db.execute(counted)).scalar_one())
