"""What the reconciler asks of a ledger on PostgreSQL: final jobs whose failed and cancelled
accounts are provisional, and what was found to have landed after all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from botrix.ledger.ledger import WATCHED_FOR, Found, Late, Provisional, Recorded
from botrix.ledger.notes import Note, of_found
from botrix.ledger.postgres_claim import LIVE
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db, lost, moved
from botrix.ledger.slices import ACCOUNT_COLUMNS, TO_BE_GONE, leased
from botrix.states import AccountStatus, Happening

OLDEST = f"""
UPDATE jobs j SET look_at = {NOW}
FROM (SELECT id FROM jobs WHERE look_at <= {NOW} - $1::float8
      ORDER BY look_at LIMIT 1 FOR UPDATE SKIP LOCKED) o
WHERE j.id = o.id RETURNING j.id, j.tenant_id, j.directory, j.look_at
"""
PROVISIONAL = f"""
SELECT {ACCOUNT_COLUMNS} FROM accounts a, LATERAL (SELECT * FROM jobs j WHERE j.id = a.job_id) j
WHERE a.job_id = $1 AND a.idx > $2 AND a.status || '' IN ('failed', 'cancelled', 'deleted')
  AND a.attempt > 0 AND {TO_BE_GONE}
ORDER BY a.idx LIMIT $3
"""
_LOCK = """
SELECT j.id FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id) ORDER BY id) u,
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id FOR UPDATE) j
"""
_LAND = f"""
UPDATE accounts a SET status = u.status, entry_id = coalesce(u.entry_id, a.entry_id),
  reason = u.reason, updated_at = {NOW}
FROM unnest($1::text[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[])
     u (job_id, idx, attempt, was, status, entry_id, reason)
WHERE a.job_id = u.job_id AND a.idx = u.idx AND a.attempt = u.attempt AND a.status || '' = u.was
RETURNING a.job_id, a.idx
"""
_LOOKED = f"""
UPDATE jobs j SET looked_at = {NOW},
  look_at = CASE WHEN {NOW} - finished_at < $3::float8 THEN {NOW} + 3 * ({NOW} - finished_at) END
WHERE j.id = $1 AND j.look_at = $2
"""


async def look_again(db: Db, session: str, settled: float) -> Provisional | None:
    await _require_live(db, session)
    row = await db.fetchrow(OLDEST, settled)
    return None if row is None else Provisional(*row)


async def provisional(db: Db, job_id: str, after: int, limit: int) -> list[Late]:
    rows = await db.fetch(PROVISIONAL, job_id, after, limit)
    return [Late(leased(row, bump=0), AccountStatus(row["status"])) for row in rows]


async def landed(db: Db, session: str, found: Sequence[Found]) -> Recorded:
    """Compare-and-set on attempt and state: what was retried meanwhile is left as it is."""
    await _require_live(db, session)
    await db.fetch(_LOCK, [one.key[0] for one in found])
    rows = await db.fetch(_LAND, *_columns(found))
    changed = {(row["job_id"], row["idx"]) for row in rows}
    moves: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        if one.key in changed:
            moves[one.key[0]].update(one.counts())
    await note(db, [of_found(one, session) for one in found if one.key in changed])
    stale = [one.key for one in found if one.key not in changed]
    return Recorded(len(changed), stale, await moved(db, moves))


def _columns(found: Sequence[Found]) -> tuple[list[object], ...]:
    return (
        [one.key[0] for one in found],
        [one.key[1] for one in found],
        [one.attempt for one in found],
        [one.late.status for one in found],
        [one.becomes for one in found],
        [one.entry_id for one in found],
        [one.happening for one in found],
    )


async def looked_again(db: Db, session: str, job: Provisional, *, done: bool) -> None:
    await _require_live(db, session)
    if done and await db.execute(_LOOKED, job.job_id, job.since, WATCHED_FOR) == "UPDATE 1":
        await note(db, [Note(job.job_id, None, Happening.LOOKED, session=session)])


async def _require_live(db: Db, session: str) -> None:
    if await db.fetchval(LIVE, session) != "live":
        raise lost(session)
