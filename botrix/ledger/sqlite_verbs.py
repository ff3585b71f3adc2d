"""The hot verbs on SQLite, each on an open transaction; the claim has a file of its own."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from botrix.errors import SessionLost
from botrix.ledger.ledger import (
    AccountResult,
    DirectoryRow,
    Due,
    PeerBeat,
    Placed,
    Recorded,
    Submission,
    Submitted,
)
from botrix.model import AccountStatus, JobState, JobStatus, Lane, NewJob, Result

JOB = "id, tenant_id, status, lane, directory, count, created, existing, failed, cancelled, deleted, retried"  # noqa: E501
INSERT_JOB = (
    "INSERT INTO jobs (id, tenant_id, source, lane, directory, template, tries, count, place,"
    " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_RECORD = (
    "UPDATE accounts SET status = ?, session_id = NULL, entry_id = coalesce(?, entry_id),"
    " reason = ?, detail = ?, not_before = ?, tries = tries + ?, updated_at = ?"
    " WHERE job_id = ? AND idx = ? AND session_id = ? AND attempt = ? AND status = 'leased'"
)
_TALLY = f"""
UPDATE jobs SET
  created = created + :created, existing = existing + :existing, failed = failed + :failed,
  cancelled = cancelled + :cancelled, retried = retried + :retried, updated_at = :now,
  due_at = CASE WHEN :due IS NULL THEN due_at WHEN due_at < :due THEN due_at ELSE :due END
WHERE id = :id RETURNING {JOB}
"""
_FINISH = f"""
UPDATE jobs SET place = NULL, due_at = NULL, finished_at = :now, updated_at = :now,
  status = CASE WHEN status = 'cancelling' THEN 'cancelled' WHEN failed > 0 THEN 'failed'
                ELSE 'completed' END
WHERE id = :id AND status IN ('running', 'cancelling')
  AND created + existing + failed + cancelled + deleted = count RETURNING {JOB}
