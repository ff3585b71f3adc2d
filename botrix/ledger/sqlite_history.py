"""What happened to jobs and accounts, beside the states that their rows show: noted in the same
transaction. An account that is created at the first attempt costs no note.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from botrix.ledger.notes import Note
from botrix.ledger.sqlite_rows import write

_NOTE = (
    "INSERT INTO history (job_id, idx, what, attempt, session_id, reason, detail, at, tenant_id)"
    " SELECT n.*, j.tenant_id FROM (WITH n (job_id, idx, what, attempt, session_id, reason, detail,"
    " at) AS (VALUES {}) SELECT * FROM n) n CROSS JOIN jobs j WHERE j.id = n.job_id"
)


def note(db: sqlite3.Connection, notes: Sequence[Note], now: float) -> None:
    """Of jobs that there are."""
    write(db, _NOTE, "(?, ?, ?, ?, ?, ?, ?, ?)", [(*one, now) for one in notes])
