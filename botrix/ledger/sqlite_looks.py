"""Looks without leases on SQLite; `looks.py` says why that does."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from botrix.ledger.ledger import Recorded
from botrix.ledger.looks import is_looked_at, runs, unseen
from botrix.ledger.slices import QUIET
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_sessions import require_live
from botrix.ledger.sqlite_turns import count_looks, take_turns
from botrix.ledger.sqlite_verbs import job_rows, record
from botrix.ledger.turns import turned
from botrix.model import Result

_LOOKED = (
    "UPDATE accounts SET prospect = ?2, not_before = -?1, updated_at = ?3 WHERE job_id = ?4"
    " AND idx BETWEEN ?5 AND ?6 AND +status = 'planned' AND +not_before > -?1"
)
_LATER = (
    "UPDATE jobs SET updated_at = ?1,"
    " due_at = CASE WHEN place IS NULL AND due_at IS NOT NULL THEN ?2 ELSE due_at END"
    " WHERE id = ?3 AND status IN ('pending', 'running')"
)


def record_with_looks(
    db: sqlite3.Connection, session: str, results: Sequence[Result], now: float
) -> Recorded:
    """As `record` does it for what was leased, and what was looked at without."""
    leased = [one for one in results if not one.loose]
    recorded = record(db, session, leased, now) if leased else Recorded(0, [], [])
    require_live(db, session)
    loose = [one for one in results if one.loose]
    jobs = job_rows(db, list({one.job_id for one in loose}))
    hits = []
    for run in runs(one for one in loose if one.look):
        if is_looked_at(jobs.get(run.job_id), run):
            values = (run.look, run.prospect, now, run.job_id, run.first, run.last)
            hits.append((run, db.execute(_LOOKED, values).rowcount))
    count_looks(db, hits)
    db.executemany(_LATER, [(now, now + QUIET, job) for job in jobs])
    note(db, unseen(loose, session), now)
    turns = take_turns(db, list(jobs), now)
    states = {row.id: row.state(row.status) for row in jobs.values()}
    states |= {state.id: state for state in recorded.jobs}
    return replace(
        recorded,
        accepted=recorded.accepted + sum(n for _, n in hits),
        jobs=turned(list(states.values()), turns),
    )