"""


def job_state(row: Sequence[Any]) -> JobState:
    """From the columns of JOB, in their order (more may follow)."""
    ident, tenant, status, lane, directory, *counts = list(row)[:12]
    return JobState(ident, tenant, JobStatus(status), Lane(lane), directory, *counts)


def job_row(job: NewJob, place: int | None, now: float) -> tuple[Any, ...]:
    return (
        job.id, job.tenant_id, job.source, job.lane, job.directory, job.template, job.tries,
        job.count, place, now, now,
    )  # fmt: skip


def next_place(db: sqlite3.Connection) -> int:
    row = db.execute("UPDATE counters SET value = value + 1 WHERE name = 'place' RETURNING value")
    return int(row.fetchone()[0])


def require_live(db: sqlite3.Connection, session: str) -> None:
    row = db.execute("SELECT status FROM sessions WHERE id = ?", (session,)).fetchone()
    if row is None or row[0] != "live":
        raise SessionLost(f"session {session} was declared lost; the worker starts a new one")


def submit(
    db: sqlite3.Connection, submissions: Sequence[Submission], now: float
) -> list[Submitted]:
    return [_submit(db, one, now) for one in submissions]


def _submit(db: sqlite3.Connection, one: Submission, now: float) -> Submitted:
    job = one.job
    if one.key is not None:
        before = db.execute(
            "SELECT job_id, fingerprint FROM idempotency_keys WHERE tenant_id = ? AND key = ?",
            (job.tenant_id, one.key),
        ).fetchone()
        if before is not None:
            clash = before[1] != one.fingerprint
            return Submitted(before[0], replay=not clash, clash=clash)
        db.execute(
            "INSERT INTO idempotency_keys (tenant_id, key, fingerprint, job_id, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (job.tenant_id, one.key, one.fingerprint, job.id, now),
        )
    place = next_place(db)
    db.execute(INSERT_JOB, job_row(job, place, now))
    return Submitted(job.id, place)


def open_session(db: sqlite3.Connection, row: tuple[str, str, str, int, str], now: float) -> None:
    db.execute(
        "INSERT INTO sessions (id, worker_id, host, pid, version, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*row, now),
    )


def renew(db: sqlite3.Connection, session: str) -> None:
    cursor = db.execute(
        "UPDATE sessions SET beat = beat + 1 WHERE id = ? AND status = 'live'", (session,)
    )
    if cursor.rowcount == 0:
        raise SessionLost(f"session {session} was declared lost; the worker starts a new one")


def end_session(db: sqlite3.Connection, session: str, now: float) -> None:
    db.execute(
        "UPDATE sessions SET status = 'ended', ended_at = ? WHERE id = ? AND status = 'live'",
        (now, session),
    )


def peers(db: sqlite3.Connection) -> list[PeerBeat]:
    rows = db.execute("SELECT id, worker_id, host, pid, beat FROM sessions WHERE status = 'live'")
    return [PeerBeat(*row) for row in rows]


def mark_lost(db: sqlite3.Connection, session: str, seen_beat: int | None, now: float) -> bool:
    cursor = db.execute(
        "UPDATE sessions SET status = 'lost', ended_at = :now WHERE id = :id AND status = 'live'"
        " AND (:beat IS NULL OR beat = :beat)",
        {"now": now, "id": session, "beat": seen_beat},
    )
    return cursor.rowcount == 1


def lost_sessions(db: sqlite3.Connection, now: float) -> list[str]:
    rows = db.execute(
        "SELECT id FROM sessions WHERE status IN ('lost', 'ended') AND ended_at > ?",
        (now - 86400.0,),
    )
    return [row[0] for row in rows]


def record(db: sqlite3.Connection, session: str, results: Sequence[Result], now: float) -> Recorded:
    """Compare-and-set on session and attempt; the counters move by the rows that matched."""
    require_live(db, session)
    tallies: dict[str, _Tally] = {}
    stale: list[tuple[str, int]] = []
    for result in results:
        tally = tallies.get(result.job_id)
        if tally is None:
            tally = tallies[result.job_id] = _Tally(db, result.job_id)
        if not _record_one(db, session, result, tally, now):
            stale.append((result.job_id, result.index))
    states = [_settle(db, job_id, tally, now) for job_id, tally in tallies.items() if tally.moved]
    return Recorded(len(results) - len(stale), stale, states)


class _Tally:
    """What one flush does to one job's counters."""

    def __init__(self, db: sqlite3.Connection, job_id: str) -> None:
        row = db.execute("SELECT status FROM jobs WHERE id = ?", (job_id,)).fetchone()
        self.cancelling = row is not None and row[0] == JobStatus.CANCELLING
        self.counts: Counter[str] = Counter()
        self.due: float | None = None
        self.moved = False


def _record_one(
    db: sqlite3.Connection, session: str, result: Result, tally: _Tally, now: float
) -> bool:
    status = result.status
    if tally.cancelling and status == AccountStatus.PLANNED:
        status = AccountStatus.CANCELLED
    again = status in (AccountStatus.PLANNED, AccountStatus.UNSURE)
    not_before = now + result.delay if again else 0.0
    cursor = db.execute(
        _RECORD,
        (
            status, result.entry_id, result.reason, result.detail, not_before,
            int(result.counted), now, result.job_id, result.index, session, result.attempt,
        ),
    )  # fmt: skip
    if cursor.rowcount == 0:
        return False
    tally.moved = True
    tally.counts[status] += 1
    if again:
        tally.counts["retried"] += int(result.counted)
        tally.due = not_before if tally.due is None else min(tally.due, not_before)
    return True


def _settle(db: sqlite3.Connection, job_id: str, tally: _Tally, now: float) -> JobState:
    counts = {
        name: tally.counts[name]
        for name in ("created", "existing", "failed", "cancelled", "retried")
    }
    row = db.execute(_TALLY, {**counts, "due": tally.due, "now": now, "id": job_id}).fetchone()
    if sum(row[6:11]) == row[5]:
        row = db.execute(_FINISH, {"now": now, "id": job_id}).fetchone() or row
    return job_state(row)


