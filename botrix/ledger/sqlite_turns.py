"""Plans, canaries and stop-loss on SQLite: what was looked at is kept, and jobs turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from botrix.ledger.looks import Run
from botrix.ledger.notes import Note
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_rows import as_json, read, write
from botrix.ledger.turns import GUARDED_COLUMNS, Guarded, Turn, counted, turn
from botrix.model import Result

_KEEP = (
    "UPDATE accounts SET prospect = r.prospect, not_before = -r.look, crashes = 0"
    " FROM (WITH r (prospect, look, job_id, idx, attempt) AS (VALUES {}) SELECT * FROM r) r"
    " WHERE accounts.job_id = r.job_id AND accounts.idx = r.idx AND accounts.attempt = r.attempt"
    " AND +accounts.status = 'planned'"
)
_COUNT = (
    "UPDATE jobs SET to_create = to_create + ?, to_adopt = to_adopt + ?,"
    " to_conflict = to_conflict + ?, moved = moved + ? WHERE id = ?"
)
_GUARDED = (
    f"SELECT json_group_array(json_array({GUARDED_COLUMNS}))"
    " FROM json_each(?) u CROSS JOIN jobs j WHERE j.id = u.value"
)
_TURN = (
    "UPDATE jobs SET stage = ?1, look = ?2, reach = ?3, paused = ?4 IS NOT NULL, waits = ?4,"
    " place = CASE WHEN ?4 IS NULL THEN place END,"
    " due_at = CASE WHEN ?4 IS NULL AND place IS NULL THEN ?5 END, updated_at = ?5 WHERE id = ?6"
)


def keep_looks(db: sqlite3.Connection, looked: Sequence[Result], now: float) -> None:
    """Those were recorded as planned, unless their job is being cancelled."""
    rows = [(one.prospect, one.look, one.job_id, one.index, one.attempt) for one in looked]
    write(db, _KEEP, "(?, ?, ?, ?, ?)", rows)
    count_looks(db, [(one, 1) for one in looked])


def count_looks(db: sqlite3.Connection, looked: Sequence[tuple[Result | Run, int]]) -> None:
    db.executemany(_COUNT, [(*n, job) for job, *n in counted(looked)])


def take_turns(db: sqlite3.Connection, jobs: Sequence[str], now: float) -> list[Turn]:
    """Of those that are guarded."""
    rows = read(db, _GUARDED, (as_json(jobs),), list[Guarded])
    turns = [one for one in map(turn, rows) if one is not None]
    for one in turns:
        db.execute(_TURN, (one.stage, one.look, one.reach, one.waits, now, one.id))
    note(db, [Note(one.id, None, one.happening, reason=one.waits) for one in turns], now)
    return turns
