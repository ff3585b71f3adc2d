"""What an undo has removed is noted on the job that made it, on SQLite, with the result itself."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from botrix.ledger.ledger import Recorded
from botrix.ledger.notes import of_removal, removed
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_rows import as_json, read, write
from botrix.ledger.sqlite_settling import Tally, settle
from botrix.ledger.sqlite_verbs import job_rows, record
from botrix.model import DISABLED, Result

_Row = tuple[str, int, str | None, int, str]
_MADE = (
    "SELECT json_group_array(json_array(m.job_id, m.idx, a.reason, m.in_doubt, j.id))"
    " FROM json_each(?) k CROSS JOIN accounts a CROSS JOIN jobs j CROSS JOIN accounts m"
    " WHERE a.job_id = k.value ->> 0 AND a.idx = k.value ->> 1 AND j.id = a.job_id"
    " AND m.job_id = j.undoes AND m.idx = a.row AND m.status = 'created'"
)
"""Of the accounts of undo jobs, those that were made by the jobs undone and are counted yet."""
_REMOVED = (
    "UPDATE accounts SET status = 'deleted', reason = r.reason, detail = NULL, sealed = NULL,"
    " updated_at = r.now FROM (WITH r (job_id, idx, reason, now) AS (VALUES {}) SELECT * FROM r) r"
    " WHERE accounts.job_id = r.job_id AND accounts.idx = r.idx"
)
_LOOK = "UPDATE jobs SET look_at = ? WHERE id = ?"


def record_with_removals(
    db: sqlite3.Connection, session: str, results: Sequence[Result], now: float
) -> Recorded:
    """As `record` does it, and what that removes from the jobs undone."""
    recorded = record(db, session, results, now)
    if deleted := removed(results, recorded):
        _take_out(db, session, deleted, now)
    return recorded


def _take_out(
    db: sqlite3.Connection, session: str, deleted: Sequence[tuple[str, int]], now: float
) -> None:
    rows = read(db, _MADE, (as_json(deleted),), list[_Row])
    write(db, _REMOVED, "(?, ?, ?, ?)", [(*row[:3], now) for row in rows])
    note(db, [of_removal(job, idx, session, why, undo) for job, idx, why, _, undo in rows], now)
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for job, *_ in rows:
        tallies[job].add({"deleted": 1, "created": -1})
    jobs = job_rows(db, list(tallies))
    settle(db, [(jobs[job], tally) for job, tally in tallies.items()], now)
    doubted = {job for job, _, why, in_doubt, _ in rows if in_doubt and why != DISABLED}
    db.executemany(_LOOK, [(now, job) for job in sorted(doubted)])