def free(db: sqlite3.Connection, limit: int, now: float) -> Due:
    """Takes the leases of every session that is not live back; what was under way is unsure."""
    rows = db.execute(
        "SELECT a.job_id, a.idx, s.status FROM accounts a JOIN sessions s ON s.id = a.session_id"
        " WHERE a.session_id IS NOT NULL AND s.status <> 'live' LIMIT ?",
        (limit,),
    ).fetchall()
    db.executemany(
        "UPDATE accounts SET status = 'unsure', session_id = NULL, not_before = 0,"
        " crashes = crashes + ?, updated_at = ? WHERE job_id = ? AND idx = ?",
        [(int(status == "lost"), now, job, idx) for job, idx, status in rows],
    )
    return Due(_place_all(db, sorted({row[0] for row in rows})), more=len(rows) == limit)


def due(db: sqlite3.Connection, limit: int, now: float) -> Due:
    """Gives a place to the jobs of which something became claimable; sweeps cancelled ones."""
    rows = db.execute(
        "SELECT id, status FROM jobs WHERE due_at <= ? AND place IS NULL AND NOT paused"
        " AND NOT importing ORDER BY due_at LIMIT ?",
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
            "UPDATE jobs SET due_at = (SELECT min(not_before) FROM accounts"
            " WHERE job_id = jobs.id AND status = 'unsure') WHERE id = ?",
            (job_id,),
        )
    tally = _Tally(db, job_id)
    tally.counts["cancelled"] = cursor.rowcount
    return _settle(db, job_id, tally, now), full


def _claimable(db: sqlite3.Connection, job_id: str, now: float) -> bool:
    """A job that is being cancelled has work only while some of its accounts are unsure."""
    row = db.execute(
        "SELECT 1 FROM jobs WHERE id = ? AND (status IN ('pending', 'running')"
        " OR (status = 'cancelling' AND EXISTS (SELECT 1 FROM accounts WHERE job_id = jobs.id"
        " AND status = 'unsure' AND not_before <= ?) AND NOT EXISTS (SELECT 1 FROM accounts"
        " WHERE job_id = jobs.id AND status = 'planned')))",
        (job_id, now),
    )
    return row.fetchone() is not None


def _place_all(db: sqlite3.Connection, job_ids: Sequence[str]) -> list[Placed]:
    placed = []
    for job_id in job_ids:
        row = db.execute(
            "UPDATE jobs SET place = ?, due_at = NULL WHERE id = ? AND place IS NULL"
            " AND status IN ('pending', 'running', 'cancelling') AND NOT paused AND NOT importing"
            " RETURNING place, lane",
            (next_place(db), job_id),
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


def put_back(db: sqlite3.Connection, seen: Mapping[str, int]) -> list[Placed]:
    """A new place for each job that still has the place that was seen."""
    placed = []
    for job_id, place in sorted(seen.items()):
        row = db.execute(
            "UPDATE jobs SET place = ? WHERE id = ? AND place = ? RETURNING place, lane",
            (next_place(db), job_id, place),
        ).fetchone()
        if row is not None:
            placed.append(Placed(job_id, row[0], Lane(row[1])))
    return placed


def directory(db: sqlite3.Connection, tenant_id: str, name: str) -> DirectoryRow | None:
    row = db.execute(
        "SELECT kind, config FROM directories WHERE tenant_id = ? AND name = ?", (tenant_id, name)
    ).fetchone()
    return None if row is None else DirectoryRow(row[0], row[1])


def first_results(db: sqlite3.Connection, job_id: str, limit: int) -> list[AccountResult]:
    rows = db.execute(
        "SELECT idx, username, status, reason FROM accounts WHERE job_id = ? ORDER BY idx LIMIT ?",
        (job_id, limit),
    )
    return [AccountResult(*row) for row in rows]
