"""The hot verbs on SQLite, each on an open transaction; the claim has a file of its own."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from botrix.errors import SessionLost
from botrix.ledger.ledger import (
    DirectoryRow,
    Due,
    PeerBeat,
    Placed,
    Recorded,
    Submission,
    Submitted,
)
from botrix.ledger.slices import JOB_COLUMNS, JobRow
from botrix.ledger.sqlite_rows import as_json, read, write
from botrix.model import (
    AccountStatus,
    JobState,
    JobStatus,
    Lane,
    LeasedAccount,
    NewJob,
    Person,
    Result,
)

_JOBS = (
    f"SELECT json_group_array(json_array({', '.join(f'j.{name}' for name in JOB_COLUMNS)}))"
    " FROM json_each(?) u CROSS JOIN jobs j WHERE j.id = u.value"
)
INSERT_JOB = (
    "INSERT INTO jobs (id, tenant_id, source, lane, directory, template, tries, count, place,"
    " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_RENAME = (
    "UPDATE accounts SET username = ?, email = ?, given_name = ?, family_name = ?,"
    " display_name = ?, updated_at = ? WHERE job_id = ? AND idx = ? AND session_id = ?"
    " AND attempt = ? AND status = 'leased'"
)
_RECORD = (
    "UPDATE accounts SET status = r.status, session_id = NULL,"
    " entry_id = coalesce(r.entry_id, accounts.entry_id), reason = r.reason, detail = r.detail,"
    " not_before = r.not_before, tries = tries + r.counted, updated_at = r.now"
    " FROM (WITH r (status, entry_id, reason, detail, not_before, counted, now, job_id, idx,"
    " attempt, session) AS (VALUES {}) SELECT * FROM r) r"
    " WHERE accounts.job_id = r.job_id AND accounts.idx = r.idx AND accounts.attempt = r.attempt"
    " AND +accounts.session_id = r.session AND +accounts.status = 'leased'"
)
_RECORD_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TALLY = (
    "UPDATE jobs SET status = t.status, created = t.created, existing = t.existing,"
    " failed = t.failed, cancelled = t.cancelled, retried = t.retried, updated_at = t.now,"
    " place = CASE WHEN t.over THEN NULL ELSE place END,"
    " finished_at = CASE WHEN t.over THEN t.now ELSE finished_at END,"
    " due_at = CASE WHEN t.over THEN NULL WHEN t.due IS NULL OR due_at < t.due THEN due_at"
    " ELSE t.due END"
    " FROM (WITH t (id, status, created, existing, failed, cancelled, retried, over, due, now)"
    " AS (VALUES {}) SELECT * FROM t) t WHERE jobs.id = t.id"
)
_TALLY_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


_FIRST_RESULTS = (
    "SELECT json_group_array(json_object('index', idx, 'username', username, 'status', status,"
    " 'reason', reason)) FROM (SELECT idx, username, status, reason FROM accounts"
    " WHERE job_id = ? ORDER BY idx LIMIT ?)"
)


def job_row(job: NewJob, place: int | None, now: float) -> tuple[Any, ...]:
    return (
        job.id, job.tenant_id, job.source, job.lane, job.directory, job.template, job.tries,
        job.count, place, now, now,
    )  # fmt: skip


def job_rows(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, JobRow]:
    """Of those there are."""
    return {row.id: row for row in read(db, _JOBS, (as_json(ids),), list[JobRow])}


def next_places(db: sqlite3.Connection, n: int) -> range:
    if n == 0:
        return range(0)
    raised = "UPDATE counters SET value = value + ? WHERE name = 'place' RETURNING value"
    last = int(db.execute(raised, (n,)).fetchone()[0])
    return range(last - n + 1, last + 1)


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
    (place,) = next_places(db, 1)
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


def rename(
    db: sqlite3.Connection, session: str, account: LeasedAccount, person: Person, now: float
) -> bool:
    require_live(db, session)
    key = (account.job_id, account.index, session, account.attempt)
    return db.execute(_RENAME, (*_names(person), now, *key)).rowcount == 1


def _names(person: Person) -> tuple[str, ...]:
    return (
        person.username, person.email, person.given_name, person.family_name, person.display_name,
    )  # fmt: skip


def record(db: sqlite3.Connection, session: str, results: Sequence[Result], now: float) -> Recorded:
    """Compare-and-set on session and attempt; the counters move by the rows that matched."""
    require_live(db, session)
    jobs = job_rows(db, list({result.job_id for result in results}))
    rows = [_row(result, jobs.get(result.job_id), session, now) for result in results]
    db.execute("SAVEPOINT flush")
    stale: list[int] = []
    if write(db, _RECORD, _RECORD_ROW, rows) < len(rows):
        db.execute("ROLLBACK TO flush")  # some were not ours any more: find out which
        stale = [n for n, row in enumerate(rows) if not write(db, _RECORD, _RECORD_ROW, [row])]
    db.execute("RELEASE flush")
    tallies: dict[str, _Tally] = {}
    missed = set(stale)
    for n, (row, result) in enumerate(zip(rows, results, strict=True)):
        if n not in missed:
            tally = tallies.setdefault(result.job_id, _Tally())
            tally.count(row[0], row[4], result.counted)
    states = _settle(db, [(jobs[job_id], tally) for job_id, tally in tallies.items()], now)
    return Recorded(
        len(rows) - len(stale), [(results[n].job_id, results[n].index) for n in stale], states
    )


_AGAIN = (AccountStatus.PLANNED, AccountStatus.UNSURE)


def _row(result: Result, job: JobRow | None, session: str, now: float) -> tuple[Any, ...]:
    status = result.status
    if status is AccountStatus.PLANNED and job is not None and job.status == JobStatus.CANCELLING:
        status = AccountStatus.CANCELLED
    return (
        status, result.entry_id, result.reason, result.detail,
        now + result.delay if status in _AGAIN else 0.0, int(result.counted), now,
        result.job_id, result.index, result.attempt, session,
    )  # fmt: skip


class _Tally:
    """What one flush does to one job's counters."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.due: float | None = None

    def count(self, status: str, not_before: float, counted: bool) -> None:
        self.counts[status] += 1
        if status in _AGAIN:
            self.counts["retried"] += int(counted)
            self.due = not_before if self.due is None else min(self.due, not_before)


