"""What the dispatcher asks of a ledger on SQLite: which leases end, which jobs stand in the line,
and which have fallen out of it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from botrix.ledger.ledger import Due, Placed
from botrix.ledger.notes import Note
from botrix.ledger.slices import CLAIMABLE, NOT_WAITING, POISONED
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_rows import as_json, read
from botrix.ledger.sqlite_settling import Tally, settle
from botrix.ledger.sqlite_turns import take_turns
from botrix.ledger.sqlite_verbs import job_rows, next_places
from botrix.ledger.turns import turned
from botrix.model import POISON, JobState, Lane
from botrix.states import AccountStatus, Happening, JobStatus, SessionStatus

_LEASES_OF_THE_LOST = (
    "SELECT a.job_id, a.idx, a.attempt, a.crashes + (s.status = 'lost') AS crashes,"
    " s.id AS session, s.status AS session_status"
    " FROM accounts a JOIN sessions s ON s.id = a.session_id"
    " WHERE a.session_id IS NOT NULL AND s.status <> 'live' LIMIT ?"
)
_HALTED = (
    "SELECT json_group_array(j.id) FROM json_each(?) u CROSS JOIN jobs j"
    " WHERE j.id = u.value AND (j.paused OR j.status = 'cancelling')"
)
_NEXT_TENANT = (
    "(SELECT tenant_id FROM jobs INDEXED BY ix_jobs_waiting WHERE place IS NOT NULL"
    " AND tenant_id > {} ORDER BY tenant_id LIMIT 1)"
)
_WAITING = (
    f"WITH RECURSIVE t (id, n) AS (SELECT {_NEXT_TENANT.format('?1')}, 1 UNION ALL"
    f" SELECT {_NEXT_TENANT.format('t.id')}, n + 1 FROM t WHERE t.id IS NOT NULL AND n < ?2)"
    " SELECT json_group_array(json_array(t.id, j.id, j.place, j.lane)) FROM t"
    ' CROSS JOIN json_each(\'["high","normal","low"]\') l CROSS JOIN jobs j'
    " WHERE j.rowid IN (SELECT rowid FROM jobs INDEXED BY ix_jobs_waiting WHERE tenant_id = t.id"
    " AND lane = l.value AND place IS NOT NULL ORDER BY place LIMIT ?3)"
)
_OPEN_JOBS = (
    "SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY ix_jobs_open WHERE tenant_id >= ''"
    " AND status IN ('pending', 'running', 'cancelling') LIMIT ?)"
)
_RANK = {lane: rank for rank, lane in enumerate(Lane)}
_Row = tuple[str, str, int, str]
_FREE = (
    "UPDATE accounts SET status = ?, session_id = NULL, not_before = 0, in_doubt = 1, crashes = ?,"
    " reason = coalesce(?, reason), detail = coalesce(?, detail), updated_at = ?"
    " WHERE job_id = ? AND idx = ?"
)


def free(db: sqlite3.Connection, limit: int, now: float) -> Due:
    """Takes the leases of every session that is not live back; what was under way is unsure. Whose
    worker died each time, also when it held nothing else, is set aside."""
    rows = db.execute(_LEASES_OF_THE_LOST, (limit,)).fetchall()
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    changes, notes = [], []
    for job, idx, attempt, crashes, session, ended in rows:
        lost = Happening.LOST if ended == SessionStatus.LOST else Happening.FREED
        notes.append(Note(job, idx, lost, attempt, session))
        status, why, detail = AccountStatus.UNSURE, None, None
        if crashes >= POISON:
            status, (why, detail) = AccountStatus.FAILED, POISONED
            tallies[job].count(status, 0.0)
            notes.append(Note(job, idx, status, attempt, session, why, detail))
        changes.append((status, crashes, why, detail, now, job, idx))
    db.executemany(_FREE, changes)
    note(db, notes, now)
    jobs = job_rows(db, list(tallies))
    states = settle(db, [(jobs[job], tally) for job, tally in tallies.items()], now)
    states = turned(states, take_turns(db, list(tallies), now))
    placed = _place_all(db, sorted({row[0] for row in rows}))
    return Due(placed, states, more=len(rows) == limit, freed=len(rows))


def due(db: sqlite3.Connection, limit: int, now: float) -> Due:
    """Gives a place to the jobs of which something became claimable; sweeps cancelled ones."""
    rows = db.execute(
        "SELECT id, status FROM jobs WHERE due_at <= ? AND place IS NULL"
        f" AND {NOT_WAITING} ORDER BY due_at LIMIT ?",
        (now, limit),
    ).fetchall()
    swept, more = [], len(rows) == limit
    for ident, status in rows:
        if status == JobStatus.CANCELLING:
            state, full = _sweep(db, ident, limit, now)
            swept.append(state)
            more = more or full
    claimable = [ident for ident, _ in rows if _claimable(db, ident, now)]
    return Due(_place_all(db, claimable), swept, more)


def _sweep(db: sqlite3.Connection, job_id: str, limit: int, now: float) -> tuple[JobState, bool]:
    """One batch; the job stays due while a batch comes back full."""
    cursor = db.execute(
        "UPDATE accounts SET status = 'cancelled', reason = 'cancelled', updated_at = ?"
        " WHERE job_id = ? AND idx IN (SELECT idx FROM accounts WHERE job_id = ?"
        " AND status = 'planned' LIMIT ?)",
        (now, job_id, job_id, limit),
    )
    full = cursor.rowcount == limit
    if not full:
        db.execute(
            "UPDATE jobs SET due_at = (SELECT min(a.not_before) FROM accounts a"
            f" WHERE a.job_id = jobs.id AND {CLAIMABLE}) WHERE id = ?",
            (job_id,),
        )
    tally = Tally()
    tally.counts["cancelled"] = cursor.rowcount
    (state,) = settle(db, [(job_rows(db, [job_id])[job_id], tally)], now)
    return state, full


def _claimable(db: sqlite3.Connection, job_id: str, now: float) -> bool:
    """A job that is being cancelled has work only while some of its accounts are unsure."""
    row = db.execute(
        "SELECT 1 FROM jobs WHERE id = ? AND (status IN ('pending', 'running')"
        " OR (status = 'cancelling' AND EXISTS (SELECT 1 FROM accounts a WHERE a.job_id = jobs.id"
        f" AND {CLAIMABLE} AND a.not_before <= ?) AND NOT EXISTS (SELECT 1 FROM accounts"
        " WHERE job_id = jobs.id AND status = 'planned')))",
        (job_id, now),
    )
    return row.fetchone() is not None


def _place_all(db: sqlite3.Connection, job_ids: Sequence[str]) -> list[Placed]:
    placed = []
    for job_id in job_ids:
        row = db.execute(
            "UPDATE jobs SET place = ?, due_at = NULL WHERE id = ? AND place IS NULL"
            " AND status IN ('pending', 'running', 'cancelling')"
            f" AND {NOT_WAITING} RETURNING place, lane",
            (next_places(db, 1)[0], job_id),
        ).fetchone()
        if row is not None:
            placed.append(Placed(job_id, row[0], Lane(row[1])))
    return placed


def fetch(db: sqlite3.Connection, limit: int) -> list[Placed]:
    """The jobs that stand first, straight from the ledger: the way without a line."""
    found: list[Placed] = []
    for lane in Lane:
        found += passed_by(db, lane, None, limit - len(found))
    return found


def passed_by(db: sqlite3.Connection, lane: Lane, head: int | None, limit: int) -> list[Placed]:
    """Jobs of a lane with a place before `head` (all of them where it is None), lowest first."""
    rows = db.execute(
        "SELECT id, place FROM jobs WHERE lane = ? AND place IS NOT NULL AND place < ?"
        " ORDER BY place LIMIT ?",
        (lane, 2**62 if head is None else head, limit),
    )
    return [Placed(row[0], row[1], lane) for row in rows]


def open_jobs(db: sqlite3.Connection, most: int) -> int:
    return int(db.execute(_OPEN_JOBS, (most,)).fetchone()[0])


def several_tenants(db: sqlite3.Connection) -> bool:
    return len(db.execute("SELECT 1 FROM tenants LIMIT 2").fetchall()) > 1


def waiting(
    db: sqlite3.Connection, after: str, tenants: int, limit: int
) -> dict[str, list[Placed]]:
    """From tenant to tenant by the index, so that neither those without work nor the jobs behind
    the first cost anything."""
    found: dict[str, list[Placed]] = {}
    for tenant, job, place, lane in read(db, _WAITING, (after, tenants, limit), list[_Row]):
        found.setdefault(tenant, []).append(Placed(job, place, Lane(lane)))
    for placed in found.values():
        placed.sort(key=lambda one: (_RANK[one.lane], one.place))
    return found


def places(db: sqlite3.Connection, jobs: Sequence[str]) -> dict[str, int | None]:
    return {job.id: job.place for job in job_rows(db, jobs).values()} if jobs else {}


def halted(db: sqlite3.Connection, jobs: Collection[str]) -> set[str]:
    return set(read(db, _HALTED, (as_json(list(jobs)),), list[str]))


def put_back(db: sqlite3.Connection, seen: Mapping[str, int], now: float) -> list[Placed]:
    """A new place for each job that still has the place that was seen."""
    placed = []
    for job_id, place in sorted(seen.items()):
        row = db.execute(
            "UPDATE jobs SET place = ? WHERE id = ? AND place = ? RETURNING place, lane",
            (next_places(db, 1)[0], job_id, place),
        ).fetchone()
        if row is not None:
            placed.append(Placed(job_id, row[0], Lane(row[1])))
    note(db, [Note(one.id, None, Happening.PUT_BACK) for one in placed], now)
    return placed
