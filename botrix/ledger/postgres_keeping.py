"""Erasing and purging on PostgreSQL; see keeping.py. Whoever finds a job's row locked leaves that
job to whom it is."""

from __future__ import annotations

from botrix.ledger.keeping import CHUNKS, DAY, Outlived, Rule
from botrix.ledger.postgres_rows import NOW, Db

_STABLE_NOW = "extract(epoch FROM now())::float8"  # the other could bound no index
LEAST_DAYS = """
SELECT min(days) FROM (SELECT coalesce(password_days, $1::int) AS days FROM tenants
                       UNION ALL SELECT $1::int) d WHERE days > 0
"""
_COLUMNS = "j.id, j.tenant_id, j.created_at, j.finished_at, j.count"
OUTLIVED_PASSWORDS = f"""
SELECT {_COLUMNS}, {_STABLE_NOW} - {DAY} * coalesce(t.password_days, $1::int)
FROM jobs j LEFT JOIN tenants t ON t.id = j.tenant_id
WHERE j.erased_at IS NULL AND j.finished_at IS NOT NULL
  AND j.finished_at < {_STABLE_NOW} - {DAY} * $2::int AND (j.finished_at, j.id) > ($3, $4)
  AND coalesce(t.password_days, $1) > 0
  AND j.finished_at < {_STABLE_NOW} - {DAY} * coalesce(t.password_days, $1)
  AND ($5::text = '' OR j.tenant_id = $5)
ORDER BY j.finished_at, j.id LIMIT $6
"""
_TENANTS = f"""
SELECT id, {_STABLE_NOW} - {DAY} * coalesce(retention_days, $1::int) FROM tenants
WHERE id >= $2 AND coalesce(retention_days, $1) > 0 AND ($3::text = '' OR id = $3) ORDER BY id
"""
OUTLIVED_JOBS = f"""
SELECT {_COLUMNS}, $2::float8 FROM jobs j
WHERE j.tenant_id = $1 AND j.created_at < $2 AND j.finished_at < $2
  AND (j.created_at, j.id) > ($3, $4)
ORDER BY j.created_at, j.id LIMIT $5
"""
_TAKE = "SELECT 1 FROM jobs WHERE id = $1 AND finished_at = $2 FOR UPDATE SKIP LOCKED"
_ERASE = """
UPDATE accounts SET sealed = NULL WHERE job_id = $1 AND idx >= $2 AND idx < $3
  AND sealed IS NOT NULL AND updated_at < $4
"""
_ERASED = f"""
UPDATE jobs SET erased_at = {NOW} WHERE id = $1 AND erased_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM accounts WHERE job_id = jobs.id AND sealed IS NOT NULL)
"""
_HIDE = (
    f"UPDATE jobs SET importing = true, look_at = NULL, updated_at = {NOW}"
    " WHERE id = $1 AND NOT importing"
)
_PURGE = "DELETE FROM accounts WHERE job_id = $1 AND idx >= $2 AND idx < $3"
_FORGET = (
    "DELETE FROM roster_chunks WHERE job_id = $1 AND first_row IN"
    " (SELECT first_row FROM roster_chunks WHERE job_id = $1 ORDER BY first_row LIMIT $2)"
)
_REST = (
    "DELETE FROM history WHERE n IN (SELECT n FROM history WHERE job_id = $1 LIMIT $2)",
    'DELETE FROM bad_rows WHERE job_id = $1 AND "row" IN'
    ' (SELECT "row" FROM bad_rows WHERE job_id = $1 LIMIT $2)',
)


async def outlived_passwords(
    db: Db, rule: Rule, after: Outlived | None, limit: int
) -> list[Outlived]:
    least = await db.fetchval(LEAST_DAYS, rule.password_days)
    if not least:
        return []
    at, last = (after.finished_at, after.job_id) if after else (0.0, "")
    values = (rule.password_days, least, at, last, rule.tenant, limit)
    return [Outlived(*row) for row in await db.fetch(OUTLIVED_PASSWORDS, *values)]


async def outlived_jobs(db: Db, rule: Rule, after: Outlived | None, limit: int) -> list[Outlived]:
    """By tenant, each in the order of its index."""
    first = after.tenant_id if after else ""
    found: list[Outlived] = []
    for tenant, before in await db.fetch(_TENANTS, rule.retention_days, first, rule.tenant):
        at, last = (after.created_at, after.job_id) if after and tenant == first else (0.0, "")
        rows = await db.fetch(OUTLIVED_JOBS, tenant, before, at, last, limit - len(found))
        found += [Outlived(*row) for row in rows]
        if len(found) == limit:
            break
    return found


async def erase(db: Db, job: Outlived, indexes: range) -> int | None:
    if not await _taken(db, job):
        return None
    return _changed(await db.execute(_ERASE, job.job_id, indexes.start, indexes.stop, job.before))


async def forget(db: Db, job: Outlived, limit: int) -> bool | None:
    if not await _taken(db, job):
        return None
    return await _forgotten(db, job, limit)


async def erased(db: Db, job: Outlived) -> bool | None:
    if not await _taken(db, job):
        return None
    return _changed(await db.execute(_ERASED, job.job_id)) == 1


async def purge(db: Db, job: Outlived, indexes: range) -> int | None:
    if not await _taken(db, job):
        return None
    await db.execute(_HIDE, job.job_id)
    return _changed(await db.execute(_PURGE, job.job_id, indexes.start, indexes.stop))


async def remove(db: Db, job: Outlived, limit: int) -> bool | None:
    if not await _taken(db, job):
        return None
    await db.execute(_HIDE, job.job_id)
    if not await _forgotten(db, job, CHUNKS):
        return False
    if limit in [_changed(await db.execute(sql, job.job_id, limit)) for sql in _REST]:
        return False
    await db.execute("DELETE FROM jobs WHERE id = $1", job.job_id)
    return True


async def _forgotten(db: Db, job: Outlived, limit: int) -> bool:
    """Whether nothing of the roster is left. In order, so that where the first is, all are."""
    return _changed(await db.execute(_FORGET, job.job_id, limit)) < limit


async def _taken(db: Db, job: Outlived) -> bool:
    """It is nobody else's, and was neither opened again nor purged meanwhile."""
    return await db.fetchval(_TAKE, job.job_id, job.finished_at) is not None


def _changed(said: str) -> int:
    """From `UPDATE 5`."""
    return int(said.rsplit(" ", 1)[1])
