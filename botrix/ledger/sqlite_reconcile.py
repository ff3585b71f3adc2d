"""What the reconciler asks of a ledger on SQLite: final jobs whose failed and cancelled accounts
are provisional, and what was found to have landed after all."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from botrix.ledger.ledger import WATCHED_FOR, Found, Late, Provisional, Recorded
from botrix.ledger.notes import Note, of_found
from botrix.ledger.slices import ACCOUNT_COLUMNS, TO_BE_GONE, leased
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_sessions import require_live
from botrix.ledger.sqlite_settling import Tally, settle
from botrix.ledger.sqlite_verbs import job_rows
from botrix.states import AccountStatus, Happening

_DUE = (
    "UPDATE jobs SET look_at = :now WHERE id = (SELECT id FROM jobs WHERE look_at <= :before"
    " ORDER BY look_at LIMIT 1) RETURNING id, tenant_id, directory, look_at"
)
_PROVISIONAL = (
    f"SELECT {ACCOUNT_COLUMNS} FROM accounts a JOIN jobs j ON j.id = a.job_id WHERE a.job_id = ?"
    " AND a.idx > ? AND a.status IN ('failed', 'cancelled', 'deleted') AND a.attempt > 0"
    f" AND {TO_BE_GONE} ORDER BY a.idx LIMIT ?"
)
_LANDED = (
    "UPDATE accounts SET status = ?, entry_id = coalesce(?, entry_id), reason = ?,"
    " updated_at = ? WHERE job_id = ? AND idx = ? AND attempt = ? AND status = ?"
)
_LOOKED = (
    "UPDATE jobs SET looked_at = :now, look_at = CASE WHEN :now - finished_at < :watched"
    " THEN :now + 3 * (:now - finished_at) END WHERE id = :id AND look_at = :since"
)


def look_again(
    db: sqlite3.Connection, session: str, settled: float, now: float
) -> Provisional | None:
    require_live(db, session)
    row = db.execute(_DUE, {"now": now, "before": now - settled}).fetchone()
    return None if row is None else Provisional(*row)


def provisional(db: sqlite3.Connection, job_id: str, after: int, limit: int) -> list[Late]:
    rows = db.execute(_PROVISIONAL, (job_id, after, limit)).fetchall()
    return [Late(leased(row, bump=0), AccountStatus(row["status"])) for row in rows]


def landed(db: sqlite3.Connection, session: str, found: Sequence[Found], now: float) -> Recorded:
    """Compare-and-set on attempt and state: what was retried meanwhile is left as it is."""
    require_live(db, session)
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    notes: list[Note] = []
    stale: list[tuple[str, int]] = []
    for one in found:
        change = (one.becomes, one.entry_id, one.happening, now)
        if db.execute(_LANDED, (*change, *one.key, one.attempt, one.late.status)).rowcount == 1:
            tallies[one.key[0]].add(one.counts())
            notes.append(of_found(one, session))
        else:
            stale.append(one.key)
    note(db, notes, now)
    jobs = job_rows(db, list(tallies))
    states = settle(db, [(jobs[job], tally) for job, tally in tallies.items()], now)
    return Recorded(len(found) - len(stale), stale, states)


def looked_again(
    db: sqlite3.Connection, session: str, job: Provisional, now: float, *, done: bool
) -> None:
    require_live(db, session)
    if not done:
        return
    values = {"now": now, "watched": WATCHED_FOR, "id": job.job_id, "since": job.since}
    if db.execute(_LOOKED, values).rowcount == 1:
        note(db, [Note(job.job_id, None, Happening.LOOKED, session=session)], now)
