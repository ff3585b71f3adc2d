"""Erasing and purging on SQLite; see keeping.py. A writer is alone here, so no row is locked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from botrix.ledger.keeping import CHUNKS, DAY, Outlived, Rule

_LEAST_DAYS = (
    "SELECT min(days) FROM (SELECT coalesce(password_days, :days) AS days FROM tenants"
    " UNION ALL SELECT :days) WHERE days > 0"
)
_COLUMNS = "j.id, j.tenant_id, j.created_at, j.finished_at, j.count"
_OUTLIVED_PASSWORDS = (
    f"SELECT {_COLUMNS}, :now - {DAY} * coalesce(t.password_days, :days) AS before"
    " FROM jobs j LEFT JOIN tenants t ON t.id = j.tenant_id"
    " WHERE j.erased_at IS NULL AND j.finished_at IS NOT NULL"
    f" AND j.finished_at < :now - {DAY} * :least AND (j.finished_at, j.id) > (:at, :after)"
    " AND coalesce(t.password_days, :days) > 0"
    f" AND j.finished_at < :now - {DAY} * coalesce(t.password_days, :days)"
    " AND (:tenant = '' OR j.tenant_id = :tenant) ORDER BY j.finished_at, j.id LIMIT :limit"
)
_TENANTS = (
    "SELECT id, coalesce(retention_days, :days) AS days FROM tenants WHERE id >= :after"
    " AND coalesce(retention_days, :days) > 0 AND (:tenant = '' OR id = :tenant) ORDER BY id"
)
_OUTLIVED_JOBS = (
    f"SELECT {_COLUMNS}, :before AS before FROM jobs j WHERE j.tenant_id = :tenant"
    " AND j.created_at < :before AND j.finished_at < :before"
    " AND (j.created_at, j.id) > (:at, :after) ORDER BY j.created_at, j.id LIMIT :limit"
)
_IS_OURS = "SELECT 1 FROM jobs WHERE id = ? AND finished_at = ?"
_ERASE = (
    "UPDATE accounts SET sealed = NULL WHERE job_id = ? AND idx >= ? AND idx < ?"
    " AND sealed IS NOT NULL AND updated_at < ?"
)
_ERASED = (
    "UPDATE jobs SET erased_at = ? WHERE id = ? AND finished_at = ? AND erased_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM accounts WHERE job_id = jobs.id AND sealed IS NOT NULL)"
)
_HIDE = (
    "UPDATE jobs SET importing = 1, look_at = NULL, updated_at = ?"
    " WHERE id = ? AND finished_at = ? AND NOT importing"
)
_PURGE = "DELETE FROM accounts WHERE job_id = ? AND idx >= ? AND idx < ?"
_FORGET = (
    "DELETE FROM roster_chunks WHERE job_id = :job AND first_row IN"
    " (SELECT first_row FROM roster_chunks WHERE job_id = :job ORDER BY first_row LIMIT :limit)"
)
_REST = (
    "DELETE FROM history WHERE n IN (SELECT n FROM history WHERE job_id = :job LIMIT :limit)",
    'DELETE FROM bad_rows WHERE job_id = :job AND "row" IN'
    ' (SELECT "row" FROM bad_rows WHERE job_id = :job LIMIT :limit)',
)


def outlived_passwords(
    db: sqlite3.Connection, rule: Rule, after: Outlived | None, limit: int, now: float
) -> list[Outlived]:
    days = rule.password_days
    least = db.execute(_LEAST_DAYS, {"days": days}).fetchone()[0]
    if not least:
        return []
    values = {
        "now": now, "days": days, "least": least, "tenant": rule.tenant, "limit": limit,
        "at": after.finished_at if after else 0.0, "after": after.job_id if after else "",
    }  # fmt: skip
    return [Outlived(*row) for row in db.execute(_OUTLIVED_PASSWORDS, values)]


def outlived_jobs(
    db: sqlite3.Connection, rule: Rule, after: Outlived | None, limit: int, now: float
) -> list[Outlived]:
    """By tenant, each in the order of its index."""
    first = after.tenant_id if after else ""
    values = {"days": rule.retention_days, "after": first, "tenant": rule.tenant}
    found: list[Outlived] = []
    for tenant, days in db.execute(_TENANTS, values).fetchall():
        at, last = (after.created_at, after.job_id) if after and tenant == first else (0.0, "")
        values = {"tenant": tenant, "before": now - DAY * days, "limit": limit - len(found)}
        found += [
            Outlived(*row) for row in db.execute(_OUTLIVED_JOBS, values | {"at": at, "after": last})
        ]
        if len(found) == limit:
            break
    return found


def erase(db: sqlite3.Connection, job: Outlived, indexes: range) -> int | None:
    if not _is_ours(db, job):
        return None
    values = (job.job_id, indexes.start, indexes.stop, job.before)
    return db.execute(_ERASE, values).rowcount


def forget(db: sqlite3.Connection, job: Outlived, limit: int) -> bool | None:
    if not _is_ours(db, job):
        return None
    return _forgotten(db, job, limit)


def erased(db: sqlite3.Connection, job: Outlived, now: float) -> bool | None:
    if not _is_ours(db, job):
        return None
    return db.execute(_ERASED, (now, job.job_id, job.finished_at)).rowcount == 1


_LATELY = 7200.0
_DEPARTED = """
SELECT t.id, t.audit_n, EXISTS (
  SELECT 1 FROM audit a WHERE a.tenant_id = t.id AND a.n > coalesce(u.value, 0)
  AND a.what IN ('account.reveal', 'job.export') AND (u.value IS NOT NULL OR a.at > ?2))
