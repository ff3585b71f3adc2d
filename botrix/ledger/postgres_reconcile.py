"""What the reconciler asks of a ledger on PostgreSQL: final jobs whose failed and cancelled
accounts are provisional, and what was found to have landed after all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from botrix.ledger.ledger import LANDED, Provisional, Recorded
from botrix.ledger.notes import Note, of_result
from botrix.ledger.postgres_claim import LIVE
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db, lost, moved
from botrix.ledger.slices import ACCOUNT_COLUMNS, leased
from botrix.model import Happening, LeasedAccount, Result

OLDEST = f"""
UPDATE jobs j SET provisional_since = {NOW}
FROM (SELECT id FROM jobs WHERE provisional_since <= {NOW} - $1::float8
      ORDER BY provisional_since LIMIT 1 FOR UPDATE SKIP LOCKED) o
WHERE j.id = o.id RETURNING j.id, j.tenant_id, j.directory, j.provisional_since
"""
PROVISIONAL = f"""
SELECT {ACCOUNT_COLUMNS} FROM accounts a, LATERAL (SELECT * FROM jobs j WHERE j.id = a.job_id) j
WHERE a.job_id = $1 AND a.idx > $2 AND a.status || '' IN ('failed', 'cancelled') AND a.attempt > 0
ORDER BY a.idx LIMIT $3
"""
_LOCK = """
SELECT j.id FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id) ORDER BY id) u,
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id FOR UPDATE) j
"""
_LAND = f"""
UPDATE accounts a SET status = u.status, entry_id = coalesce(u.entry_id, a.entry_id),
  reason = u.reason, detail = u.detail, updated_at = {NOW}
FROM unnest($1::text[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[])
     u (job_id, idx, attempt, was, status, entry_id, reason, detail)
WHERE a.job_id = u.job_id AND a.idx = u.idx AND a.attempt = u.attempt AND a.status || '' = u.was
RETURNING a.job_id, a.idx
"""
_DONE = """
UPDATE jobs j SET provisional_since = NULL WHERE j.id = $1 AND j.provisional_since = $2
"""


async def look_again(db: Db, session: str, settled: float) -> Provisional | None:
    await _require_live(db, session)
    row = await db.fetchrow(OLDEST, settled)
    return None if row is None else Provisional(*row)


async def provisional(db: Db, job_id: str, after: int, limit: int) -> list[LeasedAccount]:
    return [leased(row, bump=0) for row in await db.fetch(PROVISIONAL, job_id, after, limit)]


async def landed(db: Db, session: str, results: Sequence[Result]) -> Recorded:
    """Compare-and-set on attempt and state: what was retried meanwhile is left as it is."""
    await _require_live(db, session)
    await db.fetch(_LOCK, [one.job_id for one in results])
    rows = await db.fetch(_LAND, *_columns(results))
    changed = {(row["job_id"], row["idx"]) for row in rows}
    moves: defaultdict[str, Counter[str]] = defaultdict(Counter)
    notes = []
    for one in results:
        if (one.job_id, one.index) in changed:
            before, what = LANDED[one.status]
            moves[one.job_id].update({one.status: 1, before: -1})
            notes.append(of_result(one, what, session))
    await note(db, notes)
    stale = [(r.job_id, r.index) for r in results if (r.job_id, r.index) not in changed]
    return Recorded(len(changed), stale, await moved(db, moves))


def _columns(results: Sequence[Result]) -> tuple[list[object], ...]:
    return (
        [r.job_id for r in results],
        [r.index for r in results],
        [r.attempt for r in results],
        [LANDED[r.status][0] for r in results],
        [r.status for r in results],
        [r.entry_id for r in results],
        [r.reason for r in results],
        [r.detail for r in results],
    )


async def looked_again(db: Db, session: str, job: Provisional, *, done: bool) -> None:
    await _require_live(db, session)
    if done and await db.execute(_DONE, job.job_id, job.since) == "UPDATE 1":
        await note(db, [Note(job.job_id, None, Happening.LOOKED, session=session)])


async def _require_live(db: Db, session: str) -> None:
    if await db.fetchval(LIVE, session) != "live":
        raise lost(session)
