"""What the reconciler asks of a ledger on SQLite: final jobs whose failed and cancelled accounts
are provisional, and what was found to have landed after all."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from botrix.ledger.ledger import LANDED, Provisional, Recorded
from botrix.ledger.notes import Note, of_result
from botrix.ledger.slices import ACCOUNT_COLUMNS, leased
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_sessions import require_live
from botrix.ledger.sqlite_verbs import Tally, job_rows, settle
from botrix.model import Happening, LeasedAccount, Result

_OLDEST = (
    "UPDATE jobs SET provisional_since = :now WHERE id = (SELECT id FROM jobs"
    " WHERE provisional_since <= :before ORDER BY provisional_since LIMIT 1)"
    " RETURNING id, tenant_id, directory, provisional_since"
)
_PROVISIONAL = (
    f"SELECT {ACCOUNT_COLUMNS} FROM accounts a JOIN jobs j ON j.id = a.job_id WHERE a.job_id = ?"
    " AND a.idx > ? AND a.status IN ('failed', 'cancelled') AND a.attempt > 0"
    " ORDER BY a.idx LIMIT ?"
)
_LANDED = (
    "UPDATE accounts SET status = ?, entry_id = coalesce(?, entry_id), reason = ?, detail = ?,"
    " updated_at = ? WHERE job_id = ? AND idx = ? AND attempt = ? AND status = ?"
)
_DONE = "UPDATE jobs SET provisional_since = NULL WHERE id = ? AND provisional_since = ?"


def look_again(
    db: sqlite3.Connection, session: str, settled: float, now: float
) -> Provisional | None:
    require_live(db, session)
    row = db.execute(_OLDEST, {"now": now, "before": now - settled}).fetchone()
    return None if row is None else Provisional(*row)


def provisional(db: sqlite3.Connection, job_id: str, after: int, limit: int) -> list[LeasedAccount]:
    return [leased(row, bump=0) for row in db.execute(_PROVISIONAL, (job_id, after, limit))]


def landed(db: sqlite3.Connection, session: str, results: Sequence[Result], now: float) -> Recorded:
    """Compare-and-set on attempt and state: what was retried meanwhile is left as it is."""
    require_live(db, session)
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    notes: list[Note] = []
    stale: list[tuple[str, int]] = []
    for one in results:
        before, what = LANDED[one.status]
        key = (one.job_id, one.index, one.attempt, before)
        change = (one.status, one.entry_id, one.reason, one.detail, now)
        if db.execute(_LANDED, (*change, *key)).rowcount == 1:
            tallies[one.job_id].counts.update({one.status: 1, before: -1})
            notes.append(of_result(one, what, session))
        else:
            stale.append((one.job_id, one.index))
    jobs = job_rows(db, list(tallies))
    states = settle(db, [(jobs[job], tally) for job, tally in tallies.items()], now)
    note(db, notes, now)
    return Recorded(len(results) - len(stale), stale, states)


def looked_again(
    db: sqlite3.Connection, session: str, job: Provisional, now: float, *, done: bool
) -> None:
    require_live(db, session)
    if done and db.execute(_DONE, (job.job_id, job.since)).rowcount == 1:
        note(db, [Note(job.job_id, None, Happening.LOOKED, session=session)], now)
