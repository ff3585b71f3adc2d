"""What an undo has removed is noted on the job that made it, on PostgreSQL, with the result itself.

Both jobs are locked first, in id order as everywhere, since the result moves the counters of both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from botrix.ledger.ledger import Recorded
from botrix.ledger.notes import Note, of_removal, removed
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db, moved
from botrix.ledger.postgres_verbs import record
from botrix.model import DISABLED, Result

UNDOES = """
SELECT j.id, j.undoes FROM unnest($1::text[]) u (id),
LATERAL (SELECT j.id, j.undoes FROM jobs j WHERE j.id = u.id) j
"""
LOCK = """
SELECT j.id FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id) ORDER BY id) u,
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id FOR UPDATE) j
"""
REMOVED = f"""
UPDATE accounts a SET status = 'deleted', reason = r.reason, detail = NULL, sealed = NULL,
  updated_at = {NOW}
FROM unnest($1::text[], $2::int[]) u (job_id, idx),
LATERAL (SELECT coalesce(d.row, -1) AS row, d.reason FROM accounts d
         WHERE d.job_id = u.job_id AND d.idx = u.idx) r,
LATERAL (SELECT coalesce(j.undoes, '') AS undoes FROM jobs j WHERE j.id = u.job_id) j
WHERE a.job_id = j.undoes AND a.idx = r.row AND a.status || '' = 'created'
RETURNING a.job_id, a.idx, a.reason, a.in_doubt
"""
"""By key: a plain `row` or `undoes` would let the planner take their partial indexes instead."""
LOOK = f"UPDATE jobs SET look_at = {NOW} WHERE id = ANY ($1::text[])"


async def record_with_removals(db: Db, session: str, results: Sequence[Result]) -> Recorded:
    """In a transaction: as `record` does it, and what that removes from the jobs undone."""
    ids = sorted({result.job_id for result in results})
    rows = await db.fetch(UNDOES, ids)
    undoes = {row["id"]: row["undoes"] for row in rows if row["undoes"] is not None}
    await db.fetch(LOCK, [*ids, *undoes.values()])
    recorded = await record(db, session, results)
    if deleted := removed(results, recorded):
        by = {made_by: job for job, made_by in undoes.items()}
        await _take_out(db, session, deleted, by)
    return recorded


async def _take_out(
    db: Db, session: str, deleted: Sequence[tuple[str, int]], by: dict[str, str]
) -> None:
    """by: the undo job of each job."""
    moves: defaultdict[str, Counter[str]] = defaultdict(Counter)
    notes: list[Note] = []
    columns = ([job for job, _ in deleted], [idx for _, idx in deleted])
    rows = await db.fetch(REMOVED, *columns)
    for row in rows:
        job = row["job_id"]
        moves[job].update({"deleted": 1, "created": -1})
        notes.append(of_removal(job, row["idx"], session, row["reason"], by[job]))
    await note(db, notes)
    await moved(db, moves)
    doubted = {r["job_id"] for r in rows if r["in_doubt"] and r["reason"] != DISABLED}
    if doubted:
        await db.execute(LOOK, sorted(doubted))
