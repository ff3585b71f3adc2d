"""Looks without leases on PostgreSQL; `looks.py` says why that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from botrix.ledger.ledger import Recorded
from botrix.ledger.looks import Run, is_looked_at, runs, unseen
from botrix.ledger.postgres_claim import LOCK_ALL, job_rows
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db
from botrix.ledger.postgres_turns import count_looks, take_turns
from botrix.ledger.postgres_verbs import record, require_live
from botrix.ledger.slices import QUIET
from botrix.ledger.turns import turned
from botrix.model import Result

# One by one: of a range from outside the planner would read all accounts of the table first.
LOOKED = f"""
WITH given AS MATERIALIZED (
  SELECT u.job_id, u.look, u.prospect, u.n, i.idx
  FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::text[]) WITH ORDINALITY
       u (job_id, first, last, look, prospect, n), generate_series(u.first, u.last) i (idx)
), hit AS (
  UPDATE accounts a SET prospect = g.prospect, not_before = -g.look, updated_at = {NOW}
  FROM given g
  WHERE a.job_id = g.job_id AND a.idx = g.idx
    AND a.status || '' = 'planned' AND a.not_before + 0 > -g.look
  RETURNING g.n
)
SELECT n, count(*)::int AS hits FROM hit GROUP BY n
"""
LATER = f"""
UPDATE jobs SET updated_at = {NOW},
  due_at = CASE WHEN place IS NULL AND due_at IS NOT NULL THEN {NOW} + {QUIET} ELSE due_at END
WHERE id = ANY ($1::text[]) AND status || '' IN ('pending', 'running')
"""


async def record_with_looks(db: Db, session: str, results: Sequence[Result]) -> Recorded:
    """In a transaction: as `record` does it for what was leased, and what was looked at without."""
    jobs = await job_rows(db, LOCK_ALL, list({one.job_id for one in results}))
    leased = [one for one in results if not one.loose]
    recorded = await record(db, session, leased) if leased else Recorded()
    await require_live(db, session)
    loose = [one for one in results if one.loose]
    mine = sorted({one.job_id for one in loose if one.job_id in jobs})
    seen = runs(one for one in loose if one.look)
    hits = await _looked(db, [run for run in seen if is_looked_at(jobs.get(run.job_id), run)])
    await db.execute(LATER, mine)
    await note(db, unseen(loose, session))
    turns = await take_turns(db, mine)
    states = {job: jobs[job].state(jobs[job].status) for job in mine}
    states |= {state.id: state for state in recorded.jobs}
    return replace(
        recorded,
        accepted=recorded.accepted + sum(n for _, n in hits),
        jobs=turned(list(states.values()), turns),
    )


async def _looked(db: Db, seen: Sequence[Run]) -> list[tuple[Run, int]]:
    if not seen:
        return []
    names = ("job_id", "first", "last", "look", "prospect")
    columns = ([getattr(run, name) for run in seen] for name in names)
    hits = [(seen[row["n"] - 1], row["hits"]) for row in await db.fetch(LOOKED, *columns)]
    await count_looks(db, hits)
    return hits
