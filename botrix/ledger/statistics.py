"""How many jobs and accounts there are in which state, without counting them.

Triggers on jobs keep `tallies` (see 0007_lists.py), in the transaction of each change, so they are
exact. What a tenant has is the sum of its rows.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.ledger import account_lists
from botrix.ledger.engine import begin
from botrix.ledger.tables import accounts, jobs, tallies
from botrix.states import FINAL_ACCOUNT, TALLIED, AccountStatus, JobStatus

_SUMS = [
    sa.cast(sa.func.coalesce(sa.func.sum(tallies.c[name]), 0), sa.BigInteger).label(name)
    for name in TALLIED
]
_MOST = 100_000
"""Unsure accounts that are counted; more of them would be told as planned."""
_TOTALS = ("count", *FINAL_ACCOUNT, "retried")


async def of_jobs(engine: AsyncEngine, tenant: str) -> dict[str, dict[str, int]]:
    """By state, without those of which there are none, and the sums of their counts."""
    async with begin(engine, reading=True) as db:
        row = (await db.execute(_summed(tenant))).mappings().one()
    counts = {status.value: row[f"jobs_{status}"] for status in JobStatus}
    return {
        "jobs": {status: n for status, n in counts.items() if n},
        "accounts": {str(name): row[f"accounts_{name}"] for name in _TOTALS},
    }


async def of_accounts(engine: AsyncEngine, tenant: str) -> dict[str, int]:
    """By state, without those of which there are none. Planned are all that an open job has yet to
    begin, and cancelled all that a job will not."""
    dialect = engine.dialect.name
    unsure = sa.select(sa.func.count()).select_from(
        account_lists.of_status(tenant, AccountStatus.UNSURE.value).select(
            [accounts.c.idx], _MOST, dialect
        ).subquery()
    )  # fmt: skip
    leased = sa.select(sa.func.count()).where(
        accounts.c.tenant_id == tenant, accounts.c.session_id.is_not(None)
    ).with_hint(accounts, "INDEXED BY ix_accounts_session", "sqlite")  # fmt: skip
    query = _summed(tenant).add_columns(
        unsure.scalar_subquery().label("unsure"), leased.scalar_subquery().label("leased")
    )
    async with begin(engine, reading=True) as db:
        row = (await db.execute(query)).mappings().one()
    ends = {str(name): row[f"accounts_{name}"] for name in FINAL_ACCOUNT}
    open_ones = row["accounts_count"] - sum(ends.values())
    begun = {"leased": row["leased"], "unsure": row["unsure"]}
    counts = {"planned": max(open_ones - sum(begun.values()), 0), **begun, **ends}
    return {status: n for status, n in counts.items() if n}


async def of_reasons(engine: AsyncEngine, tenant: str, job_id: str) -> list[dict[str, Any]]:
    """Why accounts of a job failed, the most frequent first."""
    n = sa.func.count().label("count")
    theirs = sa.exists().where(jobs.c.id == job_id, jobs.c.tenant_id == tenant)
    query = sa.select(accounts.c.reason, n).where(  # what the index holds, or rows would be read
        accounts.c.job_id == job_id, sa.text("accounts.status = 'failed'"), theirs
    )
    query = query.with_hint(accounts, "INDEXED BY ix_accounts_reason", "sqlite")
    query = query.group_by(accounts.c.reason).order_by(n.desc(), accounts.c.reason).limit(1000)
    async with begin(engine, reading=True) as db:
        return [dict(row) for row in (await db.execute(query)).mappings()]


def _summed(tenant: str) -> sa.Select[Any]:
    return sa.select(*cast("list[Any]", _SUMS)).where(tallies.c.tenant_id == tenant)