def _settle(
    db: sqlite3.Connection, moved: Sequence[tuple[JobRow, _Tally]], now: float
) -> list[JobState]:
    """The update that makes the counters add up sets the final state."""
    rows, states = [], []
    for job, tally in moved:
        created = job.created + tally.counts["created"]
        existing = job.existing + tally.counts["existing"]
        failed = job.failed + tally.counts["failed"]
        cancelled = job.cancelled + tally.counts["cancelled"]
        retried = job.retried + tally.counts["retried"]
        over = created + existing + failed + cancelled + job.deleted == job.count
        status = _final(job.status, failed) if over else job.status
        counts = (created, existing, failed, cancelled, retried)
        rows.append((job.id, status, *counts, over, tally.due, now))
        state = JobState(
            job.id, job.tenant_id, JobStatus(status), Lane(job.lane), job.directory, job.count,
            created, existing, failed, cancelled, job.deleted, retried,
        )  # fmt: skip
        states.append(state)
    write(db, _TALLY, _TALLY_ROW, rows)
    return states


def _final(status: str, failed: int) -> str:
    if status == JobStatus.CANCELLING:
        return JobStatus.CANCELLED
    return JobStatus.FAILED if failed else JobStatus.COMPLETED


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
    tally = _Tally()
    tally.counts["cancelled"] = cursor.rowcount
    (state,) = _settle(db, [(job_rows(db, [job_id])[job_id], tally)], now)
    return state, full


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


def put_back(db: sqlite3.Connection, seen: Mapping[str, int]) -> list[Placed]:
    """A new place for each job that still has the place that was seen."""
    placed = []
    for job_id, place in sorted(seen.items()):
        row = db.execute(
            "UPDATE jobs SET place = ? WHERE id = ? AND place = ? RETURNING place, lane",
            (next_places(db, 1)[0], job_id, place),
        ).fetchone()
        if row is not None:
            placed.append(Placed(job_id, row[0], Lane(row[1])))
    return placed


def directory(db: sqlite3.Connection, tenant_id: str, name: str) -> DirectoryRow | None:
    row = db.execute(
        "SELECT kind, config FROM directories WHERE tenant_id = ? AND name = ?", (tenant_id, name)
    ).fetchone()
    return None if row is None else DirectoryRow(row[0], row[1])


def first_results(db: sqlite3.Connection, job_id: str, limit: int) -> bytes:
    return str(db.execute(_FIRST_RESULTS, (job_id, limit)).fetchone()[0]).encode()
