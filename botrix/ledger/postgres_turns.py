"""Plans, canaries and stop-loss on PostgreSQL: what was looked at is kept, and jobs turn. Within a
transaction that has locked the jobs."""

from __future__ import annotations

from collections.abc import Sequence

from botrix.ledger.looks import Run
from botrix.ledger.notes import Note
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db
from botrix.ledger.turns import GUARDED_COLUMNS, Guarded, Turn, counted, turn
from botrix.model import Result

KEEP = """
UPDATE accounts a SET prospect = u.prospect, not_before = -u.look, crashes = 0
FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::int[])
     u (prospect, look, job_id, idx, attempt)
WHERE a.job_id = u.job_id AND a.idx = u.idx AND a.attempt = u.attempt AND a.status || '' = 'planned'
"""
COUNT = """
UPDATE jobs j SET to_create = j.to_create + u.c, to_adopt = j.to_adopt + u.a,
  to_conflict = j.to_conflict + u.x, moved = j.moved + u.m
FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::int[]) u (id, c, a, x, m)
WHERE j.id = u.id
"""
TURNING = f"""
SELECT g.* FROM unnest($1::text[]) u (id), LATERAL (
  SELECT {GUARDED_COLUMNS} FROM jobs j WHERE j.id = u.id) g
"""
TURN = f"""
UPDATE jobs j SET stage = u.stage, look = u.look, reach = u.reach, paused = u.waits IS NOT NULL,
  waits = u.waits, place = CASE WHEN u.waits IS NULL THEN j.place END,
  due_at = CASE WHEN u.waits IS NULL AND j.place IS NULL THEN {NOW} END, updated_at = {NOW}
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[])
     u (id, stage, waits, look, reach)
WHERE j.id = u.id
"""


async def keep_looks(db: Db, looked: Sequence[Result]) -> None:
    """Those were recorded as planned, unless their job is being cancelled."""
    if not looked:
        return
    await db.execute(
        KEEP,
        [one.prospect for one in looked],
        [one.look for one in looked],
        [one.job_id for one in looked],
        [one.index for one in looked],
        [one.attempt for one in looked],
    )
    await count_looks(db, [(one, 1) for one in looked])


async def count_looks(db: Db, looked: Sequence[tuple[Result | Run, int]]) -> None:
    if looked:
        await db.execute(COUNT, *(list(column) for column in zip(*counted(looked), strict=True)))


async def take_turns(db: Db, jobs: Sequence[str]) -> list[Turn]:
    """Of those that are guarded."""
    rows = await db.fetch(TURNING, jobs)
    turns = [one for row in rows if (one := turn(Guarded(*row))) is not None]
    if not turns:
        return []
    columns = ("id", "stage", "waits", "look", "reach")
    await db.execute(TURN, *([getattr(one, name) for one in turns] for name in columns))
    await note(db, [Note(one.id, None, one.happening, reason=one.waits) for one in turns])
    return turns