FROM tenants t LEFT JOIN json_each(?1) u ON u.key = t.id
"""


def purge(db: sqlite3.Connection, job: Outlived, indexes: range, now: float) -> int | None:
    if not _hidden(db, job, now):
        return None
    return db.execute(_PURGE, (job.job_id, indexes.start, indexes.stop)).rowcount


def remove(db: sqlite3.Connection, job: Outlived, limit: int, now: float) -> bool | None:
    if not _hidden(db, job, now):
        return None
    if not _forgotten(db, job, CHUNKS):
        return False
    values = {"job": job.job_id, "limit": limit}
    if limit in [db.execute(sql, values).rowcount for sql in _REST]:
        return False
    db.execute("DELETE FROM jobs WHERE id = ?", (job.job_id,))
    return True


def departed(
    db: sqlite3.Connection, seen: Mapping[str, int], now: float
) -> tuple[bool, dict[str, int]]:
    rows = db.execute(_DEPARTED, (json.dumps(dict(seen)), now - _LATELY)).fetchall()
    return any(left for _, _, left in rows), {tenant: n for tenant, n, _ in rows}


def scrub(db: sqlite3.Connection, most: int) -> bool:
    """Pages are zeroed where rows were deleted, but a page that was split keeps, in its gap, what
    moved away; so a small file is written anew. Who waits for others here keeps writers waiting,
    so not for long."""
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout = 200")
    try:
        if 0 < _size(db) <= most:
            db.execute("VACUUM")
        (held_up, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience}")
    return not held_up


def _size(db: sqlite3.Connection) -> int:
    (pages,), (size,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
    )
    return int(pages * size)


def _forgotten(db: sqlite3.Connection, job: Outlived, limit: int) -> bool:
    """Whether nothing of the roster is left. In order, so that where the first is, all are."""
    return db.execute(_FORGET, {"job": job.job_id, "limit": limit}).rowcount < limit


def _is_ours(db: sqlite3.Connection, job: Outlived) -> bool:
    """It was neither opened again nor purged meanwhile."""
    return db.execute(_IS_OURS, (job.job_id, job.finished_at)).fetchone() is not None


def _hidden(db: sqlite3.Connection, job: Outlived, now: float) -> bool:
    if not _is_ours(db, job):
        return False
    db.execute(_HIDE, (now, job.job_id, job.finished_at))
    return True
